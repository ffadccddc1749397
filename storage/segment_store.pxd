"""Reading back what batches stored: loading slots, restoring at start-up, key-value reads.

Owns the way from a stored segment to messages, and what start-up looks at. Refuses to know where bytes lie: a subclass
gives values by key in `read_value` and in key order in `next_value`, between `begin_reading` and `end_reading`.

Invariant: what a subclass gives is valid until `end_reading`, which is always called in the same turn: a long read
would keep freed space from being used again.
"""

from libc.stdint cimport uint32_t, uint64_t

from storage.batch_store cimport BatchStore
from storage.interface cimport loaded_t
from storage.segment cimport header_t, slot_entry_t
from storage.segment_table cimport segment_t


cdef class SegmentStore(BatchStore):
    # ── for subclasses ────────────────────────────────────────────────────────────────────────────────────────────
    cdef int begin_reading(self) except -1
    cdef void end_reading(self) noexcept
    # 1 and the value, or 0: no such key.
    cdef int read_value(self, int database, const char* key, size_t key_size, const char** value,
                        size_t* value_size) except -1
    # The first pair from `key` on (`key` not NULL), or the pair after the last one given: 1, or 0 at the end.
    cdef int next_value(self, int database, const char* start, size_t start_size, const char** key, size_t* key_size,
                        const char** value, size_t* value_size) except -1

    # `value` is going to be read from end to end: a store on disk fetches it ahead.
    cdef void will_read(self, const char* value, size_t size) noexcept

    cdef int read_part(self, uint64_t segment, uint32_t index, bint verify, const char** value, size_t* value_size,
                       header_t* header) except -1
    cdef int load_part(self, segment_t* segment, uint32_t index, uint32_t queue_id, uint32_t first_slot,
                       loaded_t* loaded, int loaded_max, uint64_t* bytes_left) except -1
    cdef int load_slot(self, segment_t* segment, const char* value, size_t value_size, header_t* header,
                       slot_entry_t* entry, loaded_t* loaded) except -1
    cdef int restore_part(self, segment_t* segment, const char* value, size_t value_size, set known,
                          dict found) except -1
    cdef int restore_slots(self, segment_t* segment, const char* value, header_t* header, uint32_t queue_index,
                           bint known, list line) except -1
    cdef segment_t* restore_segment(self, uint64_t number) except NULL
