"""The ring of unacked deliveries: see unacked.pxd."""

from cpython.ref cimport Py_XINCREF
from libc.stdlib cimport free, malloc

cdef enum:
    CAPACITY_MIN = 16
    HOLES_MIN = 1024                # below that many places holes are not worth the walk


cdef int unacked_push(unacked_ring_t* ring, entry_t* entry, uint64_t tag, PyObject* queue,
                      PyObject* consumer) except -1:
    cdef unacked_t* place
    if ring.used == ring.capacity:
        resize(ring)
    place = unacked_at(ring, ring.used)
    place.entry = entry[0]
    place.tag = tag
    place.queue = queue
    place.consumer = consumer
    Py_XINCREF(queue)
    Py_XINCREF(consumer)
    ring.used += 1
    ring.count += 1
    return 0


cdef unacked_t* unacked_find(unacked_ring_t* ring, uint64_t tag) noexcept:
    cdef size_t low = 0, high = ring.used, middle
    cdef unacked_t* place
    if ring.used == 0 or tag < unacked_at(ring, 0).tag:
        return NULL
    middle = tag - unacked_at(ring, 0).tag
    if middle < ring.used:
        place = unacked_at(ring, middle)
        if place.tag == tag:
            return place if place.queue != NULL else NULL
    while low < high:
        middle = (low + high) >> 1
        if unacked_at(ring, middle).tag < tag:
            low = middle + 1
        else:
            high = middle
    if low < ring.used:
        place = unacked_at(ring, low)
        if place.tag == tag and place.queue != NULL:
            return place
    return NULL


cdef void unacked_remove(unacked_ring_t* ring, unacked_t* place) noexcept:
    place.queue = NULL
    place.consumer = NULL
    ring.count -= 1
    if ring.count == 0:
        ring.head = ring.used = 0
        return
    while ring.places[ring.head].queue == NULL:
        ring.head = (ring.head + 1) & (ring.capacity - 1)
        ring.used -= 1


cdef int resize(unacked_ring_t* ring) except -1:
    """Makes room: without its holes the ring may be half empty; else it doubles."""
    cdef size_t capacity = ring.capacity, index, kept = 0
    cdef unacked_t* places
    if capacity == 0:
        capacity = CAPACITY_MIN
    elif ring.used < HOLES_MIN or ring.count * 2 > ring.used:
        capacity *= 2
    places = <unacked_t*>malloc(capacity * sizeof(unacked_t))
    if places == NULL:
        raise MemoryError
    for index in range(ring.used):
        if unacked_at(ring, index).queue != NULL:
            places[kept] = unacked_at(ring, index)[0]
            kept += 1
    free(ring.places)
    ring.places = places
    ring.capacity = capacity
    ring.head = 0
    ring.used = kept
    return 0


cdef void unacked_free(unacked_ring_t* ring) noexcept:
    free(ring.places)
    ring.places = NULL
    ring.capacity = ring.head = ring.used = ring.count = 0
