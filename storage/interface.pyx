"""The store as everybody above it knows it. `batch_store.BatchStore` fills it in; `interface.pxd` is the contract.

Owns only what is abstract, and the waiter for cold code. Knows no file, no thread and no database.
"""


cdef class Waiter:
    cdef void on_committed(self, uint64_t batch) noexcept:
        pass

    cdef void on_refused(self, uint64_t batch) noexcept:
        pass


cdef class CallbackWaiter(Waiter):
    """A waiter for cold code: calls `on_committed(batch)` or `on_refused(batch)`, in the loop's thread.

    What a callback raises is reported as unraisable and stops nobody else from being told.
    """
    cdef object committed
    cdef object refused

    def __init__(self, on_committed, on_refused):
        self.committed = on_committed
        self.refused = on_refused

    cdef void on_committed(self, uint64_t batch) noexcept:
        self.committed(batch)

    cdef void on_refused(self, uint64_t batch) noexcept:
        self.refused(batch)


cdef class Contributor:
    cdef int contribute(self) except -1:
        raise NotImplementedError


cdef class Store:
    cdef int append(self, message_t* message, uint32_t queue_id, uint64_t position, int64_t expires_at_ms,
                    uint8_t priority, uint8_t flags, uint64_t* segment, uint32_t* slot) except -1:
        raise NotImplementedError

    cdef int settle(self, uint64_t segment, uint32_t slot) except -1:
        raise NotImplementedError

    cdef int settle_from(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot) except -1:
        raise NotImplementedError

    cpdef put(self, int database, bytes key, bytes value):
        """Set `key` with the open batch. ValueError for a key that is empty or longer than `layout.KEY_BYTES_MAX`."""
        raise NotImplementedError

    cpdef delete(self, int database, bytes key):
        """Remove `key` with the open batch; a key that is not there is no error."""
        raise NotImplementedError

    cdef int expect(self, Contributor contributor) except -1:
        raise NotImplementedError

    cdef int wait(self, Waiter waiter) except -1:
        raise NotImplementedError

    def join(self, Waiter waiter):
        """`wait`, for Python: `waiter` is told once when what the open batch holds now is on disk."""
        self.wait(waiter)

    cdef bint is_stored(self, uint64_t segment) noexcept:
        return False

    cpdef bint seal(self):
        raise NotImplementedError

    cpdef collect(self):
        raise NotImplementedError

    cpdef int64_t next_seal_ms(self):
        raise NotImplementedError

    cdef int load(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot, loaded_t* loaded, int loaded_max,
                  uint64_t bytes_max) except -1:
        raise NotImplementedError

    cpdef list restore(self, object known_queue_ids):
        """What is on disk for the queues that still exist, by segment: once, at start-up, before anything is appended.

        Gives [(queue_id, segment, first_slot, count, body_bytes, last_position)] in segment order, of live durable
        slots; `last_position` is the highest that the queue ever had there. Slots of other queues, and slots that are
        not durable, are settled with the first batch. Raises StoreCorruptError.
        """
        raise NotImplementedError

    cpdef object get(self, int database, bytes key):
        """The committed value of `key`, or None."""
        raise NotImplementedError

    cpdef list scan(self, int database, bytes start, object end, int limit):
        """Up to `limit` committed (key, value) pairs with start <= key < end in key order; `end` None: to the last."""
        raise NotImplementedError

    def sync(self, timeout_s=10.0):
        """Commit everything and wait for it. Blocks: for start-up, the end, tests. StoreFailedError if it cannot."""
        raise NotImplementedError

    def statistics(self):
        """Counters and gauges, cheap enough for every scrape. Bytes and milliseconds; names end in their unit."""
        raise NotImplementedError

    def backup(self, directory):
        """Write a consistent copy that is a usable data directory. Blocks; runs without the GIL, in any thread."""
        raise NotImplementedError

    def close(self, timeout_s=10.0):
        """Commit what is open, stop the writer, release the directory. StoreFailedError if the last batch is lost."""
        raise NotImplementedError

    def abandon(self):
        """Stop without committing what is open, as a crash would."""
        raise NotImplementedError
