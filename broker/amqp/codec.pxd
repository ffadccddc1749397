"""Frames and method arguments of AMQP 0-9-1 (§4.2): bytes in, bytes out. Knows no state.

    frame   0      1         3             7                  size+7    size+8
            │ type │ channel │ size        │ payload          │ 0xCE    │
    method  │ class-id:short │ method-id:short │ arguments     │
    header  │ class-id:short │ weight:short │ body size:longlong │ property flags:short │ property list │
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.message cimport copy_bytes
from broker.wire.octets cimport load16, load32, load64, store16, store32, store64

cdef enum:
    FRAME_METHOD = 1
    FRAME_HEADER = 2
    FRAME_BODY = 3
    FRAME_HEARTBEAT = 8
    FRAME_END = 0xCE
    FRAME_OVERHEAD = 8              # 7 bytes before the payload, the end octet behind it
    HEADER_FIXED = 12               # class, weight and body size in front of the properties
    FRAME_MIN_SIZE = 4096           # every peer must take frames of this size (§4.2.3)

cdef enum:                          # class-id << 16 | method-id, of the methods with code of their own
    BASIC_PUBLISH = 60 << 16 | 40
    BASIC_DELIVER = 60 << 16 | 60
    BASIC_RETURN = 60 << 16 | 50
    BASIC_GET_OK = 60 << 16 | 71
    BASIC_ACK = 60 << 16 | 80
    BASIC_REJECT = 60 << 16 | 90
    BASIC_NACK = 60 << 16 | 120


# Appends `size` bytes and gives the place behind them. Names are short: two overlapping words beat a call.
cdef inline char* put_bytes(char* at, const char* source, size_t size) noexcept nogil:
    copy_bytes(at, source, size)
    return at + size


cdef inline char* put_shortstr(char* at, const char* source, size_t size) noexcept nogil:
    at[0] = <char>size
    copy_bytes(at + 1, source, size)
    return at + 1 + size


cdef inline char* put_frame_start(char* at, int type, int channel, size_t size) noexcept nogil:
    at[0] = <char>type
    store16(at + 1, <uint16_t>channel)
    store32(at + 3, <uint32_t>size)
    return at + 7


cdef list decode_arguments(const char* arguments, size_t size, bytes signature)
