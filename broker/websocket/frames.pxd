"""Frames of RFC 6455 §5.2: reading a header, taking the mask off, writing a header. No memory of its own.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    ┌─┬─┬─┬─┬───────┬─┬─────────────┬───────────────────────────────┐
    │F│R│R│R│opcode │M│ length      │ 16 bits, where length is 126  │
    │I│S│S│S│       │A│ (7 bits)    │ 64 bits, where it is 127      │
    │N│V│V│V│       │S│             │                               │
    │ │1│2│3│       │K│             │                               │
    ├─┴─┴─┴─┴───────┴─┴─────────────┼───────────────────────────────┤
    │ mask (4 octets, from clients) │ payload                       │
    └───────────────────────────────┴───────────────────────────────┘
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    OPCODE_CONTINUATION = 0x0
    OPCODE_TEXT = 0x1
    OPCODE_BINARY = 0x2
    OPCODE_CLOSE = 0x8
    OPCODE_PING = 0x9
    OPCODE_PONG = 0xA
    OPCODE_CONTROL = 0x8            # this bit is set in all control frames

cdef enum:
    FRAME_FIN = 0x80                # bits of the first octet
    FRAME_COMPRESSED = 0x40         # RSV1 (RFC 7692 §6)
    FRAME_RESERVED = 0x30
    HEADER_MAX = 14                 # octets of the longest header, mask included
    CONTROL_MAX = 125               # octets of a control frame's payload

cdef enum:                          # what frame_parse says
    FRAME_WHOLE = 0
    FRAME_PARTIAL = 1               # the header is not yet all there
    FRAME_MALFORMED = 2

ctypedef struct frame_t:
    uint8_t bits                    # FRAME_FIN, FRAME_COMPRESSED, FRAME_RESERVED
    uint8_t opcode
    bint masked
    uint32_t mask                   # as it lies in memory
    uint64_t size                   # of the payload
    size_t header_size

cdef int frame_parse(const char* data, size_t size, frame_t* frame) noexcept nogil

# Writes data[0:size] without its mask to `to`, which may be `data` or anything in front of it. Returns the mask for
# what follows.
cdef uint32_t unmask(char* to, const char* data, size_t size, uint32_t mask) noexcept nogil

# Octets that a server's header for such a payload takes, and the writing of it. `first`: FRAME_* bits and opcode.
cdef size_t header_size(uint64_t size) noexcept nogil
cdef void write_header(char* to, uint8_t first, uint64_t size) noexcept nogil
