"""What a channel has delivered and not yet settled: a ring in order of delivery tag, with holes where some were settled.

Owns one entry, one reference to its queue and one to its consumer per delivery. `multiple` is a range from the front; a single tag
is found by its distance from the first, or, where auto-ack deliveries took tags in between, by bisection.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport uint64_t

from broker.core.entry cimport entry_t

ctypedef struct unacked_t:
    entry_t entry
    uint64_t tag
    PyObject* queue                 # NULL: a hole
    PyObject* consumer              # NULL: basic.get

ctypedef struct unacked_ring_t:
    unacked_t* places
    size_t capacity
    size_t head
    size_t used                     # places between the first and the last, holes included
    size_t count                    # deliveries

cdef int unacked_push(unacked_ring_t* ring, entry_t* entry, uint64_t tag, PyObject* queue, PyObject* consumer) except -1
cdef unacked_t* unacked_find(unacked_ring_t* ring, uint64_t tag) noexcept
# Makes a hole; the caller has taken entry and references over. Holes in front go at once, others when they prevail.
cdef void unacked_remove(unacked_ring_t* ring, unacked_t* place) noexcept
cdef void unacked_free(unacked_ring_t* ring) noexcept


cdef inline unacked_t* unacked_at(unacked_ring_t* ring, size_t index) noexcept:
    return &ring.places[(ring.head + index) & (ring.capacity - 1)]
