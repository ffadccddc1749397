"""From the open batch to a committed one: sealing, collecting, compacting, telling.

Owns the one batch that is with the writer, the waiters, the durability mode, and when segments are compacted or
dropped. Refuses to know how a batch gets to disk: a subclass takes it in `hand_over` and gives it back in
`take_committed`. Everything here runs in the loop's thread.

Invariants: at most one batch is sealed and not committed. After `seal` the loop's thread does not write what the sealed
batch points to, until `take_committed` gives it back. Waiters hear of batches in order, each once.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from storage.batch cimport batch_t
from storage.open_batch cimport OpenBatch
from storage.segment_table cimport segment_t

cdef enum:
    SPARSE_BYTES_MIN = 65536            # a segment below this is not worth rewriting
    SPARSE_SHARE = 4                    # sparse: one slot of this many still lives
    COMPACT_BYTES_MAX = 16777216        # read for compaction by one batch
    BATCH_BUCKETS = 11
    TIDY_MS = 1000                      # how often compaction is thought of; a segment rests as long before it
    LINGERING_BYTES_MAX = 67108864      # a batch that holds this much does not wait for the interval, nor linger

cdef int64_t monotonic_ms() noexcept nogil


cdef class BatchStore(OpenBatch):
    cdef int64_t tidy_ms
    cdef int64_t tidy_due_ms
    cdef readonly int64_t interval_ms   # 0: fsync before anybody is told
    cdef readonly int64_t linger_ms     # how long a batch that nobody waits for is kept open after the one before
    cdef int64_t sealed_at_ms           # the last one was; 0: the next is due
    cdef bint failed
    cdef readonly bint closed
    cdef public object journal          # None, or called with each sealed batch as bytes (see `replay.py`)
    cdef uint64_t segments_compacted
    cdef uint64_t segments_dropped
    cdef uint64_t loads                 # of messages that were on disk alone …
    cdef uint64_t loaded_messages
    cdef uint64_t loaded_bytes          # … their bodies
    cdef uint64_t load_us
    cdef uint64_t batches_sealed
    cdef uint64_t batch_sizes[BATCH_BUCKETS]    # sealed batches by what they hold: at most 256 bytes, four times that …
    cdef uint64_t batch_bytes

    # ── for subclasses ────────────────────────────────────────────────────────────────────────────────────────────
    cdef int hand_over(self, batch_t* batch) except -1
    cdef batch_t* take_committed(self) except? NULL      # NULL: nothing yet. Also calls `set_status`
    cdef int set_status(self, str status, str text) except -1

    cdef int64_t seal_due_ms(self) noexcept
    cdef int ask_contributors(self) except -1
    cdef int gather_changes(self) except -1
    cdef int change_segment(self, segment_t* segment) except -1
    cdef int tidy(self, int64_t now_ms) except -1
    cdef int settle_batch(self, batch_t* batch) except -1
    cdef int tell(self, list waiters, uint64_t batch, bint committed) except -1
    cdef int refuse_everything(self) except -1
