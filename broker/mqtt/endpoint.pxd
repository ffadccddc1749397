"""What all MQTT connections of the broker share: settings, counters, sessions, keep-alives."""

import cython

from libc.stdint cimport uint64_t

from broker.mqtt.admission cimport ConnectRate
from broker.mqtt.client cimport Client
from broker.mqtt.counters cimport Counters
from broker.mqtt.keep_alive cimport KeepAlives
from broker.mqtt.sessions cimport Sessions
from broker.wire.output cimport Output


cdef class Endpoint:
    cdef readonly object broker                 # core.broker.Broker
    cdef readonly bint certificate_is_login
    cdef readonly Counters counters
    cdef readonly ConnectRate connect_rate
    cdef readonly object sys_topics
    cdef readonly Sessions sessions
    cdef readonly object long_packets           # subscribing.LongPackets
    cdef readonly bint sparkplug
    cdef readonly dict certificates             # sparkplug.Certificates by vhost
    cdef readonly set connections
    cdef readonly uint64_t opened
    cdef public Py_ssize_t clients_maximum
    cdef readonly uint64_t closed_bytes_received
    cdef readonly uint64_t closed_bytes_sent
    cdef readonly KeepAlives keep_alives

    cdef readonly str vhost_name
    cdef readonly str anonymous
    cdef readonly str anonymous_user
    cdef readonly Py_ssize_t server_keep_alive_s
    cdef readonly Py_ssize_t receive_maximum
    cdef readonly Py_ssize_t inflight_max
    cdef readonly Py_ssize_t topic_alias_maximum
    cdef readonly size_t message_bytes_max
    cdef readonly size_t control_bytes_max
    cdef readonly uint64_t open_batch_bytes_max
    cdef readonly Py_ssize_t topic_levels_max
    cdef readonly Py_ssize_t topic_bytes_max
    cdef readonly str client_id_rule
    cdef readonly object usual_terms            # properties.Properties of a CONNACK to whom nothing else is to be said
    cdef readonly bytes usual_connack           # … and the whole packet

    cpdef on_opened(self, Client connection)

    @cython.locals(output=Output)
    cpdef on_closed(self, Client connection)
