"""The store's interface: what `broker.core` may know of durability.

A *batch* is the unit of durability: what happened between two commits. The open batch fills in the loop's thread;
`seal` hands it to the writer, which commits it with one fsync; then every `Waiter` of it is told once.

    append / settle / put / delete ──▶ open batch n+1      (loop's thread)
                                       sealed batch n ──▶ commit, fsync     (writer thread)
                                       waiters of n ◀── collect             (loop's thread)

A *segment* is a batch's messages packed end to end, stored as one value (small batches share one). A *slot* is one
(message, queue) pair of a segment, numbered in order of `append`. A settled slot is one bit. Slot and segment numbers
never change and are never used again.

`restore` comes first, before anything else is asked of a store.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from storage.records cimport message_t

cdef enum:
    SLOT_DURABLE = 1                # restored after a restart (durable queue and persistent message)
    SLOT_REDELIVERED = 2            # was delivered before it was appended (a move between queues keeps it)

# What `Store.load` reads back: one slot. The caller owns the reference to `message`.
ctypedef struct loaded_t:
    message_t* message
    uint64_t position               # as given to `append`
    int64_t expires_at_ms           # as given to `append`; 0: never
    uint32_t slot
    uint8_t priority
    uint8_t flags                   # SLOT_*


cdef class Waiter:
    """Somebody who must not say "yes" before a batch is on disk. Called in the loop's thread."""
    cdef uint64_t joined_batch                                 # the store's own note: the batch it waits for; 0: none
    cdef void on_committed(self, uint64_t batch) noexcept      # every batch up to `batch` is on disk
    cdef void on_refused(self, uint64_t batch) noexcept        # `batch` will never be on disk: say no


cdef class Contributor:
    """Somebody whose state may change often within a batch and is written once, in the last moment before the seal."""
    cdef bint is_expected                                      # the store's own note: it will be asked
    # Put, delete or append what has changed since the last time. If it raises, the store has failed: others may have
    # been promised what is missing.
    cdef int contribute(self) except -1


cdef class Store:
    cdef readonly uint64_t open_batch        # number of the batch being filled; the first is 1
    cdef readonly uint64_t committed_batch   # every batch up to this number is on disk
    cdef readonly uint64_t filling_bytes     # of records and values in the open batch: in memory until it is on disk
    cdef readonly int notify_fd              # readable in the loop's thread when `collect` has something to tell
    cdef readonly str status                 # "ok", "full" (publishers must wait) or "failed" (for good)
    cdef readonly str status_text            # why, for people; "" while ok
    cdef readonly str durability             # "fsync", "interval" or "memory"
    cdef public object on_status             # None, or called in `collect`: on_status(status: str, text: str)

    # ── the open batch ────────────────────────────────────────────────────────────────────────────────────────────
    # Puts one message into one queue. A message appended again in the same batch is stored once, with two slots.
    # Gives the slot's place. Raises MemoryError; OverflowError for a body of 4 GiB or more.
    cdef int append(self, message_t* message, uint32_t queue_id, uint64_t position, int64_t expires_at_ms,
                    uint8_t priority, uint8_t flags, uint64_t* segment, uint32_t* slot) except -1
    # The slot's message is done with. If its batch is still open, it is never written. Settling twice is harmless.
    cdef int settle(self, uint64_t segment, uint32_t slot) except -1
    # Every slot of `queue_id` in `segment` from `first_slot` on is done with (purge of what was not loaded).
    cdef int settle_from(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot) except -1
    # Key-value databases (`layout.Database` numbers them): applied in order with the batch.
    cpdef put(self, int database, bytes key, bytes value)
    cpdef delete(self, int database, bytes key)
    # `contributor` is asked for its share before the open batch is sealed. Expecting it again costs a compare.
    cdef int expect(self, Contributor contributor) except -1
    # `waiter` is told once when what the open batch holds now is on disk. Joining the same batch again costs a compare.
    cdef int wait(self, Waiter waiter) except -1
    # The segment is complete and on disk: its messages may leave memory and be loaded again.
    cdef bint is_stored(self, uint64_t segment) noexcept

    # ── the clockwork, called once per turn of the loop ───────────────────────────────────────────────────────────
    # Hands the open batch to the writer if it holds anything and the writer is free. True if it did.
    # Tells waiters directly where there is nothing to wait for.
    cpdef bint seal(self)
    # Tells the waiters of all batches that were committed since, and changes of `status`. Call when `notify_fd` is
    # readable, then `seal` again: the writer is free.
    cpdef collect(self)
    # Milliseconds until `seal` is worth calling again: 0 now, -1 not before something happens.
    cpdef int64_t next_seal_ms(self)

    # ── reading, in the loop's thread ─────────────────────────────────────────────────────────────────────────────
    # Reads up to `loaded_max` live slots of one queue from `first_slot` on, in slot order. Only of stored segments.
    # Returns how many. Stops early after `bytes_max` bytes of bodies, but reads at least one.
    cdef int load(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot, loaded_t* loaded, int loaded_max,
                  uint64_t bytes_max) except -1
    cpdef list restore(self, object known_queue_ids)
    cpdef object get(self, int database, bytes key)
    cpdef list scan(self, int database, bytes start, object end, int limit)
