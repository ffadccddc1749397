"""The cold half of sessions: who there is by name, how long they live, and what of them is in the store."""

import cython

from broker.core.clock cimport Clock
from broker.mqtt.counters cimport Counters
from broker.mqtt.packet_cache cimport PacketCache
from broker.mqtt.session cimport Session


cdef class Sessions:
    cdef readonly object broker
    cdef readonly Clock clock
    cdef readonly object store
    cdef readonly Counters counters
    cdef readonly PacketCache cache
    cdef readonly object sys_topics
    cdef readonly object records                # core.session_records.SessionRecords
    cdef readonly dict by_name                  # Session by (vhost's name, client identifier)
    cdef readonly set changed                   # those whose record the open batch is to get
    cdef readonly object leaving                # leaving.Leaving
    cdef readonly bint sparkplug
    cdef readonly bint queues_qos0
    cdef readonly object expiry_max_s           # None: no limit
    cdef readonly str share_strategy
    cdef readonly Py_ssize_t subscriptions_max
    cdef readonly Py_ssize_t topic_levels_max
    cdef readonly Py_ssize_t retained_max
    cdef readonly Py_ssize_t topic_bytes_max
    cdef readonly dict queue_arguments

    cpdef Session find(self, vhost, str client_id)

    @cython.locals(session=Session, present=bint)
    cpdef tuple open(self, vhost, str client_id, bint clean_start, expiry_interval_s)
    cpdef limited(self, expiry_interval_s)
    cpdef set_expiry(self, Session session, expiry_interval_s)
    cpdef close(self, Session session)
    cpdef end(self, Session session)
    cpdef write(self, Session session)
