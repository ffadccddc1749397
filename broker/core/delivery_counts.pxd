"""How often messages of one queue came back, on disk: a restart does not set `x-delivery-limit` back.

Owns which counts the store has still to be told, and those it brought back at start-up. The count itself stands in the
entry; who counts, and what happens above the limit, is the queue's. A message that nobody ever gave back costs nothing.

Invariant: the store has a count for a slot only while the slot lives. A count goes with the batch that settles it.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from broker.core.entry cimport entry_t
from storage.interface cimport Contributor, Store


cdef class DeliveryCounts(Contributor):
    cdef Store store
    cdef uint32_t store_id          # the queue's first: all its priorities share it, a slot's place is unique
    cdef dict changed               # (segment, slot) → count; 0: forget it. Written with the open batch. Or None
    cdef dict restored              # (segment, slot) → count, of messages that are on disk alone. Or None

    # Both for entries that the store has.
    cdef int note(self, entry_t* entry) except -1
    cdef int forget(self, entry_t* entry) except -1
    cdef uint16_t take(self, uint64_t segment, uint32_t slot) except? 65535     # of a message that is read back
    cdef int forget_restored(self) except -1                                    # what is on disk alone was purged
    cdef int change(self, uint64_t segment, uint32_t slot, uint16_t count) except -1


cdef inline int settle_entry(Store store, DeliveryCounts counts, entry_t* entry) except -1:
    """The store need not keep the entry any more, nor how often it came back."""
    if entry.delivery_count:
        counts.forget(entry)
    return store.settle(entry.segment, entry.slot)
