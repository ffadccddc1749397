"""Filling a batch: `append`, `settle`, parts and segments. Structure and invariants: `open_batch.pxd`.

Everything per message is C without Python objects.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from storage.batch cimport (
    VERB_DELETE,
    VERB_PUT,
    batch_add_operation,
    batch_free,
    batch_new,
    part_free,
    part_grow_records,
    part_grow_slots,
    part_new,
    part_reset,
)
from storage.interface cimport Contributor, Waiter
from storage.records cimport message_t, message_unref
from storage.segment cimport (
    BODY_INLINE_MAX,
    CHUNK_BYTES,
    SLOT_ELIDED,
    header_t,
    record_size,
    slot_entry_t,
    slot_t,
)
from storage.segment_table cimport (
    SEGMENT_CLOSED,
    SEGMENT_DROPPED,
    SEGMENT_SPARSE,
    SEGMENT_TABLE,
    SEGMENT_TOUCHED,
    segment_free,
    segment_reserve_bits,
    table_add,
    table_clear,
    table_find,
    table_remove,
)

from storage.layout import KEY_BYTES_MAX, META_SEGMENT_CEILING, Database

cdef enum:
    DATABASE_META = 0


cdef class OpenBatch(Store):
    def __cinit__(self, *_, **__):
        memset(&self.table, 0, sizeof(self.table))
        self.filling = batch_new()
        self.spare_batch = batch_new()
        if self.filling == NULL or self.spare_batch == NULL:
            raise MemoryError
        self.open_batch = 1
        self.notify_fd = -1
        self.next_segment = 1
        self.next_serial = 1
        self.contributors = []
        self.waiters = []
        self.sealed_waiters = []
        self.status = "ok"
        self.status_text = ""

    def __dealloc__(self):
        cdef part_t* part
        if self.filling != NULL:
            self.release_parts(self.filling)
            batch_free(self.filling)
        if self.in_flight != NULL:
            self.release_parts(self.in_flight)
            batch_free(self.in_flight)
        if self.spare_batch != NULL:
            batch_free(self.spare_batch)
        self.free_dropped()
        table_clear(&self.table)
        while self.spare_parts != NULL:
            part = self.spare_parts
            self.spare_parts = part.next
            part_free(part)
        free(self.scratch.memory)

    cdef void free_dropped(self) noexcept:
        """Frees the segments that are gone but for their place in the list of the sparse."""
        cdef segment_t** link = &self.sparse
        cdef segment_t* segment
        while link[0] != NULL:
            segment = link[0]
            if segment.flags & SEGMENT_DROPPED:
                link[0] = segment.next_sparse
                segment_free(segment)
            else:
                link = &segment.next_sparse

    # ── per message ───────────────────────────────────────────────────────────────────────────────────────────────

    cdef int append(self, message_t* message, uint32_t queue_id, uint64_t position, int64_t expires_at_ms,
                    uint8_t priority, uint8_t flags, uint64_t* segment_number, uint32_t* slot_number) except -1:
        cdef part_t* part = self.part
        cdef segment_t* segment
        cdef slot_t* slot
        cdef uint64_t size
        if part == NULL or message.segment != part.serial or part.slot_count >= SEGMENT_SLOTS_MAX:
            if (part == NULL or part.bytes >= self.segment_bytes_max or part.slot_count >= SEGMENT_SLOTS_MAX
                    or part.chunk_count or message.body_size > BODY_INLINE_MAX):
                part = self.start_part(message.body_size)
            if part.record_count == part.record_capacity and part_grow_records(part) != 0:
                raise MemoryError
            size = record_size(message)
            part.bytes += size
            self.filling_bytes += size
            message.references += 1
            message.segment = part.serial
            message.record = part.record_count
            part.records[part.record_count] = message
            part.record_live[part.record_count] = 0
            part.record_count += 1
        if part.slot_count == part.slot_capacity and part_grow_slots(part) != 0:
            raise MemoryError
        segment = <segment_t*>part.home
        if segment.queue_id != queue_id:
            if segment.slot_count:
                segment.flags |= SEGMENT_TABLE
            segment.queue_id = queue_id
        slot = &part.slots[part.slot_count]
        slot.position = position
        slot.expires_at_ms = expires_at_ms
        slot.queue_id = queue_id
        slot.record = message.record
        slot.priority = priority
        slot.flags = flags & ~SLOT_ELIDED
        part.record_live[message.record] += 1
        part.slot_count += 1
        part.live += 1
        segment_number[0] = segment.number
        slot_number[0] = segment.slot_count
        segment.slot_count += 1
        segment.live += 1
        self.slots_appended += 1
        return 0

    cdef int settle(self, uint64_t segment_number, uint32_t slot) except -1:
        cdef segment_t* segment = self.cached
        if segment == NULL or segment.number != segment_number:
            segment = table_find(&self.table, segment_number)
            if segment == NULL:         # every slot of it was settled before
                return 0
            self.cached = segment
        return self.settle_in(segment, slot)

    cdef int settle_in(self, segment_t* segment, uint32_t slot) except -1:
        cdef uint8_t mask = <uint8_t>(1 << (slot & 7))
        if slot >= segment.slot_count:
            raise IndexError(f"segment {segment.number} has no slot {slot}")
        if (slot >> 3) >= segment.settled_size and segment_reserve_bits(segment, slot) != 0:
            raise MemoryError
        if segment.settled[slot >> 3] & mask:
            return 0
        segment.settled[slot >> 3] |= mask
        segment.live -= 1
        self.slots_settled += 1
        if segment.part != NULL and slot >= segment.part.first_slot:
            self.elide(segment.part, slot - segment.part.first_slot)
        elif not segment.flags & SEGMENT_TOUCHED:
            self.link_touched(segment)
        return 0

    cdef void elide(self, part_t* part, uint32_t index) noexcept:
        """The slot was never sealed: it will not be written, nor will its message once no slot needs it."""
        cdef slot_t* slot = &part.slots[index]
        cdef message_t* message
        cdef uint64_t size
        slot.flags |= SLOT_ELIDED
        part.live -= 1
        part.record_live[slot.record] -= 1
        self.slots_elided += 1
        if part.record_live[slot.record] == 0:
            message = part.records[slot.record]
            part.records[slot.record] = NULL
            size = record_size(message)
            part.bytes -= size
            self.filling_bytes -= size
            if message.segment == part.serial:
                message.segment = 0
            message_unref(message)

    cdef int settle_from(self, uint64_t segment_number, uint32_t queue_id, uint32_t first_slot) except -1:
        cdef segment_t* segment = table_find(&self.table, segment_number)
        cdef part_t* part
        cdef uint32_t slot
        if segment == NULL:
            return 0
        if not segment.flags & SEGMENT_TABLE:
            if segment.queue_id == queue_id:
                for slot in range(first_slot, segment.slot_count):
                    self.settle_in(segment, slot)
            return 0
        part = self.filling.first_part
        for _ in range(2):              # the open batch's parts, then those in flight
            while part != NULL:
                if part.segment == segment_number:
                    for slot in range(part.slot_count):
                        if part.slots[slot].queue_id == queue_id and part.first_slot + slot >= first_slot:
                            self.settle_in(segment, part.first_slot + slot)
                part = part.next
            part = self.in_flight.first_part if self.in_flight != NULL else NULL
        if segment.part_count:
            self.settle_stored_from(segment, queue_id, first_slot)
        return 0

    cdef int settle_stored_from(self, segment_t* segment, uint32_t queue_id, uint32_t first_slot) except -1:
        raise NotImplementedError

    # ── key-value operations, waiters ─────────────────────────────────────────────────────────────────────────────

    cpdef put(self, int database, bytes key, bytes value):
        self.add_operation(VERB_PUT, database, key, value)

    cpdef delete(self, int database, bytes key):
        self.add_operation(VERB_DELETE, database, key, b"")

    cdef int add_operation(self, uint8_t verb, int database, bytes key, bytes value) except -1:
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
        if Database(database) in (Database.SEGMENTS, Database.SETTLED, Database.CHUNKS):
            raise ValueError(f"{Database(database).name} is the store's own")
        if len(value) >> 30:
            raise ValueError(f"a value of {len(value)} bytes is too large")
        if batch_add_operation(self.filling, verb, database, key, len(key), value, len(value)) != 0:
            raise MemoryError
        self.filling_bytes += len(key) + len(value)
        return 0

    cdef int expect(self, Contributor contributor) except -1:
        if not contributor.is_expected:
            self.contributors.append(contributor)
            contributor.is_expected = True
        return 0

    cdef int wait(self, Waiter waiter) except -1:
        if waiter.joined_batch != self.open_batch:
            self.waiters.append(waiter)
            waiter.joined_batch = self.open_batch
        return 0

    cdef bint is_stored(self, uint64_t segment_number) noexcept:
        cdef segment_t* segment = table_find(&self.table, segment_number)
        return (segment != NULL and segment.flags & SEGMENT_CLOSED and segment.part == NULL
                and segment.part_count > 0 and segment.stored_batch <= self.committed_batch)

    # ── parts and segments of the open batch ──────────────────────────────────────────────────────────────────────

    cdef part_t* start_part(self, uint64_t body_size) except NULL:
        """A part for the next record: in the segment that is still open, or in a new one."""
        cdef part_t* part
        cdef segment_t* segment = self.current
        if body_size >> 32:
            raise OverflowError("a body of 4 GiB or more cannot be stored")
        if segment != NULL and (self.part != NULL or body_size > BODY_INLINE_MAX):
            segment.flags |= SEGMENT_CLOSED
            self.current = NULL
            if segment.part == NULL and segment.part_count > 1:
                self.link_sparse(segment)
        self.part = NULL
        part = self.take_part()
        if self.current == NULL:
            try:
                self.current = self.new_segment()
            except MemoryError:
                self.recycle(part)
                raise
        segment = self.current
        segment.part = part
        part.home = segment
        part.segment = segment.number
        part.first_slot = segment.slot_count
        part.serial = self.next_serial
        self.next_serial += 1
        if body_size > BODY_INLINE_MAX:
            part.chunk_count = <uint32_t>((body_size + CHUNK_BYTES - 1) // CHUNK_BYTES)
        if self.filling.last_part == NULL:
            self.filling.first_part = part
        else:
            self.filling.last_part.next = part
        self.filling.last_part = part
        self.part = part
        return part

    cdef part_t* take_part(self) except NULL:
        cdef part_t* part = self.spare_parts
        if part == NULL:
            part = part_new()
            if part == NULL:
                raise MemoryError
            return part
        self.spare_parts = part.next
        self.spare_count -= 1
        part.next = NULL
        return part

    cdef segment_t* new_segment(self) except NULL:
        cdef segment_t* segment
        cdef bytes ceiling, name = META_SEGMENT_CEILING
        if self.next_segment >= self.segment_ceiling:
            # committed with the first segment that needs it, so a number can never come twice
            ceiling = (self.next_segment + SEGMENT_NUMBERS_TAKEN).to_bytes(8, "big")
            if batch_add_operation(self.filling, VERB_PUT, DATABASE_META, name, len(name), ceiling,
                                   len(ceiling)) != 0:
                raise MemoryError
            self.segment_ceiling = self.next_segment + SEGMENT_NUMBERS_TAKEN
        segment = table_add(&self.table, self.next_segment)
        if segment == NULL:
            raise MemoryError
        self.next_segment += 1
        return segment

    cdef void finish_parts(self) noexcept:
        """Numbers the parts that will be written; those of which nothing is left go."""
        cdef part_t* part = self.filling.first_part
        cdef part_t* following
        cdef part_t* last = NULL
        self.filling.first_part = NULL
        self.part = NULL
        while part != NULL:
            following = part.next
            part.next = NULL
            if part.home != NULL:
                self.finish_part(part)
            if part.live:
                if last == NULL:
                    self.filling.first_part = part
                else:
                    last.next = part
                last = part
            else:
                self.recycle(part)
            part = following
        self.filling.last_part = last

    cdef void finish_part(self, part_t* part) noexcept:
        cdef segment_t* segment = <segment_t*>part.home
        cdef uint64_t bytes_added
        part.home = NULL
        segment.part = NULL
        if part.live:
            part.index = segment.part_count
            segment.part_count += 1
            segment.entries += part.live
            segment.chunk_count = part.chunk_count
            segment.stored_batch = self.open_batch
            bytes_added = sizeof(header_t) + part.bytes + <uint64_t>part.live * sizeof(slot_entry_t)
            if part.chunk_count:
                bytes_added += part.records[0].body_size
            segment.bytes += bytes_added
            self.stored_bytes += bytes_added
            self.slots_written += part.live
        elif segment.part_count == 0 and segment.live == 0:
            self.remove_segment(segment)
            return
        if (segment.bytes >= SEGMENT_BYTES_MIN or segment.slot_count >= SEGMENT_SLOTS_MIN
                or segment.part_count >= SEGMENT_PARTS_MAX or segment.chunk_count):
            segment.flags |= SEGMENT_CLOSED
            if self.current == segment:
                self.current = NULL
        if segment.flags & SEGMENT_CLOSED and segment.part_count > 1:
            self.link_sparse(segment)

    cdef void recycle(self, part_t* part) noexcept:
        if self.spare_count >= SPARE_PARTS_MAX:
            part_free(part)
            return
        part_reset(part)
        part.next = self.spare_parts
        self.spare_parts = part
        self.spare_count += 1

    cdef void remove_segment(self, segment_t* segment) noexcept:
        """Nothing of it is left: forget it."""
        table_remove(&self.table, segment)
        if self.cached == segment:
            self.cached = NULL
        if self.current == segment:
            self.current = NULL
        self.stored_bytes -= segment.bytes
        if segment.flags & SEGMENT_SPARSE:
            segment.flags |= SEGMENT_DROPPED        # `tidy` meets it in its list and frees it
        else:
            segment_free(segment)

    cdef void link_touched(self, segment_t* segment) noexcept:
        segment.flags |= SEGMENT_TOUCHED
        segment.next_touched = self.touched
        self.touched = segment

    cdef void link_sparse(self, segment_t* segment) noexcept:
        segment.touched_tick = self.tick
        if not segment.flags & SEGMENT_SPARSE:
            segment.flags |= SEGMENT_SPARSE
            segment.next_sparse = self.sparse
            self.sparse = segment

    cdef void release_parts(self, batch_t* batch) noexcept:
        cdef part_t* part = batch.first_part
        cdef part_t* following
        cdef uint32_t index
        while part != NULL:
            following = part.next
            for index in range(part.record_count):
                if part.records[index] != NULL:
                    if part.records[index].segment == part.serial:
                        part.records[index].segment = 0
                    message_unref(part.records[index])
            self.recycle(part)
            part = following
        batch.first_part = NULL
        batch.last_part = NULL

    cdef bint holds_anything(self) noexcept:
        return (self.filling.first_part != NULL or self.touched != NULL or self.contributors
                or self.filling.operation_count > 0 or self.filling.change_count > 0)
