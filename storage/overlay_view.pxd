"""One look at what is journaled and not in LMDB: the active generation over the frozen one, for the loop's thread.

Owns the merging of the two, by key and in key order. Between `view_open` and the end of the read transaction.
"""

from libc.stddef cimport size_t

from storage.lmdb_api cimport MDB_val
from storage.overlay cimport generation_t, node_t
from storage.writer cimport writer_t

ctypedef struct view_t:
    generation_t* active
    generation_t* frozen                # or NULL
    node_t* active_next                 # while reading in order: the next of each
    node_t* frozen_next
    int database

cdef void view_open(view_t* view, writer_t* writer) noexcept nogil          # under `reading`
# 1: found; 0: the key is deleted; -1: LMDB must be asked.
cdef int view_find(view_t* view, writer_t* writer, int database, const char* key, size_t key_size,
                   MDB_val* value) noexcept nogil
cdef void view_seek(view_t* view, writer_t* writer, int database, const char* key, size_t key_size) noexcept nogil
# The next pair, which stays: 1, or 0 at the end. `value.mv_data` NULL: the key is deleted.
cdef int view_peek(view_t* view, writer_t* writer, MDB_val* key, MDB_val* value) noexcept nogil
cdef void view_step(view_t* view, writer_t* writer) noexcept nogil          # past the pair of `view_peek`
