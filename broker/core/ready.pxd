"""The ready list: a queue's messages in order, the first in memory, the middle on disk, the newest in memory.

    front (ring) ──▶ runs (segment, first slot, count) ──▶ tail (ring, until its batch is on disk)

Owns order and memory, knows nothing of consumers or limits. A short queue lives in `front` alone. When `front` passes
the memory budget the list *pages*: what is pushed waits in `tail` only until the store has it, then is forgotten but
for its place. `pop` reads runs back as `front` runs dry. A backlog of 10 million messages costs a few thousand runs.

Invariants: positions grow from front over runs to tail; while `runs` or `tail` hold anything, nothing is pushed to
`front`; every entry in `tail` has a slot in the store.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from broker.core.delivery_counts cimport DeliveryCounts
from broker.core.entry cimport entry_t, ring_t
from storage.interface cimport Store

ctypedef struct run_t:
    uint64_t segment
    uint64_t bytes                  # of bodies
    uint32_t first_slot
    uint32_t count

cdef class ReadyList:
    cdef Store store
    cdef DeliveryCounts delivery_counts      # the queue's
    cdef uint32_t store_id
    cdef ring_t front
    cdef ring_t tail
    cdef run_t* runs
    cdef size_t runs_head, runs_end, runs_capacity
    cdef readonly uint64_t count             # messages, wherever they are
    cdef readonly uint64_t bytes             # of their bodies
    cdef uint64_t memory_bytes               # of messages held in memory
    cdef uint64_t memory_bytes_max
    cdef int read_ahead                     # entries that `page_in` reads next: few at first, more while it goes on
    cdef uint64_t redelivered_up_to          # restored entries up to this position may have been delivered before

    # True if what is pushed next must have a slot in the store, durable or not.
    cdef bint is_paging(self) noexcept
    cdef int push(self, entry_t* entry) except -1
    cdef int push_back_again(self, entry_t* entry) except -1        # returned by a consumer: to its old place
    # The first entry, read from disk if need be; NULL when empty. Valid until the next call.
    cdef entry_t* peek(self) except? NULL
    cdef int pop(self, entry_t* entry) except -1                    # only after a `peek` that gave one
    cdef int take(self, size_t index, entry_t* entry) except -1     # out of the front's middle
    cdef int add_run(self, uint64_t segment, uint32_t first_slot, uint32_t count, uint64_t bytes) except -1
    cdef int page_out(self) except -1
    cdef int page_in(self) except -1
    cdef uint64_t clear(self) except? 0xffffffffffffffff            # settles everything; how many there were


cdef inline uint64_t run_bytes(ReadyList level) noexcept:
    """Bodies of the messages that are on disk alone."""
    cdef uint64_t bytes = 0
    cdef size_t index
    for index in range(level.runs_head, level.runs_end):
        bytes += level.runs[index].bytes
    return bytes
