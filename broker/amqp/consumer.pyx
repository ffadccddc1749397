"""A consumer on a channel: see consumer.pxd. From the queue's hand to the output buffer in one copy."""

from cpython.ref cimport PyObject

from broker.amqp.channel cimport Channel
from broker.amqp.content cimport write_deliver
from broker.amqp.unacked cimport Unacked
from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport message_t, message_view
from broker.core.queue cimport Queue
from broker.core.target cimport ROUTED, Consumer, Target
from broker.wire.output cimport Output, output_full

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

    # Both are called per message: what they need of the channel is borrowed, without reference counting.

    cdef bint has_credit(self) noexcept:
        cdef PyObject* channel = <PyObject*>self.channel
        cdef PyObject* output = <PyObject*>(<Channel>channel).output
        cdef PyObject* unacked
        if self.stopped or (<Channel>channel).is_stopped or output_full(<Output>output):
            return False
        if self.no_ack:
            return True
        unacked = <PyObject*>(<Channel>channel).unacked
        return ((self.prefetch_count == 0 or self.unacked < self.prefetch_count)
                and ((<Channel>channel).prefetch_count == 0
                     or (<Unacked>unacked).delivered < (<Channel>channel).prefetch_count)
                and (<Unacked>unacked).count < (<Channel>channel).unacked_max)

    cdef int deliver(self, entry_t* entry) except -1:
        cdef PyObject* channel = <PyObject*>self.channel
        cdef PyObject* output = <PyObject*>(<Channel>channel).output
        cdef PyObject* tag = <PyObject*>self.tag_bytes
        cdef PyObject* unacked = <PyObject*>(<Channel>channel).unacked
        cdef PyObject* queue = <PyObject*>self.queue
        cdef uint64_t delivery_tag = (<Channel>channel).delivery_tag + 1
        (<Channel>channel).delivery_tag = delivery_tag
        self.delivered += 1
        if entry.flags & ENTRY_REDELIVERED:
            self.redelivered += 1
        if entry.delivery_count and (<Queue>queue).counts_deliveries:
            deliver_counted(self, entry)
        else:
            write_deliver(<Output>output, (<Channel>channel).number, (<Channel>channel).payload_max, <bytes>tag,
                          delivery_tag, entry.flags & ENTRY_REDELIVERED, entry.message, None)
        if self.no_ack:
            return 0
        return (<Unacked>unacked).hold(entry, <Queue>queue, self, delivery_tag)

    def stop(self):
        """No more deliveries, whatever the queue has."""
        self.stopped = True

    cpdef cancelled_by_queue(self):
        """The queue is gone: basic.cancel, where the client can hear it (consumer cancel notify)."""
        self.stopped = True
        consuming.cancel_by_queue(self.channel, self)


cdef int deliver_counted(AmqpConsumer consumer, entry_t* entry) except -1:
    """A message that came back before, of a queue that says how often (x-delivery-count)."""
    cdef Channel channel = consumer.channel
    cdef bytes properties = consuming.with_delivery_count(message_view(entry.message).raw_properties,
                                                          entry.delivery_count)
    write_deliver(channel.output, channel.number, channel.payload_max, consumer.tag_bytes, channel.delivery_tag,
                  entry.flags & ENTRY_REDELIVERED, entry.message, properties)
    return 0


cdef class ReplyTarget(Target):
    """Direct reply-to: a consumer without a queue, addressed through the default exchange by an unguessable name."""

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

    def direct_count(self, message):
        """See core.target.Target."""
        return self.channel.last_delivery_tag
