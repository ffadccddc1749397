"""A set of packet identifiers: one bit each."""

cdef enum:
    ID_COUNT = 65536


cdef class PacketIds:
    """Made by whoever has the first one to remember."""

    cdef int note(self, uint16_t packet_id, bint is_there) noexcept:
        if self.has(packet_id) != is_there:
            self.bits[packet_id >> 6] ^= <uint64_t>1 << (packet_id & 63)
            self.count += 1 if is_there else -1
        return 0

    def all(self) -> list:
        """Those that are in it."""
        cdef uint32_t packet_id
        if self.count == 0:
            return []
        return [packet_id for packet_id in range(ID_COUNT) if self.has(<uint16_t>packet_id)]
