"""One WebSocket: see connection.pxd.

Owns the states of RFC 6455, the assembly of messages, close codes, and back-pressure between the two outputs. Refuses
to know sockets, HTTP (`upgrade`) and what the carried dialect means.

Invariants: nothing is copied but into the edge's output; what the dialect does not consume stays in front of what the
edge keeps (`decoded`), so that pausing and partial units work as without frames; after `fail` or the peer's Close
nothing more is received; both outputs together hold at most twice their high mark and one delivery.
"""

import zlib

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memmove

from broker.websocket.frames cimport (
    CONTROL_MAX, FRAME_COMPRESSED, FRAME_FIN, FRAME_MALFORMED, FRAME_PARTIAL, FRAME_RESERVED,
    OPCODE_BINARY, OPCODE_CLOSE, OPCODE_CONTINUATION, OPCODE_CONTROL, OPCODE_PING, OPCODE_PONG, OPCODE_TEXT,
    frame_parse, frame_t, header_size, unmask, write_header,
)
from broker.wire.connection cimport Connection
from broker.wire.output cimport Output, output_full

from broker.websocket.closing import (
    GOING_AWAY, INVALID_PAYLOAD, MESSAGE_TOO_BIG, NORMAL, PROTOCOL_ERROR, UNSUPPORTED, close_payload, read_close,
)

cdef enum:
    DEFLATE_MIN = 128               # smaller messages do not get smaller

cdef bytes DEFLATE_TAIL = b"\x00\x00\xff\xff"       # RFC 7692 §7.2.1


cdef class WebSocketConnection(Connection):
    """One peer that speaks HTTP first, and then frames."""

    def __init__(self, endpoint):
        """`endpoint`: what all WebSockets of a broker share (endpoint.WebSocketEndpoint)."""
        self.endpoint = endpoint
        self.path = self.subprotocol = ""
        self.close_code = NORMAL
        self.frame_bytes_max = endpoint.frame_bytes_max

    # ── from the edge ─────────────────────────────────────────────────────────────────────────────────────────────

    cpdef opened(self):
        """The transport is there: the client speaks first."""
        self.endpoint.await_upgrade(self)

    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t head
        if self.state != AWAIT_UPGRADE:
            return self.receive(<char*>data, size)
        head = self.endpoint.on_request(self, data[:min(size, self.endpoint.head_bytes_max)], size)
        if self.state == OPEN and head < size:
            head += self.receive(<char*>data + head, size - head)
        return head

    cdef size_t next_bytes(self, char** where) noexcept:
        cdef size_t wanted
        if self.frame_left == 0 or self.gathered is not None or self.inflated is not None or self.state != OPEN:
            return 0
        wanted = self.carried.next_bytes(where)
        self.stored_at = where[0]
        return wanted if wanted < self.frame_left else <size_t>self.frame_left

    cdef void bytes_stored(self, size_t size) noexcept:
        # They went straight into a message of the dialect's: the mask comes off there.
        self.mask = unmask(self.stored_at, self.stored_at, size, self.mask)
        self.carried_output.bytes_received += size
        self.frame_left -= size
        if self.frame_left == 0 and self.frame_is_last:
            self.message_opcode = 0
        self.carried.bytes_stored(size)

    cdef void writable(self) noexcept:
        if self.state == OPEN:
            self.move_pending()
            self.carried.writable()

    cdef bint flushing(self) noexcept:
        if self.state != OPEN or self.carried_output.end == self.carried_output.start:
            return False
        if output_full(self.output):
            return True
        self.move_pending()
        return False

    cpdef shut_down(self, str text):
        """The operator stops the broker: the dialect says so, then Close does (1001)."""
        if self.state == OPEN:
            self.close_code = GOING_AWAY
            self.carried.shut_down(text)
            if self.state == OPEN and not self.carried_output.closing:
                return                              # it waits for an answer, and closes by itself
        self.fail(GOING_AWAY, "the broker stops")

    @property
    def gathered_bytes(self):
        """What it has of a message that it needs whole."""
        return len(self.gathered or b"") + len(self.inflated or b"")

    cpdef lost(self, str reason):
        """The transport is gone."""
        cdef Connection carried = self.carried
        self.state = CLOSED
        self.carried = None
        self.endpoint.forget(self)
        if carried is not None:
            self.carried_output.closed = True
            self.carried_output.release()
            self.carried_output.owner = None            # no circle of references is left
            carried.lost(reason if self.closing_payload is None else "closed by peer")

    # ── from the endpoint ─────────────────────────────────────────────────────────────────────────────────────────

    def carry(self, Connection carried not None, *, path, subprotocol, peer, bint by_message, bint is_text,
              bint deflates, uint64_t message_bytes_max, bytes response):
        """The upgrade is accepted: say so, and open the dialect."""
        self.carried = carried
        self.path = path
        self.subprotocol = subprotocol
        self.peer = peer
        self.by_message = by_message
        self.is_text = is_text
        self.deflates = deflates
        self.message_bytes_max = message_bytes_max
        self.state = OPEN
        self.output.write(response, len(response))
        self.carried_output = CarriedOutput(self.output.pool, self.output.high_bytes, self.output.bytes_max)
        self.carried_output.owner = self
        carried.output = self.carried_output
        carried.peer = peer
        carried.listener = self.listener
        carried.tls = self.tls
        carried.opened()

    def refuse(self, bytes response):
        """The upgrade is refused: the last words are HTTP's."""
        self.state = CLOSED
        self.output.write(response, len(response))
        self.output.close()

    def ping(self):
        """Ask whether the peer is there (RFC 6455 §5.5.2)."""
        self.write_frame(FRAME_FIN | OPCODE_PING, NULL, 0)

    def end(self, int code, str text):
        """Close, for a reason of the broker's."""
        self.fail(code, text)

    def cut(self, str reason):
        """The peer has had its time."""
        self.state = CLOSED
        self.output.abort()

    @property
    def is_open(self) -> bool:
        """Whether frames are exchanged."""
        return self.state == OPEN

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────

    cdef Py_ssize_t receive(self, char* data, size_t size) except -1:
        """Frames from data[decoded:size]; returns how many octets the edge need not keep."""
        cdef size_t read = self.decoded
        cdef size_t write = read
        cdef size_t count, left
        self.decoded = 0
        if self.inflated is not None and self.state == OPEN:
            self.feed_inflated()
        while read < size and self.failure == 0 and self.closing_payload is None:
            if self.frame_left == 0:
                count = self.begin_frame(data + read, size - read)
                if count == 0:
                    break
                read += count
            if self.frame_left != 0 and read < size:
                count = size - read
                if count > self.frame_left:
                    count = <size_t>self.frame_left
                self.mask = unmask(data + write, data + read, count, self.mask)
                if self.gathered is not None:
                    self.gathered += data[write:write + count]
                else:
                    write += count
                read += count
                self.frame_left -= count
            if self.frame_left == 0 and self.frame_is_last and self.message_opcode != 0:
                self.end_message()
                if self.carried_output.is_paused:
                    break
        if self.state != OPEN:
            write = 0
        left = write
        if write != 0:
            self.carried_output.bytes_received += write
            left -= self.carried.data_received(data, write)
            self.carried_output.bytes_received -= left
        if self.closing_payload is not None:
            self._answer_close()
            return size
        if self.failure != 0:
            self.fail(self.failure, self.failure_text)
            return size
        if left != 0:
            memmove(data + read - left, data + write - left, left)
            self.decoded = left
        return read - left

    cdef size_t begin_frame(self, char* data, size_t size) except? 0:
        """Takes a header, and a control frame whole. 0: more must come; or it was the last one (failure, Close)."""
        cdef frame_t frame
        cdef int outcome = frame_parse(data, size, &frame)
        if outcome == FRAME_PARTIAL:
            return 0
        if outcome == FRAME_MALFORMED:
            return self._wrong(PROTOCOL_ERROR, "a frame's length is malformed")
        if not frame.masked:
            return self._wrong(PROTOCOL_ERROR, "a client's frames are masked")          # RFC 6455 §5.1
        if frame.opcode & OPCODE_CONTROL:
            if frame.bits != FRAME_FIN or frame.size > CONTROL_MAX:                       # §5.5
                return self._wrong(PROTOCOL_ERROR, "a control frame is whole, and has at most 125 octets")
            if size < frame.header_size + frame.size:
                return 0
            unmask(data + frame.header_size, data + frame.header_size, <size_t>frame.size, frame.mask)
            self.take_control(frame.opcode, data + frame.header_size, <size_t>frame.size)
            return frame.header_size + <size_t>frame.size
        if self.state == OPEN:
            self.check_frame(frame.opcode, frame.bits, frame.size)
            if self.failure:
                return 0
        self.mask = frame.mask
        self.frame_left = frame.size
        self.frame_is_last = frame.bits & FRAME_FIN != 0
        return frame.header_size

    cdef int check_frame(self, uint8_t opcode, uint8_t bits, uint64_t size) except -1:
        """A data frame begins: may it? Sets `failure` where it may not."""
        if opcode == OPCODE_CONTINUATION:
            if self.message_opcode == 0:
                return self._wrong(PROTOCOL_ERROR, "a continuation of nothing")           # §5.4
            if bits & FRAME_COMPRESSED:
                return self._wrong(PROTOCOL_ERROR, "only a message's first frame says that it is compressed")
        elif opcode > OPCODE_BINARY:
            return self._wrong(PROTOCOL_ERROR, "a reserved opcode")                       # §5.2
        elif self.message_opcode != 0:
            return self._wrong(PROTOCOL_ERROR, "a message within a message")              # §5.4
        elif (opcode == OPCODE_TEXT) != self.is_text:
            # [MQTT-6.0.0-1], and ours for the rest: a dialect speaks in one kind of message.
            return self._wrong(UNSUPPORTED, f"expected {'text' if self.is_text else 'binary'} messages")
        else:
            self.message_opcode = opcode
            self.message_bytes = 0
            self.message_is_compressed = bits & FRAME_COMPRESSED != 0
            self.gathered = bytearray() if self.by_message or self.message_is_compressed else None
        if bits & FRAME_RESERVED or (bits & FRAME_COMPRESSED and not self.deflates):
            return self._wrong(PROTOCOL_ERROR, "a reserved bit is set")                   # §5.2
        self.message_bytes += size
        if size > self.frame_bytes_max:
            return self._wrong(MESSAGE_TOO_BIG, f"a frame has at most {self.frame_bytes_max} octets")
        if self.gathered is not None and self.message_bytes > self.message_bytes_max:
            return self._wrong(MESSAGE_TOO_BIG, f"a message has at most {self.message_bytes_max} octets")
        return 0

    def _wrong(self, int code, str text):
        """The peer breaks a rule: what came before it counts, what comes after it does not."""
        self.failure = code
        self.failure_text = text
        return 0

    cdef int take_control(self, uint8_t opcode, const char* data, size_t size) except -1:
        if opcode == OPCODE_PING:
            if self.state == OPEN and not output_full(self.output):
                # §5.5.3 asks only for the answer to the last one: a peer that does not read gets none.
                self.write_frame(FRAME_FIN | OPCODE_PONG, data, size)
        elif opcode == OPCODE_CLOSE:
            self.closing_payload = data[:size]
        elif opcode != OPCODE_PONG:
            self._wrong(PROTOCOL_ERROR, "a reserved opcode")
        return 0

    cdef int end_message(self) except -1:
        """The last octet of a message was taken."""
        cdef bytearray gathered = self.gathered
        self.message_opcode = 0
        self.gathered = None
        if gathered is None or self.state != OPEN:
            return 0
        if self.message_is_compressed:
            self.message_is_compressed = False
            gathered = self._inflate(gathered)
            if gathered is None:
                return 0
        if self.is_text and not self._is_utf8(gathered):
            self._wrong(INVALID_PAYLOAD, "a text message is UTF-8")                       # §8.1
            return 0
        self.carried_output.bytes_received += len(gathered)
        if self.by_message:
            self.carried.on_received(bytes(gathered))
            return 0
        if self.inflated is None:
            self.inflated = gathered
        else:
            self.inflated += gathered
        return self.feed_inflated()

    def _inflate(self, bytearray compressed):
        """A message as it was before its compression (RFC 7692 §7.2.2); None where it is wrong or too large."""
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            message = bytearray(inflater.decompress(compressed + DEFLATE_TAIL, self.message_bytes_max + 1))
        except zlib.error:
            self._wrong(INVALID_PAYLOAD, "a compressed message is malformed")
            return None
        if <uint64_t>len(message) > self.message_bytes_max:
            self._wrong(MESSAGE_TOO_BIG, f"a message has at most {self.message_bytes_max} octets")
            return None
        return message

    def _is_utf8(self, bytearray message):
        try:
            message.decode()
        except UnicodeDecodeError:
            return False
        return True

    cdef int feed_inflated(self) except -1:
        """Give a stream what was inflated; what it does not consume waits."""
        cdef Py_ssize_t consumed
        if not self.inflated or self.carried_output.is_paused:
            return 0
        consumed = self.carried.feed(self.inflated)
        del self.inflated[:consumed]
        if len(self.inflated) == 0:
            self.inflated = None
        elif <uint64_t>len(self.inflated) > self.message_bytes_max and not self.carried_output.is_paused:
            self._wrong(MESSAGE_TOO_BIG, "a unit larger than a message may be")
        return 0

    def feed_again(self):
        """The dialect reads again, and inflated octets wait."""
        if self.state == OPEN and self.inflated is not None:
            self.feed_inflated()

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef void move_pending(self) noexcept:
        """What the dialect wrote since the last time, as one binary message, into the edge's output."""
        cdef CarriedOutput pending = self.carried_output
        cdef size_t size = pending.end - pending.start
        if size == 0:
            return
        if self.deflates and size >= DEFLATE_MIN:
            self._write_deflated(OPCODE_BINARY, pending.data[pending.start:pending.end])
        else:
            self.write_frame(FRAME_FIN | OPCODE_BINARY, pending.data + pending.start, size)
        pending.bytes_sent += size
        pending.release()
        pending.scheduled = False

    def _write_deflated(self, int opcode, bytes message):
        deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-len(DEFLATE_TAIL)]
        self.write_frame(FRAME_FIN | FRAME_COMPRESSED | opcode, deflated, len(deflated))

    cdef void write_frame(self, uint8_t first, const char* data, size_t size) noexcept:
        cdef size_t header = header_size(size)
        cdef char* room = self.output.reserve(header + size)
        if room == NULL:
            if not self.output.closing:
                self.output.abort()                 # no memory: half a message would be worse than none
            return
        write_header(room, first, size)
        if size != 0:
            memcpy(room + header, data, size)
        self.output.written(header + size)

    # ── the end (RFC 6455 §7) ─────────────────────────────────────────────────────────────────────────────────────

    cdef void fail(self, int code, str text) noexcept:
        """Say what is pending, then Close; the peer's own Close ends the connection."""
        if self.state != OPEN:
            self.output.close()
            return
        self.move_pending()
        self.state = CLOSING
        self.carried_output.closing = True
        self.gathered = self.inflated = None
        self._send_close(close_payload(code, text))
        self.endpoint.on_close_sent(self, code, text)
        if self.failure != 0:
            # §7.1.7: there is no sense in what else it may say.
            self.output.close()

    def _send_close(self, bytes payload):
        self.write_frame(FRAME_FIN | OPCODE_CLOSE, payload, len(payload))

    def _answer_close(self):
        """The peer has sent Close: answer in kind (§5.5.1), and that is all."""
        if self.state == OPEN:
            self.move_pending()
            code, text = read_close(self.closing_payload)
            self._send_close(close_payload(code, text))
            self.endpoint.on_close_received(self, code)
        self.state = CLOSING
        self.carried_output.closing = True
        self.output.close()


cdef class CarriedOutput(Output):
    """What a carried dialect writes to. Its octets wait here for the end of the turn."""

    @property
    def is_full(self):
        """Whether deliveries must wait."""
        return output_full(self) or output_full(self.owner.output)

    def send_message(self, bytes message):
        """One message of a messages dialect; dropped if the connection is closing."""
        cdef WebSocketConnection owner = self.owner
        cdef int opcode = OPCODE_TEXT if owner.is_text else OPCODE_BINARY
        if self.closed or self.closing:
            return
        self.bytes_sent += len(message)
        if owner.deflates and len(message) >= DEFLATE_MIN:
            owner._write_deflated(opcode, message)
        else:
            owner.write_frame(FRAME_FIN | opcode, message, len(message))

    cdef void schedule(self) noexcept:
        cdef Output output
        if self.owner is None:
            return
        output = self.owner.output
        if not output.scheduled:
            output.scheduled = True
            output.schedule()

    cpdef close(self):
        """Send what is pending, then Close (1000, or 1001 where the broker stops)."""
        if not self.closed and not self.closing:
            self.owner.fail(self.owner.close_code, "")

    def close_with(self, int code, str text):
        """Send what is pending, then Close with a code of RFC 6455 §7.4."""
        if not self.closed and not self.closing:
            self.owner.fail(code, text)

    cpdef abort(self):
        """Close at once; what is pending is lost."""
        if not self.closed:
            self.closed = True
            self.release()
            self.owner.output.abort()

    cpdef pause_reading(self):
        """Take no more from the peer."""
        if self.closed:
            return
        self.is_paused = True
        self.owner.output.pause_reading()

    cpdef resume_reading(self):
        """Take from the peer again."""
        if self.closed:
            return
        self.is_paused = False
        self.owner.output.resume_reading()
        if self.owner.inflated is not None:
            self.owner.endpoint.call_soon(self.owner.feed_again)
