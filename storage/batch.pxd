"""A batch: parts of segments, changes to earlier segments, key-value operations. Plain C: the writer needs no GIL.

Owns the memory of a batch and its encoding as bytes that can be replayed (`replay.py`):

    │ "HBAT" u32 │ version u16 │ 0 u16 │ number u64 │ size u64 │ operation │ operation │ …
    operation │ verb u8 │ database u8 │ key size u16 │ value size u32 │ key │ value │

PUT and DELETE name a database. COMPACT (key: segment; value: its bitmap) keeps the live slots of a segment only, DROP
(key: segment; value: parts u32, chunks u32) removes one. Replaying a batch onto the state before it gives the state
after it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from storage.records cimport message_t
from storage.segment cimport part_t, scratch_t

cdef enum:
    BATCH_MAGIC = 0x54414248            # "HBAT"
    BATCH_VERSION = 1
    VERB_PUT = 1
    VERB_DELETE = 2
    VERB_COMPACT = 3
    VERB_DROP = 4

ctypedef struct change_t:               # to a segment that an earlier batch wrote
    uint64_t segment
    uint64_t bytes_after                # COMPACT: set by the writer, what is left on disk
    uint8_t* settled                    # PUT, COMPACT: a copy of the bitmap
    uint32_t settled_size
    uint32_t part_count
    uint32_t chunk_count
    uint32_t live                       # COMPACT: slots that stay
    uint8_t verb                        # VERB_PUT (of the bitmap), VERB_COMPACT, VERB_DROP

ctypedef packed struct operation_t:     # 8 bytes, then key and value
    uint8_t verb
    uint8_t database
    uint16_t key_size
    uint32_t value_size

ctypedef packed struct batch_header_t:
    uint32_t magic
    uint16_t version
    uint16_t reserved
    uint64_t number
    uint64_t size

ctypedef struct batch_t:
    uint64_t number
    part_t* first_part
    part_t* last_part
    change_t* changes
    char* operations                    # encoded, back to back
    size_t operations_size
    size_t operations_capacity
    uint32_t operation_count
    uint32_t change_count
    uint32_t change_capacity

cdef part_t* part_new() noexcept nogil                                                     # NULL: no memory
cdef void part_reset(part_t* part) noexcept nogil                                          # keeps its arrays
cdef void part_free(part_t* part) noexcept nogil
cdef int part_grow_slots(part_t* part) noexcept nogil                                      # 0, or -1: no memory
cdef int part_grow_records(part_t* part) noexcept nogil

cdef batch_t* batch_new() noexcept nogil
cdef void batch_reset(batch_t* batch) noexcept nogil                                       # its parts are the caller's
cdef void batch_free(batch_t* batch) noexcept nogil
cdef change_t* batch_add_change(batch_t* batch, uint8_t verb, uint64_t segment, const uint8_t* settled,
                                uint32_t settled_size) noexcept nogil                      # NULL: no memory
cdef int batch_add_operation(batch_t* batch, uint8_t verb, uint8_t database, const char* key, size_t key_size,
                             const char* value, size_t value_size) noexcept nogil          # 0, or -1: no memory
# At least as many bytes as `batch_write` will write.
cdef uint64_t batch_bound(batch_t* batch) noexcept nogil
# The whole batch as bytes, in the order in which it takes effect. 0 and the size, or ENOMEM.
cdef int batch_write(batch_t* batch, scratch_t* scratch, char* target, uint64_t* size) noexcept nogil
cdef bytes batch_encode(batch_t* batch, scratch_t* scratch)                                # raises MemoryError
