"""What the loop's thread knows of each segment that still has live slots: about a hundred bytes each.

Owns the table number → segment_t and the bitmaps of settled slots. The bitmap in memory is the truth: what is on disk
follows it batch by batch. Knows nothing of batches or the disk.

Invariant: `live` is the number of slots that exist (numbered, not elided, not settled).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from storage.segment cimport part_t

cdef enum:
    SEGMENT_CLOSED = 1              # gets no more slots
    SEGMENT_TABLE = 2               # which slots are whose stands only in the slot tables (several queues, or gaps)
    SEGMENT_TOUCHED = 4             # in the list of those whose bitmap the open batch must write
    SEGMENT_SPARSE = 8              # in the list of those that wait to be compacted
    SEGMENT_DROPPED = 16            # gone, but still in the list of the sparse: freed when it is walked
    SEGMENT_VERIFIED = 32           # the slot tables' checksums were looked at

cdef struct segment_t:
    uint64_t number
    uint64_t bytes                  # of its values and chunks on disk
    uint64_t stored_batch           # the last batch that holds a part of it; 0: restored
    uint8_t* settled                # bits: settled or elided; NULL: none
    part_t* part                    # what the open batch adds to it, or NULL
    segment_t* next_touched
    segment_t* next_sparse
    uint32_t settled_size           # bytes
    uint32_t slot_count             # slots numbered so far
    uint32_t live
    uint32_t entries                # slots in its values on disk
    uint32_t part_count
    uint32_t chunk_count
    uint32_t queue_id               # whose it is, unless SEGMENT_TABLE
    uint32_t touched_tick           # when a bit was last set, in ticks of `tidy`
    uint8_t flags                   # SEGMENT_*

ctypedef struct segment_table_t:
    segment_t** places              # open addressing, linear probing
    size_t capacity                 # a power of two, or 0
    size_t count

cdef segment_t* table_find(segment_table_t* table, uint64_t number) noexcept nogil
cdef segment_t* table_add(segment_table_t* table, uint64_t number) noexcept nogil       # NULL: no memory
cdef void table_remove(segment_table_t* table, segment_t* segment) noexcept nogil        # out of the table; not freed
cdef void table_clear(segment_table_t* table) noexcept nogil                             # frees every segment
cdef void segment_free(segment_t* segment) noexcept nogil
cdef int segment_reserve_bits(segment_t* segment, uint32_t slot) noexcept nogil          # 0, or -1: no memory
