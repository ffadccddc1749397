"""Sealing a batch, and what follows once it is on disk. Structure and invariants: `batch_store.pxd`.

Everything here happens once per batch, or once per waiter and batch.
"""

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from storage.batch cimport (
    VERB_COMPACT,
    VERB_DROP,
    VERB_PUT,
    batch_add_change,
    batch_encode,
    batch_reset,
    change_t,
)
from storage.interface cimport Contributor, Waiter
from storage.open_batch cimport SEGMENT_BYTES_MAX
from storage.segment_table cimport (
    SEGMENT_CLOSED,
    SEGMENT_SPARSE,
    SEGMENT_TOUCHED,
    segment_t,
    table_find,
)


cdef int64_t monotonic_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef class BatchStore(OpenBatch):
    def __init__(self, *, str durability="fsync", int64_t interval_ms=0, int64_t linger_ms=0,
                 int64_t segment_bytes_max=SEGMENT_BYTES_MAX, int64_t tidy_ms=TIDY_MS, object on_status=None):
        if durability not in ("fsync", "interval", "memory"):
            raise ValueError(f"no durability {durability!r}")
        if durability == "interval" and interval_ms < 1:
            raise ValueError("durability 'interval' needs interval_ms of at least 1")
        if segment_bytes_max < 1:
            raise ValueError("segment_bytes_max must be at least 1")
        self.durability = durability
        self.interval_ms = interval_ms if durability == "interval" else 0
        self.linger_ms = linger_ms
        self.segment_bytes_max = segment_bytes_max
        self.tidy_ms = tidy_ms
        self.on_status = on_status
        self.tidy_due_ms = monotonic_ms() + tidy_ms

    # ── sealing ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int ask_contributors(self) except -1:
        """Their last moment to write to the open batch. Where one cannot, others have been promised what is not in it:
        the store has failed."""
        cdef list asked = self.contributors[:]
        cdef Contributor contributor
        self.contributors.clear()
        for contributor in asked:
            contributor.is_expected = False
            try:
                contributor.contribute()
            except Exception as error:
                self.set_status("failed", f"what belongs to batch {self.open_batch} is missing: {error!r}")
        return 0

    cdef int gather_changes(self) except -1:
        """Turns the bits that were set since the last batch into changes of this one."""
        cdef segment_t* segment
        while self.touched != NULL:
            segment = self.touched
            self.change_segment(segment)
        return 0

    cdef int change_segment(self, segment_t* segment) except -1:
        cdef change_t* change
        if segment.live == 0:
            change = batch_add_change(self.filling, VERB_DROP, segment.number, NULL, 0)
        else:
            change = batch_add_change(self.filling, VERB_PUT, segment.number, segment.settled, segment.settled_size)
        if change == NULL:
            raise MemoryError
        self.touched = segment.next_touched
        segment.flags &= ~SEGMENT_TOUCHED
        if segment.live == 0:
            change.part_count = segment.part_count
            change.chunk_count = segment.chunk_count
            self.segments_dropped += 1
            self.remove_segment(segment)
        elif (segment.flags & SEGMENT_SPARSE or (
                segment.flags & SEGMENT_CLOSED and segment.bytes > SPARSE_BYTES_MIN
                and <uint64_t>segment.live * SPARSE_SHARE <= segment.entries)):
            self.link_sparse(segment)
        return 0

    cdef int tidy(self, int64_t now_ms) except -1:
        """Compacts segments that have been sparse, and left alone, for a tick. A segment that is just being drained
        soon goes as a whole: rewriting its last quarter would be wasted."""
        cdef segment_t** link = &self.sparse
        cdef segment_t* segment
        cdef change_t* change
        cdef uint64_t budget = COMPACT_BYTES_MAX
        if now_ms < self.tidy_due_ms:
            return 0
        self.tidy_due_ms = now_ms + self.tidy_ms
        self.tick += 1
        self.free_dropped()
        while link[0] != NULL:
            segment = link[0]
            if (self.tick - segment.touched_tick < 2 or segment.bytes > budget
                    or segment.stored_batch > self.committed_batch):
                link = &segment.next_sparse
                continue
            change = batch_add_change(self.filling, VERB_COMPACT, segment.number, segment.settled,
                                      segment.settled_size)
            if change == NULL:
                raise MemoryError
            change.part_count = segment.part_count
            change.live = segment.live
            budget -= segment.bytes
            link[0] = segment.next_sparse
            segment.flags &= ~SEGMENT_SPARSE
        return 0

    cdef int64_t seal_due_ms(self) noexcept:
        """When the open batch may be sealed. Somebody waits: now. In interval mode, or where nobody does: not yet."""
        if self.interval_ms:
            return self.sealed_at_ms + self.interval_ms
        return self.sealed_at_ms if self.waiters else self.sealed_at_ms + self.linger_ms

    cpdef bint seal(self):
        cdef int64_t now_ms
        cdef uint64_t number
        cdef batch_t* batch
        if self.failed:
            self.refuse_everything()
            return False
        if self.closed:
            return False
        if self.interval_ms and self.waiters and self.status == "ok":
            # the operator chose by name to answer before the sync: law 1's looser mode
            self.tell(self.waiters, self.open_batch, True)
        if self.in_flight != NULL:
            return False
        now_ms = monotonic_ms()
        if now_ms < self.seal_due_ms() and self.filling_bytes < LINGERING_BYTES_MAX:
            return False
        if self.contributors:
            self.ask_contributors()
            if self.failed:
                self.refuse_everything()
                return False
        self.finish_parts()
        self.gather_changes()
        if self.status == "ok":         # rewriting takes room before it gives any
            self.tidy(now_ms)
        number = self.open_batch
        if not self.holds_anything():
            if self.waiters:            # all that they waited for was settled meanwhile: nothing to commit
                self.open_batch += 1
                self.committed_batch = number
                self.tell(self.waiters, number, True)
            return False
        batch = self.filling
        batch.number = number
        if self.journal is not None:
            self.journal(batch_encode(batch, &self.scratch))
        self.open_batch += 1
        self.filling = self.spare_batch
        self.spare_batch = NULL
        count_batch(self, self.filling_bytes)
        self.filling_bytes = 0
        self.in_flight = batch
        self.sealed_waiters, self.waiters = self.waiters, self.sealed_waiters
        self.sealed_at_ms = now_ms
        self.batches_sealed += 1
        self.hand_over(batch)
        return True

    cpdef int64_t next_seal_ms(self):
        if self.in_flight != NULL or self.failed or self.closed:
            return -1
        if self.holds_anything() or self.waiters:
            return max(0, self.seal_due_ms() - monotonic_ms())
        if self.sparse == NULL or self.status != "ok":
            return -1
        return max(0, self.tidy_due_ms - monotonic_ms())

    cdef int hand_over(self, batch_t* batch) except -1:
        raise NotImplementedError

    # ── collecting ────────────────────────────────────────────────────────────────────────────────────────────────

    cdef batch_t* take_committed(self) except? NULL:
        raise NotImplementedError

    cpdef collect(self):
        cdef batch_t* batch = self.take_committed()
        if batch != NULL:
            self.settle_batch(batch)
        if self.failed:
            self.refuse_everything()

    cdef int settle_batch(self, batch_t* batch) except -1:
        """`batch` is on disk: let its messages go, note what compaction won, tell the waiters."""
        cdef uint64_t number = batch.number
        cdef uint32_t index
        cdef change_t* change
        cdef segment_t* segment
        self.release_parts(batch)
        for index in range(batch.change_count):
            change = &batch.changes[index]
            if change.live == 0:
                continue
            segment = table_find(&self.table, change.segment)
            if change.verb != VERB_COMPACT:         # the writer had no room for it: later
                self.link_sparse(segment)
            else:
                self.segments_compacted += 1
                self.stored_bytes += change.bytes_after - segment.bytes
                segment.bytes = change.bytes_after
                segment.part_count = 1
                segment.entries = change.live
        batch_reset(batch)
        self.spare_batch = batch
        self.in_flight = NULL
        self.committed_batch = number
        self.tell(self.sealed_waiters, number, True)
        return 0

    cdef int tell(self, list waiters, uint64_t batch, bint committed) except -1:
        """Empties `waiters`, telling each. They may join again, append and seal while they are told."""
        cdef list told = waiters[:]
        cdef Waiter waiter
        waiters.clear()
        for waiter in told:
            if waiter.joined_batch == batch:
                waiter.joined_batch = 0
            if committed:
                waiter.on_committed(batch)
            else:
                waiter.on_refused(batch)
        return 0

    cdef int refuse_everything(self) except -1:
        """After a failure for good: whoever waits hears no, and messages are no longer kept for the disk."""
        cdef batch_t* batch = self.in_flight
        if batch != NULL:
            self.in_flight = NULL
            self.spare_batch = batch
            number = batch.number
            self.release_parts(batch)
            batch_reset(batch)
            self.tell(self.sealed_waiters, number, False)
        for contributor in self.contributors:
            (<Contributor>contributor).is_expected = False
        self.contributors.clear()
        self.finish_parts()
        self.release_parts(self.filling)
        self.gather_changes()
        batch_reset(self.filling)
        self.filling_bytes = 0
        if self.waiters:
            self.open_batch += 1
            self.tell(self.waiters, self.open_batch - 1, False)
        return 0

    cdef int set_status(self, str status, str text) except -1:
        """Notes a change of status and tells it. "failed" is final."""
        if status == self.status and text == self.status_text:
            return 0
        self.status = status
        self.status_text = text
        self.failed = status == "failed"
        if self.on_status is not None:
            self.on_status(status, text)
        return 0

    def counters(self):
        """What every store counts, by name; units last."""
        return {
            "status": self.status,
            "status_text": self.status_text,
            "durability": self.durability,
            "interval_ms": self.interval_ms,
            "open_batch": self.open_batch,
            "committed_batch": self.committed_batch,
            "open_batch_bytes": self.filling_bytes,
            "batches_sealed": self.batches_sealed,
            "batch_bytes": self.batch_bytes,
            "batch_sizes": batch_histogram(self),
            "slots_appended": self.slots_appended,
            "slots_settled": self.slots_settled,
            "slots_elided": self.slots_elided,
            "slots_written": self.slots_written,
            "segments": self.table.count,
            "segments_compacted": self.segments_compacted,
            "segments_dropped": self.segments_dropped,
            "loads": self.loads,
            "loaded_messages": self.loaded_messages,
            "loaded_bytes": self.loaded_bytes,
            "load_seconds": self.load_us / 1e6,
            "live_bytes": self.stored_bytes,
        }


cdef void count_batch(BatchStore store, uint64_t size) noexcept:
    cdef int bucket = 0
    while bucket < BATCH_BUCKETS - 1 and size > <uint64_t>256 << 2 * bucket:
        bucket += 1
    store.batch_sizes[bucket] += 1
    store.batch_bytes += size


cdef list batch_histogram(BatchStore store):
    """[(upper bound in bytes, how many)]"""
    cdef int bucket
    bounds = [256 << 2 * bucket for bucket in range(BATCH_BUCKETS - 1)] + [float("inf")]
    return [(bounds[bucket], store.batch_sizes[bucket]) for bucket in range(BATCH_BUCKETS)]
