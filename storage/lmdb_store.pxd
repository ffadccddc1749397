"""The store on disk: a journal and LMDB in a data directory, filled by the writer's thread.

Owns the environment, the directory's lock, the start (what an earlier life left in the journal goes into LMDB first)
and the end. Refuses to know what a batch means (`batch_store`) and how it becomes durable (`writer`).

Invariant: the environment is closed only after both threads have ended.
"""

from libc.stdint cimport uint64_t

from storage.lmdb_reader cimport LmdbReader


cdef class LmdbStore(LmdbReader):
    cdef readonly str node_id           # 32 hex digits, made once per data directory
    cdef readonly uint64_t replayed     # batches that were in the journal alone when the store was opened
    cdef object lock
    cdef bytes directory_name
    cdef bint has_pipes

    cdef int open_environment(self, object map_bytes) except -1
    cdef int open_databases(self) except -1
    cdef int take_over_journal(self, uint64_t journal_bytes) except -1
    cdef int replay_journal(self, bytes mark) except -1
    cdef int use_journal(self, uint64_t journal_bytes) except -1
    cdef int number_segments(self) except -1
    cdef int start_writer(self) except -1
    cdef str describe_failure(self, int status, int error, unsigned long long disk_free_bytes)
