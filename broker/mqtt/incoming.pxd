"""A client's PUBLISH as a message: its topic as a routing key, its properties as AMQP's, its flags.

Owns what a connection remembers of the topics that its client publishes to: the last one, mostly the next one, too, and
topic aliases. Refuses to know where the message goes. Made with a connection's first PUBLISH.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.core.message cimport message_t
from broker.mqtt.codec cimport publish_t
from broker.mqtt.traffic cimport Traffic

cdef enum:                          # in publish_t.flags, above those of the fixed header
    PAYLOAD_IS_TEXT = 16            # to be checked when it is whole
    IS_DROPPED = 32                 # it is answered already: its payload only has to be passed over

cdef class Incoming:
    cdef object endpoint                        # endpoint.Endpoint
    cdef Traffic traffic
    cdef uint64_t publisher                     # number of the connection
    cdef bint is_5
    cdef uint32_t topic_alias_max
    cdef list aliases                           # topic names by alias, from 1 on; None: none ever
    cdef object rights                          # core.topic_rights.TopicRights; None: every topic is allowed
    cdef bint is_refused                        # the last PUBLISH's topic is one that the client may not publish to
    cdef char* last_topic                       # the last PUBLISH's topic name, and behind it its routing key
    cdef size_t last_topic_size

    # The message of a PUBLISH, with room for its payload; it may be published unless `is_refused`. Raises MqttError.
    cdef message_t* make_message(self, publish_t* publish) except NULL

# What `codec.read_publish` found wrong, as MqttError.
cdef int raise_publish(int found) except -1
# Whether a payload is UTF-8.
cdef bint is_text(message_t* message) noexcept
