"""The writer: one thread that never takes the GIL. It commits sealed batches, one transaction each.

Owns LMDB's write transactions, the growth of the map, what to do about a full or broken disk, and the time it all
takes. Refuses to know queues, waiters and Python objects.

    loop's thread                             writer's thread
    writer_give ── pending, wake pipe ──▶     begin, put…, commit (fsync)
    writer_take ◀── done, notify pipe ──      status

Invariants: a batch is committed whole or not at all; it is tried again until it is on disk, unless the disk is broken.
The map is only moved while nobody reads (`reading`) and no backup runs (`copies`).
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from storage.batch cimport batch_t
from storage.lmdb_api cimport MDB_dbi, MDB_env
from storage.segment cimport scratch_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass

cdef enum:
    DATABASES = 8                       # as many as `layout.Database` has
    LATENCY_BUCKETS = 16                # `latency_bound_us` gives their upper bounds; the last has none
    RETRY_MS_MIN = 100                  # while the disk is full
    RETRY_MS_MAX = 1000
    STATUS_OK = 0
    STATUS_FULL = 1
    STATUS_FAILED = 2

ctypedef struct writer_t:
    MDB_env* env
    MDB_dbi databases[DATABASES]
    const char* directory               # the owner keeps the text alive
    int wake_read_fd
    int wake_write_fd
    int notify_write_fd
    uint64_t disk_free_min_bytes
    pthread_t thread
    bint running
    pthread_mutex_t reading             # held during a read transaction, and while the map moves
    int copies                          # backups under way; guarded by `reading`
    bint map_lost                       # the map could not be put back: nobody may read. Guarded by `reading`
    uint64_t map_bytes
    scratch_t scratch
    pthread_mutex_t mutex               # guards what follows up to the blank line
    batch_t* pending
    batch_t* done
    bint stopping
    int status
    int error                           # LMDB's or errno, behind `status`; 0: free space is below the minimum
    uint64_t disk_free_bytes

    # counters: only the writer writes them
    uint64_t commits
    uint64_t retries
    uint64_t map_growths
    uint64_t commit_us
    uint64_t commit_latency[LATENCY_BUCKETS]

cdef int writer_start(writer_t* writer) noexcept nogil                   # 0 or an errno
cdef void writer_stop(writer_t* writer) noexcept nogil                   # joins; what is pending is not committed
cdef void writer_give(writer_t* writer, batch_t* batch) noexcept nogil
# The committed batch or NULL, and the status as it is now.
cdef batch_t* writer_take(writer_t* writer, int* status, int* error, uint64_t* disk_free_bytes) noexcept nogil
cdef void lock_reading(writer_t* writer) noexcept nogil
cdef void unlock_reading(writer_t* writer) noexcept nogil
cdef int64_t latency_bound_us(int bucket) noexcept nogil
