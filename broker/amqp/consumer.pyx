"""A consumer on a channel: see consumer.pxd. From the queue's hand to the output buffer in one copy."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from broker.amqp.channel cimport Channel
from broker.amqp.codec cimport (
    BASIC_DELIVER, FRAME_END, FRAME_METHOD, FRAME_OVERHEAD, put_frame_start, put_shortstr, store32, store64,
)
from broker.amqp.content cimport content_size, put_content
from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport (
    message_exchange, message_properties, message_routing_key, message_t, message_view,
)
from broker.core.queue cimport Queue
from broker.core.target cimport ROUTED, Consumer, Target
from broker.wire.output cimport output_full

from broker.amqp import topology


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
        self.counts_deliveries = queue.settings.queue_type == "quorum" or queue.settings.delivery_limit is not None

    cdef bint has_credit(self) noexcept:
        cdef Channel channel = self.channel
        if self.stopped or channel.is_stopped or output_full(channel.output):
            return False
        return self.no_ack or ((self.prefetch_count == 0 or self.unacked < self.prefetch_count)
                               and (channel.prefetch_count == 0 or channel.delivered_unacked < channel.prefetch_count)
                               and channel.unacked.count < channel.unacked_max)

    cdef int deliver(self, entry_t* entry) except -1:
        cdef Channel channel = self.channel
        cdef message_t* message = entry.message
        cdef bytes properties
        channel.delivery_tag += 1
        if entry.delivery_count and self.counts_deliveries:
            properties = topology.with_delivery_count(message_view(message).raw_properties, entry.delivery_count)
            send_deliver(channel, self.tag_bytes, entry.flags, message, properties, len(properties))
        else:
            send_deliver(channel, self.tag_bytes, entry.flags, message, message_properties(message),
                         message.properties_size)
        if not self.no_ack:
            channel.hold(entry, self.queue, self, channel.delivery_tag)
        return 0

    def stop(self):
        """No more deliveries, whatever the queue has."""
        self.stopped = True

    cpdef cancelled_by_queue(self):
        """The queue is gone: basic.cancel, where the client can hear it (consumer cancel notify)."""
        self.stopped = True
        topology.cancel_by_queue(self.channel, self)


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
        send_deliver(self.channel, self.tag_bytes, 0, message, message_properties(message), message.properties_size)
        return ROUTED


cdef int send_deliver(Channel channel, bytes tag, int flags, message_t* message, const char* properties,
                      size_t properties_size) except -1:
    cdef size_t tag_size = PyBytes_GET_SIZE(tag)
    cdef size_t method = 4 + 1 + tag_size + 8 + 1 + 1 + message.exchange_size + 1 + message.routing_key_size
    cdef size_t total = FRAME_OVERHEAD + method + content_size(message, properties_size, channel.payload_max)
    cdef char* at = channel.output.reserve(total)
    if at == NULL:
        return 0                            # the connection is going: what it held returns to the queue
    at = put_frame_start(at, FRAME_METHOD, channel.number, method)
    store32(at, BASIC_DELIVER)
    at = put_shortstr(at + 4, PyBytes_AS_STRING(tag), tag_size)
    store64(at, channel.delivery_tag)
    at[8] = 1 if flags & ENTRY_REDELIVERED else 0
    at = put_shortstr(at + 9, message_exchange(message), message.exchange_size)
    at = put_shortstr(at, message_routing_key(message), message.routing_key_size)
    at[0] = <char>FRAME_END
    put_content(at + 1, channel.number, message, properties, properties_size, channel.payload_max)
    channel.output.written(total)
    return 0
