"""Who gives way in a full queue: x-max-length and x-max-length-bytes.

Owns what a publisher hears of a message that does not get in, which one leaves where the oldest gives way, and what is
counted then. Asked only of queues that have a limit or that somebody watches.
"""

from libc.stdint cimport uint64_t

from broker.core.queue cimport Queue
from broker.core.ready cimport ReadyList
from storage.records cimport message_t

cdef enum:                          # in the order of arguments.OVERFLOWS
    OVERFLOW_DROP_HEAD = 0
    OVERFLOW_REJECT_PUBLISH = 1
    OVERFLOW_REJECT_PUBLISH_DLX = 2
    OVERFLOW_DROP_TAIL = 3

# What the publisher hears of a message that does not get in; 0 where there is room, or the oldest gives way.
cdef int turn_away(Queue queue, message_t* message) except -1

# Drop-head: the message that would be delivered next gives way, whatever its priority (RabbitMQ).
cdef int drop_overflow(Queue queue) except -1


cdef inline uint64_t total_bytes(Queue queue) noexcept:
    """Bytes of bodies of the ready messages."""
    cdef uint64_t size = 0
    if queue.ready is not None:
        return queue.ready.bytes
    for level in queue.levels:
        size += (<ReadyList>level).bytes
    return size


cdef inline bint is_over(Queue queue, uint64_t messages, uint64_t size) noexcept:
    """With so many messages and bytes more, above x-max-length or x-max-length-bytes."""
    return queue.ready_count + messages > queue.length_max or total_bytes(queue) + size > queue.length_bytes_max
