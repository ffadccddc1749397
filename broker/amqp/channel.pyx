"""The hot half of a channel: see channel.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from broker.amqp.begun cimport begun_end, begun_extend, begun_place, begun_start, first_room
from broker.amqp.codec cimport (
    BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, BASIC_REJECT, HEADER_FIXED, load16, load32, load64,
)
from broker.amqp.content cimport write_get_ok, write_return, write_tag
from broker.amqp.publishing cimport check_properties, nobody_took, on_publish, publish_message
from broker.amqp.unacked cimport Unacked
from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.exchange cimport Exchange
from broker.core.message cimport Message, message_begin, message_body, message_t, message_unref, message_view
from broker.core.publisher cimport Publisher
from broker.core.queue cimport COMPLETE, DISCARD, REQUEUE, Queue
from broker.wire.output cimport Output, output_neglected

from broker.amqp import consuming, dispatch
from broker.amqp.tally import Tally
from broker.amqp.translate import AmqpError


cdef class Channel(Publisher):
    """One channel of a connection."""

    def __init__(self, connection, int number, Output output, store, vhost, user, uint32_t payload_max,
                 uint32_t unacked_max):
        self.connection = connection
        self.connection_number = connection.number
        self.message_bytes_max = connection.endpoint.message_bytes_max
        self.intake = connection.broker.intake
        self.number = number
        self.output = output
        self.store = store
        self.vhost = vhost
        self.user = user
        self.payload_max = payload_max
        self.unacked_max = unacked_max
        self.consumers = {}
        self.unacked = Unacked()
        self.tally = Tally()

    def __dealloc__(self):
        free(self.routing_key)
        if self.begun.message != NULL:
            message_unref(self.begun.message)           # it was not closed: its whole broker is gone

    # ── in: methods and content ───────────────────────────────────────────────────────────────────────────────────

    cdef int on_method(self, const char* payload, size_t size) except -1:
        cdef uint32_t number
        if size < 4:
            raise AmqpError(501, "a method frame without a method")
        number = load32(payload)
        if self.expects != EXPECT_METHOD and not self.is_closing:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead"
                            if self.expects == EXPECT_HEADER else
                            "expected content body, got non content body frame instead")
        if self.is_closing:
            dispatch.on_method_while_closing(self, number)
        elif number == BASIC_PUBLISH:
            on_publish(self, payload + 4, size - 4)
        elif number == BASIC_ACK and size == 13:
            on_settle(self, load64(payload + 4), payload[12] & 1, COMPLETE)
        elif number == BASIC_NACK and size == 13:
            on_settle(self, load64(payload + 4), payload[12] & 1, REQUEUE if payload[12] & 2 else DISCARD)
        elif number == BASIC_REJECT and size == 13:
            on_settle(self, load64(payload + 4), False, REQUEUE if payload[12] & 1 else DISCARD)
        else:
            self.wake_settled()
            dispatch.on_method(self, number, payload[:size])
        return 0

    cdef int on_header(self, const char* payload, size_t size) except -1:
        cdef message_t* message
        cdef uint64_t body_size
        if self.is_closing:
            return 0
        if self.expects != EXPECT_HEADER:
            raise AmqpError(505, "expected method frame, got content header frame instead")
        if size < HEADER_FIXED + 2:
            raise AmqpError(502, "a content header without property flags")
        if load16(payload) != 60:
            raise AmqpError(505, f"expected content header for class 60, got one for class {load16(payload)} instead")
        body_size = load64(payload + 4)
        if body_size > self.message_bytes_max:
            raise AmqpError(406, f"message size {body_size} is larger than configured max size "
                                 f"{self.message_bytes_max}")
        if body_size:
            self.connection.reserve(body_size)
        message = message_begin(self.exchange.name_bytes, len(self.exchange.name_bytes), self.routing_key,
                                self.routing_key_size, payload + HEADER_FIXED, size - HEADER_FIXED, body_size,
                                first_room(body_size))
        if message == NULL:
            self.connection.release(body_size)
            raise AmqpError(506, f"no memory for a message of {body_size} bytes")
        message.publisher = self.connection_number
        begun_start(&self.begun, message, first_room(body_size), body_size, self.intake)
        self.expects = EXPECT_BODY
        check_properties(self, message)
        if body_size == 0:
            self.finish_message()
        return 0

    cdef int on_body(self, const char* payload, size_t size) except -1:
        """A body frame's payload, or a part of it."""
        if self.is_closing:
            return 0
        if self.expects != EXPECT_BODY:
            raise AmqpError(505, "expected method frame, got content body frame instead"
                            if self.expects == EXPECT_METHOD else
                            "expected content header for class 60, got content body frame instead")
        if size > self.begun.message.body_size - self.begun.received:
            raise AmqpError(505, "content body exceeds the size that its header announced")
        begun_extend(&self.begun, size, self.intake)
        memcpy(message_body(self.begun.message) + self.begun.received, payload, size)
        return body_written(self, size)

    cdef int finish_message(self) except -1:
        """The content that came frame by frame is whole."""
        self.expects = EXPECT_METHOD
        publish_message(self, take_begun(self))
        if self.is_revised:
            self.forget_rights()
        return 0

    cdef void send_return(self, message_t* message) noexcept:
        """basic.return with 312 NO_ROUTE: mandatory, and nobody took it (§1.8.3.8)."""
        write_return(self.output, self.number, self.payload_max, message)
        if output_neglected(self.output):
            self.connection.rest_for_reader()

    def publish_now(self, Exchange exchange, Message message, bint mandatory):
        """Publishes a message that a transaction kept."""
        if exchange.publish(message.message) == 0:
            nobody_took(self, exchange, message.message, mandatory)

    # ── out: confirms ─────────────────────────────────────────────────────────────────────────────────────────────

    cdef int accepted(self, uint64_t number) except -1:
        write_tag(self.output, self.number, BASIC_ACK, number, number > self.accepted_up_to + 1)
        return 0

    cdef int refused(self, uint64_t first, uint64_t last) except -1:
        write_tag(self.output, self.number, BASIC_NACK, last, last > first)
        return 0

    # ── out: deliveries, and their end ────────────────────────────────────────────────────────────────────────────

    def settle(self, uint64_t tag, bint multiple, int outcome):
        """Settles by delivery tag (also what a transaction kept). Raises AmqpError 406 for an unknown tag."""
        settle(self, tag, multiple, outcome)
        self.wake_settled()

    cdef int wake_settled(self) except -1:
        cdef Queue queue = self.unwoken
        if queue is not None:
            self.unwoken = None
            wake_after(self, queue)
        return 0

    def requeue_all(self):
        """Gives every delivery back to its queue: the channel closes, or basic.recover(requeue=true)."""
        if self.unacked.count:
            settle(self, 0, True, REQUEUE)

    def redeliver_all(self):
        """basic.recover(requeue=false): the same consumers get the same messages again, with new tags (§1.8.3.15)."""
        self.unacked.redeliver(self.delivery_tag, self.consumers)

    def is_outstanding(self, uint64_t tag, bint multiple) -> bool:
        """Could `settle` do it? A transaction asks, long before it does."""
        if multiple:
            return tag == 0 or (tag <= self.delivery_tag and 0 < self.unacked.first_tag() <= tag)
        return self.unacked.has(tag)

    @property
    def moved_bytes(self) -> int:
        """What has come of the body that is awaited, and how many messages have come: does it move?"""
        return self.begun.received + self.messages_published

    @property
    def last_delivery_tag(self) -> int:
        """The delivery tag given last."""
        return self.delivery_tag

    @property
    def unacked_count(self) -> int:
        """Deliveries that wait for their settling."""
        return self.unacked.count

    def get(self, Queue queue, bint no_ack) -> bool:
        """basic.get: sends get-ok with content; False where the queue is empty."""
        cdef entry_t entry
        cdef bytes properties = None
        if not queue.get(&entry, no_ack, self):
            self.tally.got(queue.name, "get_empty", False)
            return False
        self.tally.got(queue.name, "get_no_ack" if no_ack else "get", entry.flags & ENTRY_REDELIVERED != 0)
        self.delivery_tag += 1
        if entry.delivery_count and queue.counts_deliveries:
            properties = consuming.with_delivery_count(message_view(entry.message).raw_properties, entry.delivery_count)
        write_get_ok(self.output, self.number, self.payload_max, self.delivery_tag, entry.flags & ENTRY_REDELIVERED,
                     queue.ready_count, entry.message, properties)
        if output_neglected(self.output):
            self.connection.rest_for_reader()
        if no_ack:
            message_unref(entry.message)
        else:
            self.unacked.hold(&entry, queue, None, self.delivery_tag)
        return True

    # ── what the cold half sets ───────────────────────────────────────────────────────────────────────────────────

    def send_frames(self, bytes frames):
        """Sends whole frames."""
        self.output.write(frames, len(frames))

    def select_confirms(self):
        """confirm.select: from now on every publish is numbered and confirmed."""
        self.confirms = True

    def set_prefetch(self, uint32_t prefetch_count, bint is_global):
        """basic.qos, in RabbitMQ's meaning: global is the channel's limit, else it is for consumers that come."""
        if is_global:
            self.prefetch_count = prefetch_count
            self.wake()
        else:
            self.consumer_prefetch_count = prefetch_count

    def set_flow(self, bint active):
        """channel.flow from the client: deliveries stop or go on."""
        self.is_stopped = not active
        if active:
            self.wake()

    def forget_rights(self):
        """What the user may has changed: the next publish asks again."""
        self.is_revised = self.expects != EXPECT_METHOD         # the one that has begun was allowed
        if not self.is_revised:
            self.exchange = self.topic_rights = None

    def wake(self):
        """The consumers may have credit again."""
        for consumer in list(self.consumers.values()):
            (<Queue>consumer.queue).wake()

    def forget_reply_target(self):
        """Direct reply-to ends: replies that still come have no target."""
        if self.reply_target is not None:
            self.vhost.reply_targets.pop(self.reply_target.name, None)
            self.vhost.default_exchange.forget_routes(self.reply_target.name.encode())
            self.reply_target = None

    def close(self):
        """Ends the channel: consumers go, what was not settled returns to its queues, in order."""
        self.forget_awaited()
        self.is_closing = True
        self.forget_reply_target()
        consumers, self.consumers = self.consumers, {}
        # The queue must not choose a consumer of this channel for what comes back, nor vanish before it is back.
        for consumer in consumers.values():
            consumer.stop()
        self.wake_settled()
        self.requeue_all()
        for consumer in consumers.values():
            consumer.queue.remove_consumer(consumer)
        forget_begun(self)
        if self.transaction is not None:
            self.transaction.rollback()             # all the messages that it held back
        self.exchange = self.transaction = None


# ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef inline int on_settle(Channel channel, uint64_t tag, bint multiple, int outcome) except -1:
    if channel.transaction is not None:
        channel.transaction.settle(tag, multiple, outcome)
        return 0
    return settle(channel, tag, multiple, outcome)


cdef int settle(Channel channel, uint64_t tag, bint multiple, int outcome) except -1:
    """One delivery, or all up to `tag` (0: all that there are). 406 for a tag that is not outstanding."""
    cdef Queue queue
    if not multiple:
        queue = channel.unacked.settle(tag, outcome)
        if queue is None and channel.unwoken is not None:
            channel.wake_settled()
            queue = channel.unacked.settle(tag, outcome)
        if queue is None:
            raise AmqpError(406, f"unknown delivery tag {tag}")
        if channel.unwoken is not queue:
            channel.wake_settled()
            channel.unwoken = queue
        if outcome == REQUEUE:
            channel.wake_settled()
        return 0
    channel.wake_settled()
    if tag == 0:
        tag = channel.delivery_tag
    elif tag > channel.delivery_tag or channel.unacked.count == 0 or tag < channel.unacked.first_tag():
        raise AmqpError(406, f"unknown delivery tag {tag}")
    for queue in channel.unacked.settle_up_to(tag, outcome):
        wake_after(channel, queue)
    return 0


cdef int wake_after(Channel channel, Queue queue) except -1:
    """A settled delivery gives credit: to its consumer's queue; where the channel has a limit, to all of its queues."""
    if channel.prefetch_count and len(channel.consumers) > 1:
        wake_from(channel, queue)
    else:
        queue.wake()
    return 0


cdef int wake_from(Channel channel, Queue queue) except -1:
    """What has become free of the channel's limit goes to the queue behind this one: none is left behind."""
    cdef list queues = [*{consumer.queue: None for consumer in channel.consumers.values()}]
    cdef size_t turn = queues.index(queue) + 1 if queue in queues else 0
    for queue in queues[turn:] + queues[:turn]:
        queue.wake()
    return 0


# ── a body that comes in pieces ───────────────────────────────────────────────────────────────────────────────────────

cdef message_t* take_begun(Channel channel) except? NULL:
    """The message that was begun leaves: whole, or given up. NULL where there is none."""
    cdef uint64_t reserved = channel.begun.reserved
    channel.begun.reserved = 0
    if reserved:
        channel.connection.release(reserved)
    return begun_end(&channel.begun, channel.intake)


cdef int forget_begun(Channel channel) except -1:
    cdef message_t* message = take_begun(channel)
    if message != NULL:
        message_unref(message)
    return 0


cdef size_t body_place(Channel channel, size_t size, char** where) noexcept:
    return begun_place(&channel.begun, size, where, channel.intake)


cdef int body_written(Channel channel, size_t size) except -1:
    channel.begun.received += size
    if channel.begun.received == channel.begun.message.body_size:
        channel.finish_message()
    return 0
