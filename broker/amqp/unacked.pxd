"""What a channel has delivered and not yet settled, in order of delivery tag.

Owns one entry, one reference to its queue and one to its consumer per delivery: a ring with holes where some were
settled. `multiple` is a range from the front; a single tag is found by its distance from the first, or, where
auto-ack deliveries took tags in between, by bisection. Knows no frames and no reply codes.

Invariants: tags grow along the ring; the first place is never a hole.
"""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.core.entry cimport entry_t
from broker.core.queue cimport Queue
from broker.core.target cimport Consumer

ctypedef struct unacked_t:
    entry_t entry
    uint64_t tag
    PyObject* queue                 # NULL: a hole
    PyObject* consumer              # NULL: basic.get

cdef class Unacked:
    cdef unacked_t* places
    cdef size_t capacity            # a power of two, or 0
    cdef size_t head
    cdef size_t used                # places from the first to the last, holes included
    cdef readonly size_t count      # deliveries
    cdef readonly uint32_t delivered    # … of them to consumers: what the channel's prefetch_count limits
    cdef dict gets_returned         # what basic.get gave and came back or was rejected, by queue; None: nothing

    # Takes over the entry. `consumer` None: basic.get.
    cdef int hold(self, entry_t* entry, Queue queue, Consumer consumer, uint64_t tag) except -1
    # Settles (queue.pxd: COMPLETE, REQUEUE, DISCARD) one delivery; its queue, to be woken, or None for an unknown tag.
    cdef Queue settle(self, uint64_t tag, int outcome)
    # Settles every delivery up to `tag`; their queues are the keys, to be woken in this order.
    cdef dict settle_up_to(self, uint64_t tag, int outcome)
    cdef uint64_t first_tag(self) noexcept      # 0: there is none
    cdef bint has(self, uint64_t tag) noexcept
    # Delivers all up to `tag` again, with new tags, to the same consumers; where `consumers` (by consumer tag) does not
    # have them any more, it goes back to its queue.
    cdef int redeliver(self, uint64_t tag, dict consumers) except -1
    # Takes the first delivery out without settling it: the caller owns entry and references (`consumer` may be NULL).
    cdef entry_t take_first(self, PyObject** queue, PyObject** consumer) except *
