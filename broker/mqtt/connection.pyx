"""The hot half of an MQTT connection: see connection.pxd."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy

from broker.core.message cimport copy_bytes, message_body, message_new, message_t, message_unref
from broker.core.target cimport STORED
from broker.mqtt.client cimport CLOSED, RESTS_FOR_ALARM, RESTS_FOR_READER, RUNNING, Client
from broker.mqtt.codec cimport (
    FLAG_RETAIN, PUBACK, PUBCOMP, PUBLISH, PUBLISH_OK, PUBLISH_SHORT, PUBREC, PUBREL, fixed_header, load16,
    publish_t, read_publish,
)
from broker.mqtt.endpoint cimport Endpoint
from broker.mqtt.incoming cimport IS_DROPPED, PAYLOAD_IS_TEXT, Incoming, is_text, raise_publish
from broker.mqtt.session cimport Session
from broker.mqtt.under_way cimport has_received
from broker.mqtt.traffic cimport see

from broker.core.undecided import Undecided
from broker.mqtt import control, ending, review
from broker.mqtt.reasons import MqttError, Reason

cdef enum:
    STREAMED_MIN = 16384            # a payload from this size on is taken in pieces as it comes
    NO_MATCHING_SUBSCRIBERS = 0x10
    ID_NOT_FOUND = 0x92
    PACKET_IDS = 65536


cdef class MqttConnection(Client):
    """One client over MQTT: its bytes to packets."""

    def __init__(self, broker, Endpoint endpoint):
        """`broker`: core.broker.Broker; `endpoint`: what all connections of the dialect share (endpoint.Endpoint)."""
        self.broker = broker
        self.endpoint = endpoint
        self.clock = broker.clock
        self.store = broker.store
        self.intake = broker.intake
        self.fan_out = broker.fan_out
        self.counters = endpoint.counters
        self.connected_ms = self.received_ms = self.clock.now_ms
        self.open_batch_bytes_max = endpoint.open_batch_bytes_max
        self.message_bytes_max = endpoint.message_bytes_max
        self.control_bytes_max = endpoint.control_bytes_max
        self.receive_maximum = endpoint.receive_maximum
        self.packet_bytes_max = <uint32_t>-1
        self.wants_reasons = True

    def __dealloc__(self):
        if self.begun != NULL:
            message_unref(self.begun)

    cpdef opened(self):
        """The transport is there: the client speaks first [MQTT-3.1.0-1], but not when it likes."""
        (<Endpoint>self.endpoint).on_opened(self)

    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 0
        self.received_ms = self.clock.now_ms
        if self.topics is not None:
            see(self.topics, &self.seen)
        try:
            at = self.consume(data, 0, size)
        except Undecided as undecided:
            self.await_decision(undecided.question)
            self.counters.packets_received -= 1                         # it comes again
            at = self.packet_at
        except Exception as error:
            ending.on_error(self, error)
        if self.topics is not None:
            self.traffic.passed(self.topics, &self.seen)
        if self.state == CLOSED:
            at = size
        else:
            if self.answers is not None:
                self.answers.tell_accepted()
            if self.session is not None:
                self.session.wake()
            if self.publishes and self.store.filling_bytes > self.open_batch_bytes_max:
                self.rest_for_disk()
        self.bytes_received += at
        if self.meter is not None:
            self.meter.charge(self.published, self.bytes_received)
        return at

    cdef Py_ssize_t consume(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1:
        """Takes whole packets from data[at:size], of a large PUBLISH also a part. Where it stopped."""
        cdef size_t length, there
        cdef int header, kind
        cdef uint8_t first
        while self.rests == 0:
            if self.begun != NULL:
                if at == size:
                    break
                there = min(<size_t>(size - at), self.begun_left)
                memcpy(begun_place(self), data + at, there)
                at += there
                self.begun_moved(there)
                continue
            if size - at < 2:
                break
            self.packet_at = at
            header = fixed_header(data + at, size - at, &length)
            if header <= 0:
                if header < 0:                                          # §2.1.4
                    raise MqttError(Reason.MALFORMED_PACKET, "a remaining length of more than four octets")
                break
            first = <uint8_t>data[at]
            kind = first >> 4
            there = size - at - header
            if there < length:
                if kind != PUBLISH or self.state != RUNNING:
                    if length > self.control_bytes_max:
                        raise MqttError(Reason.PACKET_TOO_LARGE, f"a packet of {length} bytes")
                    break
                if length < STREAMED_MIN or self.must_rest() \
                        or not begin(self, first, data + at + header, there, length):
                    break
                at = size
                continue
            if kind == PUBLISH and self.state == RUNNING:
                if self.is_blocked and self.must_rest():
                    break
                on_publish(self, first, data + at + header, length)
                if self.fan_out.left < 0:
                    self.rest_for_turn()
            elif length == 2 and PUBACK <= kind <= PUBCOMP and self.state == RUNNING \
                    and first & 15 == (2 if kind == PUBREL else 0):
                self.counters.packets_received += 1
                self.on_ack(kind, packet_id_of(data + at + header), 0)
            else:
                self.counters.packets_received += 1
                if length > self.control_bytes_max and kind != PUBLISH:
                    raise MqttError(Reason.PACKET_TOO_LARGE, f"a packet of {length} bytes")
                control.on_packet(self, first, data[at + header:at + header + length])
            at += header + length
            if self.state == CLOSED:
                return size
        return at

    # ── PUBLISH ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int publish_message(self, publish_t* publish, message_t* message) except -1:
        """Takes over a whole message: routes it, and remembers what its publisher is owed."""
        cdef PyObject* exchange = <PyObject*>self.exchange
        cdef int outcome = 0, reason
        try:
            if publish.flags & PAYLOAD_IS_TEXT and not is_text(message):
                self.refuse_publish(publish.qos, publish.packet_id, Reason.PAYLOAD_FORMAT_INVALID)
                return 0
            if publish.flags & FLAG_RETAIN:
                outcome = self.retained.retain(message)                 # [MQTT-3.3.1-5]
            outcome |= (<Exchange>exchange).publish(message)
        finally:
            message_unref(message)
        if publish.qos == 0:
            return 0
        reason = NO_MATCHING_SUBSCRIBERS if outcome == 0 else 0
        if publish.qos == 1:
            return self.answers.promise(PUBACK, publish.packet_id, reason, outcome)
        self.session.note_received(publish.packet_id, True)             # [MQTT-4.3.3-10]
        if self.session.is_stored:
            outcome |= STORED                                           # that it was received is written down, too
        return self.answers.promise(PUBREC, publish.packet_id, reason, outcome)

    def refuse_publish(self, int qos, uint16_t packet_id, reason, bint closes=True):
        """It may not be published: MQTT 5 says so; MQTT 3 closes, or acknowledges as Mosquitto does [MQTT-3.3.5-2]."""
        self.counters.refuse_publish(reason)
        if self.version != 5 and closes:
            raise MqttError(reason, f"a PUBLISH was refused: {reason.text}")
        if qos:
            self.answers.promise(PUBACK if qos == 1 else PUBREC, packet_id, reason, 0)

    def on_first_publish(self):
        """May it publish at all? From now on an alarm concerns this connection."""
        if not self.user.may_write(self.vhost.name, "amq.topic", "exchange"):
            return False
        self.exchange = self.vhost.exchanges["amq.topic"]
        self.incoming = self.incoming or Incoming(self, self.session.rights)
        self.retained = self.vhost.retained
        self.publishes = True
        self.broker.publishing.add(self)
        if self.broker.alarms:
            self.block(self.broker.blocked_reason)
        return True

    def on_rights_changed(self):
        """See core.presence.Present."""
        review.on_rights_changed(self)

    def forget_rights(self):
        """The next publish asks again; one that has begun was allowed."""
        self.is_revised = self.begun != NULL
        if self.incoming is not None and not self.is_revised:
            self.exchange = None
            self.incoming.revise(self.session.rights)

    cdef int need_answers(self) except -1:
        if self.answers is None:
            self.answers = Answers(self, self.output, self.session, self.store, self.counters, self.version == 5)
            if self.version != 5:
                self.receive_maximum = PACKET_IDS           # MQTT 3 knows no other bound; a repeat of one is none more
        return 0

    # ── acknowledgements ──────────────────────────────────────────────────────────────────────────────────────────

    cdef int on_ack(self, int kind, uint16_t packet_id, int reason) except -1:
        cdef Session session = self.session
        cdef bint failed = reason >= 0x80
        if kind == PUBACK:
            return session.on_puback(packet_id, failed)
        if kind == PUBCOMP:
            session.on_pubcomp(packet_id)
            return 0
        self.need_answers()
        if kind == PUBREC:
            if session.on_pubrec(packet_id, failed):
                return self.answers.promise(PUBREL, packet_id, 0, STORED if session.is_stored else 0)
            if not failed:                                              # [MQTT-4.3.3-4]; not known, or not any more
                return self.answers.promise(PUBREL, packet_id, ID_NOT_FOUND, 0)
            return 0
        if has_received(session, packet_id):
            session.note_received(packet_id, False)
            return self.answers.promise(PUBCOMP, packet_id, 0, STORED if session.is_stored else 0)
        return self.answers.promise(PUBCOMP, packet_id, ID_NOT_FOUND, STORED if session.is_stored else 0)

    def acknowledge(self, int kind, uint16_t packet_id, int reason):
        """An acknowledgement that said more than the shortest does."""
        self.on_ack(kind, packet_id, reason)

    # ── a payload that comes in pieces ────────────────────────────────────────────────────────────────────────────

    cdef size_t next_bytes(self, char** where) noexcept:
        if self.begun == NULL or self.begun_left < STREAMED_MIN or self.rests or self.state != RUNNING:
            return 0
        where[0] = begun_place(self)
        return self.begun_left

    cdef void bytes_stored(self, size_t size) noexcept:
        self.received_ms = self.clock.now_ms
        self.bytes_received += size
        self.begun_stored(size)

    def begun_stored(self, size_t size):
        """So many bytes of the payload are in their place."""
        see(self.topics, &self.seen)
        try:
            self.begun_moved(size)
        except Exception as error:
            ending.on_error(self, error)
        self.traffic.passed(self.topics, &self.seen)
        if self.answers is not None and self.state == RUNNING:
            self.answers.tell_accepted()

    def begun_moved(self, size_t size):
        """… and perhaps it is whole."""
        cdef message_t* message
        self.begun_left -= size
        if self.begun_left == 0:
            message = self.begun
            self.forget_begun(False)
            if self.begun_publish.flags & IS_DROPPED:
                message_unref(message)
            else:
                self.publish_message(&self.begun_publish, message)
            if self.is_revised:
                self.forget_rights()

    def forget_begun(self, bint gives_up):
        """The message is whole, or given up."""
        if self.begun != NULL:
            self.intake.bytes -= self.begun.body_size
            self.intake.holders.discard(self)
            if gives_up:
                message_unref(self.begun)
            self.begun = NULL
            self.moved_ms = 0

    def read_on(self, int64_t now_ms, int64_t stalled_after_ms):
        """See core.intake.Holder."""
        if self.moved_ms == 0 or self.moved_bytes != self.begun_left or self.rests & RESTS_FOR_ALARM:
            self.moved_bytes = self.begun_left
            self.moved_ms = now_ms
        elif now_ms - self.moved_ms >= stalled_after_ms:
            self.intake.stalled_count += 1
            ending.fail(self, MqttError(Reason.QUOTA_EXCEEDED, "memory is short, and what was begun does not go on"))
        self.go_on(RESTS_FOR_ALARM)

    # ── the edge ──────────────────────────────────────────────────────────────────────────────────────────────────

    cdef void writable(self) noexcept:
        self.on_writable()

    def on_writable(self):
        """The output has drained: deliveries go on, and reading where it rested for that."""
        self.go_on(RESTS_FOR_READER)
        if self.session is not None:
            self.session.wake_all()

    cpdef lost(self, str reason):
        """The transport is gone."""
        ending.on_lost(self, reason)

    cpdef shut_down(self, str text):
        """The broker stops."""
        ending.shut_down(self, text)

    def expel(self, str text):
        """An administrator ends it."""
        ending.shut_down(self, text, Reason.ADMINISTRATIVE_ACTION)

    # ── for the cold half ─────────────────────────────────────────────────────────────────────────────────────────

    cpdef run(self, Session session):
        """See Client."""
        Client.run(self, session)
        self.traffic = self.counters.traffic_of(self.version)
        self.topics = self.vhost.exchanges["amq.topic"]
        see(self.topics, &self.seen)

    cpdef leave(self):
        """See Client."""
        session = Client.leave(self)
        if self.answers is not None:
            self.answers.close()                    # and kept: one of its methods may be what has led to this
        self.forget_begun(True)
        self.exchange = self.retained = None
        return session

    def on_unsayable(self, size):
        """See Client."""
        ending.on_unsayable(self, size)

    def on_not_stored(self):
        """See Client."""
        ending.on_not_stored(self)


# ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef inline uint16_t packet_id_of(const char* body) except? 0:
    cdef uint16_t packet_id = load16(body)
    if packet_id == 0:                                                  # [MQTT-2.2.1-3]
        raise MqttError(Reason.PROTOCOL_ERROR, "the packet identifier is 0")
    return packet_id


cdef inline bint may_publish(MqttConnection connection, publish_t* publish) except -1:
    """What must hold before a message is made of a PUBLISH; False: it is answered already."""
    if connection.exchange is None and not connection.on_first_publish():
        if publish.qos:
            connection.need_answers()
        connection.refuse_publish(publish.qos, publish.packet_id, Reason.NOT_AUTHORIZED)
        return False
    if publish.qos == 0:
        return True
    connection.need_answers()
    if connection.answers.unfinished >= connection.receive_maximum:     # [MQTT-3.3.4-7]
        raise MqttError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more messages than the receive maximum allows")
    if publish.qos == 2 and has_received(connection.session, publish.packet_id):
        connection.counters.duplicates_received += 1                    # [MQTT-4.3.3-10] taken before
        # It counts already where it came by this connection, and does not where it came by an earlier one. What
        # `promise` has added is taken back; it is there: only a refusal is said at once, and this is none.
        connection.answers.promise(PUBREC, publish.packet_id, 0, STORED if connection.session.is_stored else 0)
        connection.answers.unfinished -= 1
        return False
    return True


cdef inline message_t* message_of(MqttConnection connection, publish_t* publish) except? NULL:
    """A message, with room for the payload. NULL: the PUBLISH is answered already."""
    cdef message_t* message
    connection.published += 1
    if publish.payload_size > connection.message_bytes_max:             # [MQTT-3.1.2-24] the other way round
        raise MqttError(Reason.PACKET_TOO_LARGE, f"a payload of {publish.payload_size} bytes")
    if not may_publish(connection, publish):
        return NULL
    message = connection.incoming.make_message(publish)
    if connection.incoming.is_refused:
        message_unref(message)
        connection.refuse_publish(publish.qos, publish.packet_id, Reason.NOT_AUTHORIZED, False)
        return NULL
    return message


cdef int on_publish(MqttConnection connection, uint8_t first, const char* body, size_t length) except -1:
    """A whole PUBLISH."""
    cdef publish_t publish
    cdef message_t* message
    cdef int found = read_publish(first, body, length, length, connection.version == 5, &publish)
    connection.counters.packets_received += 1
    if found != PUBLISH_OK:
        raise_publish(found)
    message = message_of(connection, &publish)
    if message == NULL:
        return 0
    copy_bytes(message_body(message), publish.payload, publish.payload_size)
    return connection.publish_message(&publish, message)


cdef bint begin(MqttConnection connection, uint8_t first, const char* body, size_t there, size_t length) except -1:
    """Begins a PUBLISH that is not whole. False: what stands before its payload has not come, either."""
    cdef publish_t* publish = &connection.begun_publish
    cdef message_t* message
    cdef int found = read_publish(first, body, there, length, connection.version == 5, publish)
    cdef size_t came
    if found == PUBLISH_SHORT and there < connection.control_bytes_max:
        return False
    if found == PUBLISH_SHORT:
        raise MqttError(Reason.PACKET_TOO_LARGE, "more properties than are taken")
    if found != PUBLISH_OK:
        raise_publish(found)
    came = there - (publish.payload - body)
    connection.counters.packets_received += 1
    message = message_of(connection, publish)
    if message == NULL:
        message = message_new(NULL, 0, NULL, 0, NULL, 0, publish.payload_size)
        if message == NULL:
            raise MemoryError
        publish.flags |= IS_DROPPED
    memcpy(message_body(message), publish.payload, came)
    connection.begun, connection.begun_left = message, publish.payload_size - came
    connection.intake.bytes += message.body_size
    connection.intake.holders.add(connection)
    return True


cdef inline char* begun_place(MqttConnection connection) noexcept:
    return message_body(connection.begun) + (connection.begun.body_size - connection.begun_left)
