"""Reading from LMDB through what is journaled and not in LMDB yet.

Owns the read transaction of the loop's thread and the merging of the two in key order. Refuses to know how either came
to be: a subclass opens the environment and runs the writer.

Invariant: reads happen in the loop's thread, each in a transaction that ends in the same call.
"""

from storage.lmdb_api cimport MDB_cursor, MDB_env, MDB_txn, MDB_val
from storage.overlay_view cimport view_t
from storage.segment_store cimport SegmentStore
from storage.writer cimport writer_t


cdef class LmdbReader(SegmentStore):
    cdef readonly object directory      # Path
    cdef writer_t writer
    cdef MDB_env* env
    cdef MDB_txn* reader                # reset but while reading
    cdef view_t view                    # what is journaled and not in LMDB, while reading
    cdef MDB_cursor* cursor             # open while reading in order: LMDB's next pair, unless `at_end`
    cdef MDB_val next_key
    cdef MDB_val next_found
    cdef bint at_end

    cdef int step(self, int operation) except -1
