"""The open batch, in C: what happens per message, the same for every store.

Owns the batch being filled, the table of live segments, and when a segment ends. Refuses to know when a batch is sealed
(`batch_store`) and how it gets to disk. Everything here runs in the loop's thread.

A large batch is a segment (or several: `segment_bytes_max`). Small batches share one: each adds a *part*, until the
segment is worth closing; a closed segment of many parts is compacted into one value a little later, if it still lives
then. So a slow publisher's backlog is not a segment per message.

Invariants: a batch's messages are referenced from `append` until it is committed. A slot's bit in its segment's bitmap
is set exactly when it was settled, and only slots of parts that are written make a segment *touched*.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from storage.batch cimport batch_t
from storage.interface cimport Store
from storage.segment cimport part_t, scratch_t
from storage.segment_table cimport segment_t, segment_table_t

cdef enum:
    SEGMENT_BYTES_MAX = 4194304         # a part that holds this much ends its segment, within the batch
    SEGMENT_BYTES_MIN = 65536           # a segment that holds this much is closed when its batch is sealed
    SEGMENT_SLOTS_MIN = 1024            # … or this many slots
    SEGMENT_SLOTS_MAX = 65536           # a part that holds this many ends its segment: bounds the bitmap
    SEGMENT_PARTS_MAX = 256             # bounds what `load` walks through and one compaction reads
    SPARE_PARTS_MAX = 4
    SEGMENT_NUMBERS_TAKEN = 1048576     # numbers reserved in one go, so that none is used again after a restart


cdef class OpenBatch(Store):
    cdef segment_table_t table
    cdef batch_t* filling               # the open batch
    cdef batch_t* in_flight             # sealed; with the writer. NULL: the writer is free
    cdef batch_t* spare_batch
    cdef part_t* part                   # where `append` adds; NULL: the next append starts one
    cdef part_t* spare_parts
    cdef int spare_count
    cdef segment_t* current             # not closed: the next part goes there
    cdef segment_t* cached              # the last one that `settle` looked up
    cdef segment_t* touched             # list
    cdef segment_t* sparse              # list
    cdef scratch_t scratch              # of the loop's thread, for `batch_encode`
    cdef uint64_t next_segment
    cdef uint64_t segment_ceiling       # numbers below it are reserved on disk; 0: none yet
    cdef uint64_t next_serial
    cdef uint64_t segment_bytes_max
    cdef uint32_t tick                  # counts `tidy`
    cdef list contributors              # to be asked before the open batch is sealed
    cdef list waiters                   # of the open batch
    cdef list sealed_waiters
    # counters, each counted where it happens
    cdef uint64_t slots_appended
    cdef uint64_t slots_settled         # elided ones among them
    cdef uint64_t slots_elided
    cdef uint64_t slots_written
    cdef uint64_t stored_bytes          # of live segments

    cdef int settle_in(self, segment_t* segment, uint32_t slot) except -1
    # For subclasses: settles the queue's slots that are on disk.
    cdef int settle_stored_from(self, segment_t* segment, uint32_t queue_id, uint32_t first_slot) except -1
    cdef void elide(self, part_t* part, uint32_t index) noexcept
    cdef int add_operation(self, uint8_t verb, int database, bytes key, bytes value) except -1
    cdef part_t* start_part(self, uint64_t body_size) except NULL
    cdef part_t* take_part(self) except NULL
    cdef segment_t* new_segment(self) except NULL
    cdef void finish_parts(self) noexcept
    cdef void finish_part(self, part_t* part) noexcept
    cdef void recycle(self, part_t* part) noexcept
    cdef void release_parts(self, batch_t* batch) noexcept
    cdef void remove_segment(self, segment_t* segment) noexcept
    cdef void link_touched(self, segment_t* segment) noexcept
    cdef void link_sparse(self, segment_t* segment) noexcept
    cdef void free_dropped(self) noexcept
    cdef bint holds_anything(self) noexcept
