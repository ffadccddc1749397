"""A set of packet identifiers: one bit each."""

cdef enum:
    WORD_COUNT = 1024


cdef class PacketIds:
    """Made by whoever has the first one to remember."""

    cdef int note(self, uint16_t packet_id, bint is_there) noexcept:
        if self.has(packet_id) != is_there:
            self.bits[packet_id >> 6] ^= <uint64_t>1 << (packet_id & 63)
            self.count += 1 if is_there else -1
        return 0

    def all(self) -> list:
        """Those that are in it."""
        cdef list found = []
        cdef int word, bit
        if self.count == 0:
            return found
        for word in range(WORD_COUNT):          # with every batch, for every session with QoS 2: most words are empty
            if self.bits[word] != 0:
                for bit in range(64):
                    if self.bits[word] >> bit & 1:
                        found.append(word * 64 + bit)
        return found
