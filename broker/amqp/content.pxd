"""Content as frames: a method frame, the header frame, and body frames no larger than the peer takes (§4.2.6)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.amqp.codec cimport (
    FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_OVERHEAD, HEADER_FIXED, put_bytes, put_frame_start, store32, store64,
)
from broker.core.message cimport message_body, message_properties, message_t


cdef inline size_t content_size(message_t* message, size_t properties_size, uint32_t payload_max) noexcept:
    """Bytes that header and body frames take."""
    cdef size_t frames = (message.body_size + payload_max - 1) // payload_max
    return FRAME_OVERHEAD + HEADER_FIXED + properties_size + frames * FRAME_OVERHEAD + message.body_size


cdef inline char* put_content(char* at, int channel, message_t* message, const char* properties,
                              size_t properties_size, uint32_t payload_max) noexcept:
    """Writes header and body frames; the room was reserved by `content_size`."""
    cdef const char* body = message_body(message)
    cdef uint64_t left = message.body_size
    cdef size_t size
    at = put_frame_start(at, FRAME_HEADER, channel, HEADER_FIXED + properties_size)
    store32(at, 60 << 16)                           # class basic, weight 0
    store64(at + 4, message.body_size)
    at = put_bytes(at + HEADER_FIXED, properties, properties_size)
    at[0] = <char>FRAME_END
    at += 1
    while left:
        size = left if left < payload_max else payload_max
        at = put_frame_start(at, FRAME_BODY, channel, size)
        at = put_bytes(at, body, size)
        at[0] = <char>FRAME_END
        at += 1
        body += size
        left -= size
    return at
