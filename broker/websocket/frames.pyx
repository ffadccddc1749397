"""Frames of RFC 6455 §5.2: see frames.pxd.

Owns the octets of a frame's header and the mask. Knows nothing of messages, connections and what is allowed when.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from broker.wire.octets cimport load16, load64, store16, store64


cdef int frame_parse(const char* data, size_t size, frame_t* frame) noexcept nogil:
    cdef uint8_t first, second
    cdef size_t needed = 2
    if size < 2:
        return FRAME_PARTIAL
    first = <uint8_t>data[0]
    second = <uint8_t>data[1]
    frame.bits = first & 0xF0
    frame.opcode = first & 0x0F
    frame.masked = second >> 7
    frame.size = second & 0x7F
    if frame.size == 126:
        needed = 4
    elif frame.size == 127:
        needed = 10
    if frame.masked:
        needed += 4
    frame.header_size = needed
    if size < needed:
        return FRAME_PARTIAL
    # The shortest form alone is a length (RFC 6455 §5.2), and its highest bit is 0.
    if frame.size == 126:
        frame.size = load16(data + 2)
        if frame.size < 126:
            return FRAME_MALFORMED
    elif frame.size == 127:
        frame.size = load64(data + 2)
        if frame.size < 65536 or frame.size >> 63:
            return FRAME_MALFORMED
    frame.mask = 0
    if frame.masked:
        memcpy(&frame.mask, data + needed - 4, 4)
    return FRAME_WHOLE


cdef uint32_t unmask(char* to, const char* data, size_t size, uint32_t mask) noexcept nogil:
    # Forwards, and each piece is loaded before it is stored, so that `to` may overlap `data` from the front.
    cdef uint64_t wide = (<uint64_t>mask << 32) | mask
    cdef uint64_t piece
    cdef size_t index = 0
    cdef uint32_t shift
    while index + 8 <= size:
        memcpy(&piece, data + index, 8)
        piece ^= wide
        memcpy(to + index, &piece, 8)
        index += 8
    while index < size:
        to[index] = <char>(<uint8_t>data[index] ^ (<uint8_t*>&mask)[index & 3])
        index += 1
    shift = 8 * (size & 3)
    if shift == 0:
        return mask
    return (mask >> shift) | (mask << (32 - shift))         # little-endian: the octet that comes next is the lowest


cdef size_t header_size(uint64_t size) noexcept nogil:
    if size < 126:
        return 2
    return 4 if size < 65536 else 10


cdef void write_header(char* to, uint8_t first, uint64_t size) noexcept nogil:
    to[0] = <char>first
    if size < 126:
        to[1] = <char>size
    elif size < 65536:
        to[1] = 126
        store16(to + 2, <unsigned short>size)
    else:
        to[1] = 127
        store64(to + 2, size)
