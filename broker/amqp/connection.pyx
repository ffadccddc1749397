"""The hot half of an AMQP connection: see connection.pxd."""

from functools import partial

from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from broker.amqp.channel cimport EXPECT_BODY, EXPECT_METHOD, Channel, body_place, body_written
from broker.amqp.codec cimport (
    BASIC_PUBLISH, FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, FRAME_MIN_SIZE, FRAME_OVERHEAD,
    load16, load32,
)
from broker.amqp.publishing cimport publish_whole
from broker.amqp.states cimport AWAIT_HEADER, CLOSED, CLOSING, RUNNING
from broker.wire.connection cimport Connection

from broker.amqp import ending, revoked
from broker.amqp.negotiation import Negotiation
from broker.amqp.translate import AmqpError, reply_for
from broker.core.errors import CoreError
from broker.core.undecided import Undecided

cdef enum:
    STREAMED_MIN = 8192             # body frames from this size on are taken in pieces as they come

cdef bytes PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


cdef class AmqpConnection(Connection):
    """One client over AMQP 0-9-1."""

    protocol = "AMQP 0-9-1"                     # for people: what management shows

    def __init__(self, broker, endpoint):
        """`broker`: core.broker.Broker; `endpoint`: what all connections of the dialect share (endpoint.Endpoint)."""
        self.broker = broker
        self.endpoint = endpoint
        self.clock = broker.clock
        self.frame_max = FRAME_MIN_SIZE             # until tune (§4.2.3)
        self.channels = {}
        self.untold = []
        self.state = AWAIT_HEADER
        self.connected_ms = self.received_ms = self.clock.now_ms
        self.open_batch_bytes_max = endpoint.open_batch_bytes_max
        self.begun_bytes_max = endpoint.begun_bytes_max
        self.intake = broker.intake
        self.fan_out = broker.fan_out
        self.negotiation = Negotiation(self)

    cpdef opened(self):
        """The transport is there: the client speaks first (§2.2.4), but not when it likes."""
        self.negotiation.await_handshake()

    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 0
        self.received_ms = self.clock.now_ms
        self.taken = 0
        while True:
            try:
                at = self.consume(data, self.taken, size)
                break
            except AmqpError as error:
                self.on_error(error)
            except CoreError as error:
                self.on_error(reply_for(error))
            except Undecided as undecided:
                self.await_decision(undecided.question)
                at = self.frame_at
                break
            except Exception as error:
                ending.on_internal_error(self, error)
            if self.state == CLOSED:
                at = size
                break
        if self.settling is not None:
            wake_settled(self)
        if self.untold:
            for channel in self.untold:
                (<Channel>channel).tell_accepted()
            self.untold.clear()
        self.bytes_received += at
        if self.meter is not None:
            self.meter.charge(self.published, self.bytes_received)
        if self.publishes and self.channel is not None \
                and self.channel.store.filling_bytes > self.open_batch_bytes_max:
            self.rest_for_disk()
        return at

    cdef Py_ssize_t consume(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1:
        """Takes whole frames from data[at:size], of a large body frame also a part. Where it stopped.

        `taken` is where to go on after an error.
        """
        cdef size_t length
        cdef Py_ssize_t whole
        cdef int type
        if self.state == CLOSED:
            return size
        if self.state == AWAIT_HEADER:
            if size < 8:
                return self.negotiation.on_short_header(data[:size])
            if memcmp(data, <const char*>PROTOCOL_HEADER, 8) != 0:
                self.negotiation.refuse_header()
                return size
            self.negotiation.start()
            at = 8
        while self.rests == 0:
            if self.streaming is not None:
                if at == size:
                    break
                at = self.take_body(data, at, size)
                continue
            if size - at < 7:
                break
            self.frame_at = at
            type = <uint8_t>data[at]
            length = load32(data + at + 3)
            if length + FRAME_OVERHEAD > self.frame_max and self.frame_max:
                self.taken = size
                raise AmqpError(501, f"type {type}, too large: frame size {length + FRAME_OVERHEAD}, "
                                     f"maximum {self.frame_max}")
            if <size_t>(size - at) < length + FRAME_OVERHEAD:
                if type != FRAME_BODY or length < STREAMED_MIN or not self.stream(load16(data + at + 1), length):
                    break
                at += 7
                continue
            if <uint8_t>data[at + 7 + length] != FRAME_END:
                self.taken = size
                raise AmqpError(501, "Invalid frame end marker")
            self.taken = at + length + FRAME_OVERHEAD
            if type == FRAME_METHOD and length >= 4 and load32(data + at + 7) == BASIC_PUBLISH:
                if self.is_blocked and not (self.begun_bytes and self.intake.must_flow):
                    self.rest(RESTS_FOR_ALARM)
                    break
                whole = take_publish(self, data + at, size - at, length)
                if whole:
                    at += whole
                    if self.fan_out.left < 0:
                        self.rest_for_turn()
                    continue
            self.on_frame(type, load16(data + at + 1), data + at + 7, length)
            at = self.taken
            if self.fan_out.left < 0 and self.channel is not None and self.channel.publishes \
                    and self.channel.expects == EXPECT_METHOD:
                self.rest_for_turn()
            if self.state == CLOSED:
                return size
        return at

    cdef Py_ssize_t take_body(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1:
        """The next piece of a streamed body, or the end octet behind it. Where it stopped."""
        cdef size_t taken
        if self.frame_left:
            taken = min(<size_t>(size - at), self.frame_left)
            self.frame_left -= taken
            self.taken = at + taken
            self.in_channel = self.streaming
            self.streaming.on_body(data + at, taken)
            return self.taken
        if <uint8_t>data[at] != FRAME_END:
            self.taken = size
            raise AmqpError(501, "Invalid frame end marker")
        self.streaming = None
        return at + 1

    cdef int on_frame(self, int type, int number, const char* payload, size_t size) except -1:
        """One whole frame. A soft error closes its channel only; what is harder goes up."""
        cdef Channel channel = self.channel
        self.frames_received += 1
        self.method = 0
        if number == 0 or self.state != RUNNING or type == FRAME_HEARTBEAT:
            self.in_channel = None
        if type == FRAME_HEARTBEAT:
            if number:
                raise AmqpError(505, "a heartbeat frame on a channel other than 0")
            if size:
                raise AmqpError(501, "a heartbeat frame with a payload")
            return 0
        if number == 0 or self.state != RUNNING:
            if self.settling is not None:
                wake_settled(self)
            if type != FRAME_METHOD:
                if self.state == CLOSING:
                    return 0
                raise AmqpError(505 if type <= FRAME_BODY and type >= FRAME_METHOD else 501,
                                f"frame of type {type} on channel {number} in state {self.state}")
            self.method = load32(payload) if size >= 4 else 0
            self.negotiation.on_method(number, payload[:size])
            return 0
        if channel is None or channel.number != number:
            channel = self.channels.get(number)
            if channel is None:
                self.in_channel = None
                self.method = load32(payload) if type == FRAME_METHOD and size >= 4 else 0
                self.negotiation.on_unopened_channel(type, number, payload[:size])
                return 0
            self.channel = channel
        if self.in_channel is not channel:
            self.in_channel = channel
            if self.settling is not None and self.settling is not channel:
                wake_settled(self)
        if type == FRAME_METHOD:
            self.method = load32(payload) if size >= 4 else 0
            channel.on_method(payload, size)
            if channel.unwoken is not None:
                self.settling = channel
        elif type == FRAME_HEADER:
            channel.on_header(payload, size)
        elif type == FRAME_BODY:
            channel.on_body(payload, size)
        else:
            raise AmqpError(501, f"unknown frame type {type}")
        return 0

    def on_error(self, error):
        """A soft error closes the channel whose frame it was, a hard one the connection (AMQP 0-9-1 §1.2)."""
        channel, self.in_channel = self.in_channel, None
        if channel is None or error.is_hard:
            # Properties have no method of their own: what is wrong with them is their publish's.
            ending.fail(self, error, BASIC_PUBLISH if error.code == 502 else self.method)
        else:
            ending.fail_channel(channel, error, self.method)

    cdef bint stream(self, int number, size_t length) except -1:
        """Begins to take a large body frame in pieces. False: it is not one that may come now."""
        cdef Channel channel = self.channels.get(number)
        if channel is None or self.state != RUNNING or channel.is_closing or channel.expects != EXPECT_BODY \
                or length > channel.begun.message.body_size - channel.begun.received:
            return False
        self.frames_received += 1
        self.streaming = channel
        self.frame_left = length
        return True

    # The edge may write a large body straight into its message.

    cdef size_t next_bytes(self, char** where) noexcept:
        cdef Channel channel = self.streaming
        if channel is None or self.frame_left < STREAMED_MIN or self.rests or channel.begun.message == NULL:
            return 0
        return body_place(channel, self.frame_left, where)

    cdef void bytes_stored(self, size_t size) noexcept:
        self.received_ms = self.clock.now_ms
        self.bytes_received += size
        self.frame_left -= size
        self.body_stored(size)

    def body_stored(self, size_t size):
        """So many bytes of the streamed body are in their place."""
        self.in_channel = self.streaming
        try:
            body_written(self.streaming, size)
        except AmqpError as error:
            self.on_error(error)
        except CoreError as error:
            self.on_error(reply_for(error))
        except Exception as error:
            ending.on_internal_error(self, error)

    cdef void writable(self) noexcept:
        self.wake_channels()

    def wake_channels(self):
        """The output has drained: deliveries go on, and reading where it rested for that."""
        self.go_on(RESTS_FOR_READER)
        for channel in list(self.channels.values()):
            channel.wake()

    cpdef lost(self, str reason):
        """The transport is gone: everything this connection held returns."""
        if self.negotiation is None:
            return
        ending.end(self, reason)
        # No circle is left: the memory goes now, not when the garbage collector comes by.
        self.negotiation = self.channel = self.in_channel = self.streaming = None

    cpdef shut_down(self, str text):
        """The broker stops: 320 CONNECTION_FORCED."""
        if self.negotiation is not None:
            ending.shut_down(self, text)

    # ── for the cold half ─────────────────────────────────────────────────────────────────────────────────────────

    def write(self, bytes frames):
        """Sends whole frames."""
        self.output.write(frames, len(frames))

    def on_rights_changed(self):
        """See core.presence.Present."""
        revoked.on_rights_changed(self)

    def be_metered(self):
        """What its user and vhost may publish per second holds from now on."""
        rates = self.broker.publish_rates
        if self.meter is not None or rates.are_set:
            rates.renew(self, partial(self.rest, RESTS_FOR_RATE), partial(self.go_on, RESTS_FOR_RATE))

    @property
    def published(self) -> int:
        """Messages of the channels that are open."""
        return sum(channel.messages_published for channel in self.channels.values())

    def open_channel(self, int number):
        """Makes the channel (the number is free and in range)."""
        channel = Channel(self, number, self.output, self.broker.store, self.vhost, self.user,
                          (self.frame_max or 1 << 20) - FRAME_OVERHEAD, self.endpoint.unacked_per_channel_max)
        self.channels[number] = channel
        return channel

    def forget_channel(self, int number):
        """The channel's number is free again."""
        self.channels.pop(number, None)
        if self.channel is not None and self.channel.number == number:
            self.channel = None
        if self.streaming is not None and self.streaming.number == number:
            self.streaming = None

    def tell_later(self, Channel channel):
        """The channel has confirms to send when this read is done."""
        self.untold.append(channel)

    def rest_for_turn(self):
        """What is published goes to so many that others would wait: read on in the next turn."""
        self.rest(RESTS_FOR_TURN)
        self.fan_out.rest(partial(self.go_on, RESTS_FOR_TURN))

    def rest(self, int reason):
        """Stops consuming: what comes waits at the edge."""
        if self.rests == 0:
            self.output.pause_reading()
        self.rests |= reason

    def go_on(self, int reason):
        """The reason is gone; reading goes on when it was the last."""
        if self.rests & reason:
            self.rests &= ~reason
            if self.rests == 0 and self.state != CLOSED:
                self.output.resume_reading()

    @property
    def is_resting(self) -> bool:
        """Reading is stopped by the broker."""
        return self.rests != 0

    def answer_when_stored(self, bytes frames):
        """Sends `frames` when what the open batch holds is on disk; until then nothing more is read (law 1)."""
        self.rest(RESTS_FOR_STORE)
        self.broker.when_stored(partial(self.on_stored, frames), self.on_not_stored)

    def on_stored(self, bytes frames):
        """The batch is on disk."""
        if self.state == RUNNING:
            self.output.write(frames, len(frames))
        self.go_on(RESTS_FOR_STORE)

    def on_not_stored(self):
        """The store has failed: what was asked for can't be promised."""
        if self.state == RUNNING:
            ending.fail(self, AmqpError(541, "the store has failed: nothing can be written to disk"))
        self.go_on(RESTS_FOR_STORE)

    def await_decision(self, question):
        """The frame is taken again when others have said who the user is, or what they may."""
        self.rest(RESTS_FOR_DECISION)
        question.when_decided(partial(self.go_on, RESTS_FOR_DECISION))

    def become(self, user):
        """The same user by another login: what was answered to the last one is asked again."""
        self.user = user
        for channel in self.channels.values():
            (<Channel>channel).user = user
        revoked.on_rights_changed(self)

    def rest_for_disk(self):
        """More waits for the disk than may: read on when it has what the open batch holds."""
        if not self.rests & RESTS_FOR_DISK:
            self.rest(RESTS_FOR_DISK)
            self.broker.when_stored(partial(self.go_on, RESTS_FOR_DISK), partial(self.go_on, RESTS_FOR_DISK))

    def rest_for_reader(self):
        """The peer does not read what it asked for: until it does, nothing more is read from it."""
        self.rest(RESTS_FOR_READER)

    def abort(self, str reason):
        """Cuts the connection off."""
        self.output.abort()

    def on_first_publish(self):
        """From now on an alarm concerns this connection."""
        if not self.publishes:
            self.publishes = True
            self.broker.publishing.add(self)
            if self.broker.alarms:
                self.block(self.broker.blocked_reason)

    def block(self, str reason):
        """See core.broker.Blockable: what comes is read up to the next publish."""
        self.negotiation.send_blocked(reason)
        self.is_blocked = True

    def unblock(self):
        """See core.broker.Blockable."""
        self.negotiation.send_unblocked()
        self.is_blocked = False
        self.go_on(RESTS_FOR_ALARM)

    def reserve(self, uint64_t size):
        """A body of this size is begun, or a transaction holds so much more. Raises AmqpError 311 above the limit."""
        if self.begun_bytes and self.begun_bytes + size > self.begun_bytes_max:
            self.intake.refused_count += 1
            raise AmqpError(311, f"this connection has begun {self.begun_bytes} bytes, and may no more than "
                                 f"{self.begun_bytes_max}")
        if self.begun_bytes == 0:
            self.intake.holders.add(self)
        self.begun_bytes += size

    def release(self, uint64_t size):
        """It is whole, committed or given up."""
        self.begun_bytes -= size
        if self.begun_bytes == 0:
            self.intake.holders.discard(self)
            self.moved_ms = 0

    def read_on(self, int64_t now_ms, int64_t stalled_after_ms):
        """See core.intake.Holder."""
        moved = sum(channel.moved_bytes for channel in self.channels.values())
        if self.moved_ms == 0 or moved != self.moved_bytes or self.rests & RESTS_FOR_ALARM:
            self.moved_bytes = moved
            self.moved_ms = now_ms
        elif now_ms - self.moved_ms >= stalled_after_ms:
            self.intake.stalled_count += 1
            ending.fail(self, AmqpError(506, "memory is short, and what was begun does not go on", hard=True))
        self.go_on(RESTS_FOR_ALARM)

    @property
    def bytes_sent(self) -> int:
        """Since the connection was opened."""
        return self.output.bytes_sent


cdef int wake_settled(AmqpConnection connection) except -1:
    """The row of acknowledgements has ended: see Channel.wake_settled."""
    cdef Channel channel = connection.settling
    connection.settling = None
    return channel.wake_settled()


cdef inline Py_ssize_t take_publish(AmqpConnection connection, const char* data, size_t size, size_t length) except -1:
    """A basic.publish on the channel of the last frame, with its content, in one step; 0 where it is not so simple."""
    cdef PyObject* channel = <PyObject*>connection.channel          # borrowed
    cdef Py_ssize_t whole
    if channel == <PyObject*>None or (<Channel>channel).number != load16(data + 1) \
            or (<Channel>channel).expects != EXPECT_METHOD or (<Channel>channel).is_closing \
            or connection.state != RUNNING:
        return 0
    if connection.settling is not None:
        wake_settled(connection)
    if <PyObject*>connection.in_channel != channel:
        connection.in_channel = <Channel>channel
    connection.method = BASIC_PUBLISH
    whole = publish_whole(<Channel>channel, data, size, length)
    if whole:
        connection.frames_received += 3
    return whole
