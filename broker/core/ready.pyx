"""See ready.pxd for the picture and the invariants."""

from libc.stdlib cimport free, malloc, realloc

from broker.core.delivery_counts cimport DeliveryCounts, settle_entry
from broker.core.entry cimport (
    ENTRY_DURABLE, ENTRY_REDELIVERED, entry_t, ring_at, ring_clear, ring_insert, ring_pop, ring_push, ring_remove,
)
from storage.interface cimport SLOT_DURABLE, SLOT_REDELIVERED, Store, loaded_t
from storage.records cimport message_size, message_unref

cdef enum:
    LOADED_MAX = 1024               # entries read back at once
    LOADED_BYTES_MAX = 1 << 20      # … and bytes of bodies


cdef class ReadyList:
    """The messages of one queue (of one priority) that wait for a consumer."""

    def __cinit__(self, Store store, DeliveryCounts delivery_counts not None, uint32_t store_id,
                  uint64_t memory_bytes_max):
        self.store = store
        self.delivery_counts = delivery_counts
        self.store_id = store_id
        self.memory_bytes_max = memory_bytes_max
        self.read_ahead = 1

    def __dealloc__(self):
        cdef entry_t entry
        while self.front.count:
            ring_pop(&self.front, &entry)
            message_unref(entry.message)
        while self.tail.count:
            ring_pop(&self.tail, &entry)
            message_unref(entry.message)
        ring_clear(&self.front)
        ring_clear(&self.tail)
        free(self.runs)

    cdef bint is_paging(self) noexcept:
        return self.memory_bytes > self.memory_bytes_max or self.tail.count > 0 or self.runs_end > self.runs_head

    cdef int push(self, entry_t* entry) except -1:
        self.count += 1
        self.bytes += entry.message.body_size
        if not self.is_paging():
            self.memory_bytes += message_size(entry.message)
            return ring_push(&self.front, entry)
        assert entry.segment != 0
        self.memory_bytes += message_size(entry.message)
        ring_push(&self.tail, entry)
        return self.page_out()

    cdef int push_back_again(self, entry_t* entry) except -1:
        self.count += 1
        self.bytes += entry.message.body_size
        self.memory_bytes += message_size(entry.message)
        return ring_insert(&self.front, entry)

    cdef entry_t* peek(self) except? NULL:
        if self.front.count == 0:
            if self.count == 0:
                return NULL
            self.page_in()
            if self.front.count == 0:
                return NULL
        return &self.front.entries[self.front.head]

    cdef int pop(self, entry_t* entry) except -1:
        ring_pop(&self.front, entry)
        self.count -= 1
        self.bytes -= entry.message.body_size
        self.memory_bytes -= message_size(entry.message)
        if self.count == 0 and self.front.capacity > 1024:
            ring_clear(&self.front)         # an empty queue owns no more memory than one that never was full
        return 0

    cdef int take(self, size_t index, entry_t* entry) except -1:
        ring_remove(&self.front, index, entry)
        self.count -= 1
        self.bytes -= entry.message.body_size
        self.memory_bytes -= message_size(entry.message)
        return 0

    cdef int add_run(self, uint64_t segment, uint32_t first_slot, uint32_t count, uint64_t bytes) except -1:
        """Appends to the runs what is on disk alone (restore)."""
        self.count += count
        self.bytes += bytes
        return append_run(self, segment, first_slot, count, bytes)

    cdef int page_out(self) except -1:
        """Forgets the messages at the tail's head whose batch is on disk: their place is enough."""
        cdef entry_t entry
        while self.tail.count and self.store.is_stored(ring_at(&self.tail, 0).segment):
            ring_pop(&self.tail, &entry)
            self.memory_bytes -= message_size(entry.message)
            append_run(self, entry.segment, entry.slot, 1, entry.message.body_size)
            message_unref(entry.message)
        return 0

    def held_bytes(self) -> int:
        """Bytes of messages in memory, without those that are on disk by now.

        Who looks at the budget calls this: where nothing is pushed any more (publishers wait for memory), nobody else
        would let the tail go.
        """
        self.page_out()
        return self.memory_bytes

    cdef int page_in(self) except -1:
        """Fills the empty front from the first run, or, where none is left, from the tail."""
        cdef loaded_t* loaded
        cdef run_t* run
        cdef entry_t entry
        cdef int loaded_count, index
        cdef ring_t empty
        assert self.front.count == 0
        if self.runs_head == self.runs_end:
            empty = self.front
            self.front = self.tail
            self.tail = empty
            return 0
        loaded = <loaded_t*>malloc(LOADED_MAX * sizeof(loaded_t))
        if loaded == NULL:
            raise MemoryError
        try:
            run = &self.runs[self.runs_head]
            loaded_count = self.store.load(run.segment, self.store_id, run.first_slot, loaded,
                                           <int>min(<uint32_t>self.read_ahead, run.count), LOADED_BYTES_MAX)
            self.read_ahead = min(self.read_ahead * 4, <int>LOADED_MAX)
            if loaded_count == 0:
                raise RuntimeError(f"segment {run.segment} lacks {run.count} messages of queue {self.store_id}")
            for index in range(loaded_count):
                entry.message = loaded[index].message
                entry.position = loaded[index].position
                entry.expires_at_ms = loaded[index].expires_at_ms
                entry.segment = run.segment
                entry.slot = loaded[index].slot
                entry.delivery_count = self.delivery_counts.take(run.segment, entry.slot)
                entry.flags = ENTRY_DURABLE if loaded[index].flags & SLOT_DURABLE else 0
                if loaded[index].flags & SLOT_REDELIVERED or entry.position <= self.redelivered_up_to:
                    entry.flags |= ENTRY_REDELIVERED
                entry.priority = loaded[index].priority
                self.memory_bytes += message_size(entry.message)
                run.bytes -= min(run.bytes, entry.message.body_size)
                ring_push(&self.front, &entry)
            run.first_slot = loaded[loaded_count - 1].slot + 1
            run.count -= loaded_count
            if run.count == 0:
                self.runs_head += 1
        finally:
            free(loaded)
        return 0

    cdef uint64_t clear(self) except? 0xffffffffffffffff:
        cdef uint64_t removed = self.count
        cdef entry_t entry
        cdef run_t* run
        while self.front.count:
            ring_pop(&self.front, &entry)
            drop(self, &entry)
        while self.runs_head < self.runs_end:
            run = &self.runs[self.runs_head]
            self.store.settle_from(run.segment, self.store_id, run.first_slot)
            self.runs_head += 1
        while self.tail.count:
            ring_pop(&self.tail, &entry)
            drop(self, &entry)
        ring_clear(&self.front)
        ring_clear(&self.tail)
        self.count = self.bytes = self.memory_bytes = 0
        return removed


cdef int drop(ReadyList ready, entry_t* entry) except -1:
    if entry.segment:
        settle_entry(ready.store, ready.delivery_counts, entry)
    message_unref(entry.message)
    return 0


cdef int append_run(ReadyList ready, uint64_t segment, uint32_t slot, uint32_t count, uint64_t bytes) except -1:
    """Lengthens the last run or starts one. Slots of other queues may lie between: `load` looks for its own."""
    cdef run_t* last
    cdef run_t* runs
    cdef size_t live, index
    if ready.runs_end > ready.runs_head:
        last = &ready.runs[ready.runs_end - 1]
        if last.segment == segment:
            last.count += count
            last.bytes += bytes
            return 0
    if ready.runs_end == ready.runs_capacity:
        live = ready.runs_end - ready.runs_head
        if ready.runs_head > ready.runs_capacity // 2:
            for index in range(live):
                ready.runs[index] = ready.runs[ready.runs_head + index]
        else:
            runs = <run_t*>realloc(ready.runs, max(ready.runs_capacity * 2, <size_t>16) * sizeof(run_t))
            if runs == NULL:
                raise MemoryError
            ready.runs = runs
            ready.runs_capacity = max(ready.runs_capacity * 2, <size_t>16)
            for index in range(live):
                ready.runs[index] = ready.runs[ready.runs_head + index]
        ready.runs_head = 0
        ready.runs_end = live
    last = &ready.runs[ready.runs_end]
    last.segment = segment
    last.first_slot = slot
    last.count = count
    last.bytes = bytes
    ready.runs_end += 1
    return 0
