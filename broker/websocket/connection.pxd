"""One WebSocket (RFC 6455): a connection to the edge, an edge to the dialect that it carries.

    edge's Output ◀── WebSocketConnection ──▶ carried dialect           in:  frames → data_received, once per read
          ▲                                        │
          └──────── one frame per turn ◀── CarriedOutput               out: what a turn wrote is one binary message

Two kinds of dialect are carried. A *stream* (MQTT, AMQP) cares for octets alone: the payloads of all frames of a
read are put end to end, in place, and given to it in one call. A *messages* dialect (the native one) is given each
message whole, text or binary, by `on_data`, and answers with `CarriedOutput.send_message`.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from broker.wire.connection cimport Connection
from broker.wire.output cimport Output

cdef enum:                          # WebSocketConnection.state
    AWAIT_UPGRADE = 0
    OPEN = 1
    CLOSING = 2                     # we have sent Close, and the peer has not yet
    CLOSED = 3


cdef class WebSocketConnection(Connection):
    cdef readonly object endpoint                       # endpoint.WebSocketEndpoint
    cdef readonly Connection carried                    # None until the upgrade, and after the end
    cdef readonly str path                              # what the client asked for
    cdef readonly str subprotocol                       # "" where none was agreed on
    cdef readonly int state
    cdef CarriedOutput carried_output
    cdef bint by_message
    cdef bint is_text                                   # a messages dialect that speaks in text
    cdef bint deflates                                  # permessage-deflate was agreed on
    cdef size_t decoded                                 # at the front of the next read: octets without their mask
    # the frame that is being received
    cdef uint64_t frame_left                            # octets of its payload still to come
    cdef uint32_t mask
    cdef bint frame_is_last
    # the message that is being received
    cdef uint8_t message_opcode                         # 0: none
    cdef bint message_is_compressed
    cdef uint64_t message_bytes
    cdef uint64_t frame_bytes_max
    cdef uint64_t message_bytes_max
    cdef bytearray gathered                             # of a message that is needed whole
    cdef bytearray inflated                             # of a stream: what the dialect has not yet consumed
    cdef char* stored_at                                # where the edge reads the next octets to
    # the end
    cdef int close_code                                 # when the dialect closes
    cdef int failure                                    # code to close with when what came before is consumed; 0: none
    cdef str failure_text
    cdef bytes closing_payload                          # the peer's Close; None: it has sent none
    cdef public object timer                            # of the upgrade, or of the end
    # pings: the endpoint's
    cdef public unsigned long long heard_bytes
    cdef public bint pinged

    cdef Py_ssize_t receive(self, char* data, size_t size) except -1
    cdef size_t begin_frame(self, char* data, size_t size) except? 0
    cdef int check_frame(self, uint8_t opcode, uint8_t bits, uint64_t size) except -1
    cdef int take_control(self, uint8_t opcode, const char* data, size_t size) except -1
    cdef int end_message(self) except -1
    cdef int feed_inflated(self) except -1
    cdef void fail(self, int code, str text) noexcept
    cdef void move_pending(self) noexcept
    cdef void write_frame(self, uint8_t first, const char* data, size_t size) noexcept


cdef class CarriedOutput(Output):
    cdef WebSocketConnection owner
    cdef bint is_paused
