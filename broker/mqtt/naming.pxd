"""Whether a message can be told to an MQTT client at all: other dialects publish to keys that are no topic names.

Owns the test, and what takes such a message where a subscription matches it. Refuses to know sessions' queues.

    routing key      a.b    a.*   a.#   (empty)   not UTF-8   with U+0000
    topic name       a/b    –     –     –         –           –         [MQTT-3.3.2-2], [MQTT-4.7.3-1], [MQTT-1.5.4-2]
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from broker.core.target cimport Target
from broker.mqtt.counters cimport Counters
from broker.mqtt.utf8 cimport utf8_is_valid


cdef class Unnameable(Target):
    cdef Counters counters


cdef inline bint names_topic(const char* key, size_t size) noexcept nogil:
    """Whether a routing key is a topic name, once it is swapped."""
    cdef size_t index
    if size == 0:
        return False
    for index in range(size):
        if key[index] == c'*' or key[index] == c'#':
            return False
    return utf8_is_valid(<const uint8_t*>key, size)
