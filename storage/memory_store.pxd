"""The store in dicts: for brokers that keep nothing, for tests, and as the reference of what a batch means.

Owns a committed state in memory (`replay.State`) that ends with the process. Goes the whole way of every store: a batch
is sealed, encoded, replayed, and its waiters are told in `collect`.
"""

from storage.segment_store cimport SegmentStore


cdef class MemoryStore(SegmentStore):
    cdef readonly dict state            # database number → {key: value}
    cdef int notify_write_fd
    cdef bint committed                 # the batch in flight is in `state`
    cdef list keys                      # while reading in order: the keys of one database, sorted
    cdef Py_ssize_t next_key
