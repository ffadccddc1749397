"""The store on disk: LMDB in a data directory, committed by the writer's thread.

Owns the environment, its read transaction and the directory's lock. Refuses to know what a batch means (`batch_store`)
and how it is committed (`writer`).

Invariants: reads happen in the loop's thread, each in a transaction that ends in the same call. The environment is
closed only after the writer's thread has ended.
"""

from storage.lmdb_api cimport MDB_cursor, MDB_env, MDB_txn
from storage.segment_store cimport SegmentStore
from storage.writer cimport writer_t


cdef class LmdbStore(SegmentStore):
    cdef readonly object directory      # Path
    cdef readonly str node_id           # 32 hex digits, made once per data directory
    cdef object lock
    cdef bytes directory_name
    cdef writer_t writer
    cdef MDB_env* env
    cdef MDB_txn* reader                # reset but while reading
    cdef MDB_cursor* cursor             # open while reading in order
    cdef bint has_pipes

    cdef int open_environment(self, object map_bytes) except -1
    cdef int open_databases(self) except -1
    cdef int number_segments(self) except -1
    cdef int start_writer(self) except -1
    cdef str describe_failure(self, int status, int error, unsigned long long disk_free_bytes)
