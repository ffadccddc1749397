"""A set of packet identifiers."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef class PacketIds:
    cdef uint64_t bits[1024]
    cdef readonly uint32_t count

    cdef int note(self, uint16_t packet_id, bint is_there) noexcept
    cdef inline bint has(self, uint16_t packet_id) noexcept:
        return (self.bits[packet_id >> 6] >> (packet_id & 63)) & 1
