"""One message in one queue, and the ring that holds entries in memory.

An entry owns one reference to its message. Entries are plain C, moved by value: the owner is whoever holds the struct,
first the queue's ready list, then the unacked ring of a channel or session, then nobody (settled).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from storage.records cimport message_t

cdef enum:
    ENTRY_REDELIVERED = 1           # a consumer may have seen it before
    ENTRY_DURABLE = 2               # its slot is restored after a restart

ctypedef struct entry_t:
    message_t* message
    uint64_t position               # order within the queue: grows by one with every message accepted
    int64_t expires_at_ms           # 0: never
    uint64_t segment                # where the store has it; 0: not stored
    uint32_t slot
    uint16_t delivery_count         # how often a consumer gave it back
    uint8_t flags                   # ENTRY_*
    uint8_t priority

ctypedef struct ring_t:
    entry_t* entries                # NULL while capacity is 0
    size_t capacity                 # a power of two, or 0
    size_t head                     # index of the first entry
    size_t count

cdef int ring_grow(ring_t* ring) except -1
cdef int ring_insert(ring_t* ring, entry_t* entry) except -1         # in order of position
cdef void ring_remove(ring_t* ring, size_t index, entry_t* entry) noexcept
cdef void ring_clear(ring_t* ring) noexcept                          # frees the memory; entries must be gone


cdef inline entry_t* ring_at(ring_t* ring, size_t index) noexcept:
    return &ring.entries[(ring.head + index) & (ring.capacity - 1)]


cdef inline int ring_push(ring_t* ring, entry_t* entry) except -1:
    if ring.count == ring.capacity:
        ring_grow(ring)
    ring.entries[(ring.head + ring.count) & (ring.capacity - 1)] = entry[0]
    ring.count += 1
    return 0


cdef inline void ring_pop(ring_t* ring, entry_t* entry) noexcept:
    entry[0] = ring.entries[ring.head]
    ring.head = (ring.head + 1) & (ring.capacity - 1)
    ring.count -= 1
