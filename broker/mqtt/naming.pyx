"""Messages without a topic name: see naming.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from broker.core.message cimport message_t


cdef class Unnameable(Target):
    """Takes what a subscription matches and no PUBLISH can carry: counts it, and keeps nothing."""

    def __init__(self, Counters counters):
        self.counters = counters

    cdef int accept(self, message_t* message) except -1:
        self.counters.dropped_unnameable += 1
        return 0


def is_topic_key(bytes routing_key not None):
    """Whether a routing key is a topic name of MQTT, once it is swapped."""
    return names_topic(PyBytes_AS_STRING(routing_key), PyBytes_GET_SIZE(routing_key))
