"""A consumer on a channel: see consumer.pxd. From the queue's hand to the output buffer in one copy."""

from broker.amqp.channel cimport Channel
from broker.amqp.content cimport write_deliver
from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport message_t, message_view
from broker.core.queue cimport Queue
from broker.core.target cimport ROUTED, Consumer, Target
from broker.wire.output cimport output_full

from broker.amqp import consuming


cdef class AmqpConsumer(Consumer):
    """basic.consume: one queue's messages, as the prefetch counts allow."""

    def __init__(self, Channel channel, Queue queue, str tag, *, bint no_ack, bint no_local, bint exclusive,
                 int priority, uint32_t prefetch_count, dict arguments):
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.tag_bytes = tag.encode("utf-8", "surrogateescape")
        self.no_ack = no_ack
        self.no_local = no_local
        self.exclusive = exclusive
        self.priority = priority
        self.prefetch_count = prefetch_count
        self.arguments = arguments
        self.publisher = channel.connection.number

    cdef bint has_credit(self) noexcept:
        cdef Channel channel = self.channel
        if self.stopped or channel.is_stopped or output_full(channel.output):
            return False
        return self.no_ack or ((self.prefetch_count == 0 or self.unacked < self.prefetch_count)
                               and (channel.prefetch_count == 0 or channel.unacked.delivered < channel.prefetch_count)
                               and channel.unacked.count < channel.unacked_max)

    cdef int deliver(self, entry_t* entry) except -1:
        cdef Channel channel = self.channel
        cdef message_t* message = entry.message
        cdef bytes properties = None
        channel.delivery_tag += 1
        if entry.delivery_count and self.queue.counts_deliveries:
            properties = consuming.with_delivery_count(message_view(message).raw_properties, entry.delivery_count)
        write_deliver(channel.output, channel.number, channel.payload_max, self.tag_bytes, channel.delivery_tag,
                      entry.flags & ENTRY_REDELIVERED, message, properties)
        if not self.no_ack:
            channel.unacked.hold(entry, self.queue, self, channel.delivery_tag)
        return 0

    def stop(self):
        """No more deliveries, whatever the queue has."""
        self.stopped = True

    cpdef cancelled_by_queue(self):
        """The queue is gone: basic.cancel, where the client can hear it (consumer cancel notify)."""
        self.stopped = True
        consuming.cancel_by_queue(self.channel, self)


cdef class ReplyTarget(Target):
    """Direct reply-to: a consumer without a queue, addressed through the default exchange by a name nobody can guess."""

    def __init__(self, Channel channel, str name, str tag):
        self.channel = channel
        self.name = name
        self.tag = tag
        self.tag_bytes = tag.encode("utf-8", "surrogateescape")

    cdef int accept(self, message_t* message) except -1:
        if self.channel.is_closing or output_full(self.channel.output):
            return ROUTED                   # at most once: a requester that does not read loses replies (RabbitMQ)
        self.channel.delivery_tag += 1
        write_deliver(self.channel.output, self.channel.number, self.channel.payload_max, self.tag_bytes,
                      self.channel.delivery_tag, 0, message, None)
        return ROUTED
