"""The writer: one thread that makes sealed batches durable, another that brings them into LMDB. Neither takes the GIL.

Owns when a batch is durable and when the journal's halves change. Refuses to know queues, waiters and Python objects.

    loop's thread                             writer's thread                          checkpointer's thread
    writer_give ── pending, wake pipe ──▶     encode, write, one fdatasync
    writer_take ◀── done, notify pipe ──      publish in `active`
                                              half full, or old: `frozen` ── given ──▶ one LMDB transaction
                                              half free again ◀── wake pipe ────────── (two syncs)

What a batch holds is in `active`, then in `frozen`, then in LMDB: whoever reads asks in that order. A batch that does
not fit into a half is an LMDB transaction by itself, once everything before it is in LMDB (`commit_batch`).

Invariants: a batch is durable whole or not at all; it is tried again until it is, unless the disk is broken. A half of
the journal is written again only after LMDB's commit of all that was in it. `frozen` goes, and the map is moved, only
while nobody reads (`reading`); the map not while a backup or a compaction reads either (`copies`).
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from storage.batch cimport batch_t
from storage.journal cimport journal_t
from storage.lmdb_api cimport MDB_dbi, MDB_env, MDB_txn
from storage.overlay cimport generation_t
from storage.segment cimport scratch_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass

cdef enum:
    DATABASES = 9                       # as many as `layout.Database` has
    LATENCY_BUCKETS = 16                # `latency_bound_us` gives their upper bounds; the last has none
    RETRY_MS_MIN = 100                  # while the disk is full
    RETRY_MS_MAX = 1000
    CHECKPOINT_MS = 1000                # what is journaled goes to LMDB so much later, or when half the journal is full
    OUTRUN_SHARE = 20                   # … or in this part of the time, where the records outran the zeros
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
    int64_t checkpoint_us
    pthread_t thread
    pthread_t checkpointer
    bint running
    pthread_mutex_t reading             # held during a read transaction, and while the map moves
    int copies                          # backups and compactions under way; guarded by `reading`
    bint map_lost                       # the map could not be put back: nobody may read. Guarded by `reading`
    uint64_t map_bytes
    scratch_t scratch
    journal_t journal
    MDB_txn* reader                     # the writer's thread's own, for compaction
    pthread_mutex_t overlay             # held for each look at `active` and `frozen`, and while they change
    generation_t* active                # what was journaled since the last freeze
    generation_t* frozen                # what the checkpointer has; NULL: it rests
    pthread_mutex_t mutex               # guards what follows up to the blank line
    pthread_cond_t changed              # `checkpointing`, `stopping` or `stored_sequence` did
    batch_t* pending
    batch_t* done
    bint stopping
    bint checkpointing                  # `frozen` is being written to LMDB
    bint checkpointed                   # … and is there
    uint64_t durable_sequence           # of the last batch that is on disk, in the journal or in LMDB
    uint64_t stored_sequence            # of the last batch that is in LMDB
    uint64_t wanted_sequence            # somebody waits until LMDB has it
    int stuck                           # the errno for which a checkpoint waits; 0: none does
    int status
    int error                           # LMDB's or errno, behind `status`; 0: free space is below the minimum
    uint64_t disk_free_bytes

    # counters: only the writer's thread writes them, the last five the checkpointer's
    uint64_t commits
    uint64_t direct_commits
    uint64_t retries
    uint64_t waits                      # for a half of the journal
    uint64_t commit_us
    uint64_t commit_latency[LATENCY_BUCKETS]
    uint64_t elided_bytes
    uint64_t map_growths
    uint64_t checkpoints
    uint64_t checkpoint_us_total
    uint64_t checkpoint_latency[LATENCY_BUCKETS]
    uint64_t checkpoint_bytes

cdef int writer_start(writer_t* writer) noexcept nogil                   # 0 or an errno
cdef void writer_stop(writer_t* writer) noexcept nogil                   # joins; what is pending is not committed
cdef void writer_give(writer_t* writer, batch_t* batch) noexcept nogil
# The committed batch or NULL, and the status as it is now.
cdef batch_t* writer_take(writer_t* writer, int* status, int* error, uint64_t* disk_free_bytes) noexcept nogil
# Waits until LMDB has all that is durable now. 0, ETIMEDOUT, or EIO: it will not. Any thread.
cdef int writer_checkpoint(writer_t* writer, int64_t timeout_ms) noexcept nogil

cdef inline int64_t latency_bound_us(int bucket) noexcept nogil:
    """Upper bound of a bucket: 64 µs, doubling; the last bucket has none."""
    return <int64_t>64 << bucket
