"""A consumer on a channel: credit, and the frames of basic.deliver."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.amqp.channel cimport Channel
from broker.core.entry cimport entry_t
from broker.core.queue cimport Queue
from broker.core.target cimport Consumer, Target
from broker.core.message cimport message_t

cdef class AmqpConsumer(Consumer):
    cdef readonly Queue queue
    cdef readonly Channel channel
    cdef readonly uint32_t prefetch_count   # 0: no limit
    cdef bytes tag_bytes
    cdef bint stopped

cdef class ReplyTarget(Target):
    cdef readonly str name
    cdef readonly str tag
    cdef readonly Channel channel
    cdef bytes tag_bytes
