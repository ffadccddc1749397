"""The ring of entries: growth and the operations in its middle. See entry.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef enum:
    RING_CAPACITY_MIN = 16


cdef int ring_grow(ring_t* ring) except -1:
    """Doubles the ring, straightened out so that its head is at index 0. Raises MemoryError."""
    cdef size_t capacity = ring.capacity * 2 if ring.capacity else RING_CAPACITY_MIN
    cdef entry_t* entries = <entry_t*>malloc(capacity * sizeof(entry_t))
    cdef size_t first
    if entries == NULL:
        raise MemoryError
    if ring.count:
        first = min(ring.count, ring.capacity - ring.head)
        memcpy(entries, ring.entries + ring.head, first * sizeof(entry_t))
        memcpy(entries + first, ring.entries, (ring.count - first) * sizeof(entry_t))
    free(ring.entries)
    ring.entries = entries
    ring.capacity = capacity
    ring.head = 0
    return 0


cdef int ring_insert(ring_t* ring, entry_t* entry) except -1:
    """Puts an entry back where its position belongs. What comes back is nearly always older than all that waits."""
    cdef size_t low = 0, high, middle, index
    if ring.count == ring.capacity:
        ring_grow(ring)
    high = ring.count
    while low < high:
        middle = (low + high) >> 1
        if ring_at(ring, middle).position < entry.position:
            low = middle + 1
        else:
            high = middle
    if low <= ring.count - low:
        ring.head = (ring.head - 1) & (ring.capacity - 1)
        ring.count += 1
        for index in range(low):
            ring_at(ring, index)[0] = ring_at(ring, index + 1)[0]
    else:
        ring.count += 1
        for index in range(ring.count - 1, low, -1):
            ring_at(ring, index)[0] = ring_at(ring, index - 1)[0]
    ring_at(ring, low)[0] = entry[0]
    return 0


cdef void ring_remove(ring_t* ring, size_t index, entry_t* entry) noexcept:
    """Takes an entry out of the middle (a consumer that must not get the head: no-local)."""
    entry[0] = ring_at(ring, index)[0]
    while index > 0:
        ring_at(ring, index)[0] = ring_at(ring, index - 1)[0]
        index -= 1
    ring.head = (ring.head + 1) & (ring.capacity - 1)
    ring.count -= 1


cdef void ring_clear(ring_t* ring) noexcept:
    free(ring.entries)
    ring.entries = NULL
    ring.capacity = ring.head = ring.count = 0
