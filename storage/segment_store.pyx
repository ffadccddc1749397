"""Loading, restoring, scanning. The structure and its invariants are in `segment_store.pxd`."""

from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from storage.interface cimport SLOT_DURABLE
from storage.records cimport message_body, message_t, message_unref
from storage.segment cimport (
    CHUNK_BYTES,
    DATABASE_CHUNKS,
    DATABASE_SEGMENTS,
    DATABASE_SETTLED,
    SEGMENT_KEY_SIZE,
    bit,
    queue_entry_t,
    segment_key,
    value_find_queue,
    value_message,
    value_open,
    value_queue,
    value_seek,
    value_slot,
)
from storage.segment_table cimport (
    SEGMENT_CLOSED,
    SEGMENT_TABLE,
    SEGMENT_TOUCHED,
    SEGMENT_VERIFIED,
    segment_reserve_bits,
    table_add,
    table_find,
)
from storage.monotonic cimport monotonic_us

from storage.errors import StoreCorruptError


cdef enum:
    NO_PART = -2


def damaged(uint64_t segment):
    """The error for a segment whose value is not what was written."""
    return StoreCorruptError(f"segment {segment} is damaged: its tables do not match their checksum or leave the value")


cdef class SegmentStore(BatchStore):
    cdef int begin_reading(self) except -1:
        raise NotImplementedError

    cdef void end_reading(self) noexcept:
        pass

    cdef int read_value(self, int database, const char* key, size_t key_size, const char** value,
                        size_t* value_size) except -1:
        raise NotImplementedError

    cdef int next_value(self, int database, const char* start, size_t start_size, const char** key, size_t* key_size,
                        const char** value, size_t* value_size) except -1:
        raise NotImplementedError

    cdef void will_read(self, const char* value, size_t size) noexcept:
        pass

    # ── loading ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int read_part(self, uint64_t segment, uint32_t index, bint verify, const char** value, size_t* value_size,
                       header_t* header) except -1:
        """1 and the part's value, its header proven (all its tables: `verify`); 0 behind the last part."""
        cdef char key[SEGMENT_KEY_SIZE]
        segment_key(key, segment, index)
        if self.read_value(DATABASE_SEGMENTS, key, SEGMENT_KEY_SIZE, value, value_size) == 0:
            return 0
        if verify:
            self.will_read(value[0], value_size[0])
        if value_open(value[0], value_size[0], header, verify) != 0:
            raise damaged(segment)
        return 1

    cdef int load(self, uint64_t segment_number, uint32_t queue_id, uint32_t first_slot, loaded_t* loaded,
                  int loaded_max, uint64_t bytes_max) except -1:
        cdef segment_t* segment = table_find(&self.table, segment_number)
        cdef uint64_t bytes_left = bytes_max
        cdef uint32_t index = 0
        cdef int count = 0, added
        cdef int64_t began_us = monotonic_us()
        if segment == NULL:
            return 0
        self.begin_reading()
        try:
            while count < loaded_max and (count == 0 or bytes_left > 0):
                # the disk may have more parts than `part_count`, or fewer: a compaction is under way
                added = self.load_part(segment, index, queue_id, first_slot, loaded + count, loaded_max - count,
                                       &bytes_left)
                if added == NO_PART:
                    break
                count += added
                index += 1
            segment.flags |= SEGMENT_VERIFIED
        except BaseException:
            while count > 0:
                count -= 1
                message_unref(loaded[count].message)
            raise
        finally:
            self.end_reading()
        self.loads += 1
        self.loaded_messages += count
        for added in range(count):
            self.loaded_bytes += loaded[added].message.body_size
        self.load_us += monotonic_us() - began_us
        return count

    cdef int load_part(self, segment_t* segment, uint32_t index, uint32_t queue_id, uint32_t first_slot,
                       loaded_t* loaded, int loaded_max, uint64_t* bytes_left) except -1:
        """How many slots this part gave, or NO_PART."""
        cdef header_t header
        cdef queue_entry_t queue
        cdef slot_entry_t entry
        cdef const char* value
        cdef size_t value_size
        cdef uint32_t at
        cdef int count = 0
        if self.read_part(segment.number, index, not segment.flags & SEGMENT_VERIFIED, &value, &value_size,
                          &header) == 0:
            return NO_PART
        if not value_find_queue(value, &header, queue_id, &queue):
            return 0
        try:
            for at in range(value_seek(value, &header, &queue, first_slot), queue.first_entry + queue.entry_count):
                value_slot(value, &header, at, &entry)
                if bit(segment.settled, segment.settled_size, entry.slot):
                    continue
                self.load_slot(segment, value, value_size, &header, &entry, &loaded[count])
                count += 1
                bytes_left[0] -= min(bytes_left[0], <uint64_t>entry.body_size)
                if count == loaded_max or bytes_left[0] == 0:
                    break
        except BaseException:
            while count > 0:
                count -= 1
                message_unref(loaded[count].message)
            raise
        return count

    cdef int load_slot(self, segment_t* segment, const char* value, size_t value_size, header_t* header,
                       slot_entry_t* entry, loaded_t* loaded) except -1:
        cdef message_t* message
        cdef char key[SEGMENT_KEY_SIZE]
        cdef const char* chunk
        cdef size_t chunk_size
        cdef uint64_t at = 0
        cdef uint32_t index
        cdef int result = value_message(value, value_size, entry.record_offset, header.chunk_count > 0, &message)
        if result == ENOMEM:
            raise MemoryError
        if result != 0:
            raise damaged(segment.number)
        for index in range(header.chunk_count):
            segment_key(key, segment.number, index)
            if (self.read_value(DATABASE_CHUNKS, key, SEGMENT_KEY_SIZE, &chunk, &chunk_size) == 0
                    or chunk_size != min(<uint64_t>CHUNK_BYTES, message.body_size - at)):
                message_unref(message)
                raise damaged(segment.number)
            self.will_read(chunk, chunk_size)
            memcpy(message_body(message) + at, chunk, chunk_size)
            at += chunk_size
        loaded.message = message
        loaded.position = entry.position
        loaded.expires_at_ms = entry.expires_at_ms
        loaded.slot = entry.slot
        loaded.priority = entry.priority
        loaded.flags = entry.flags
        return 0

    cdef int settle_stored_from(self, segment_t* segment, uint32_t queue_id, uint32_t first_slot) except -1:
        cdef header_t header
        cdef queue_entry_t queue
        cdef slot_entry_t entry
        cdef const char* value
        cdef size_t value_size
        cdef uint32_t index = 0, at
        self.begin_reading()
        try:
            while self.read_part(segment.number, index, True, &value, &value_size, &header):
                index += 1
                if not value_find_queue(value, &header, queue_id, &queue):
                    continue
                for at in range(value_seek(value, &header, &queue, first_slot),
                                queue.first_entry + queue.entry_count):
                    value_slot(value, &header, at, &entry)
                    if entry.slot >= segment.slot_count:
                        raise damaged(segment.number)
                    self.settle_in(segment, entry.slot)
        finally:
            self.end_reading()
        return 0

    # ── restoring ─────────────────────────────────────────────────────────────────────────────────────────────────

    cpdef list restore(self, object known_queue_ids):
        cdef const char* key
        cdef const char* value
        cdef size_t key_size, value_size
        cdef segment_t* segment = NULL
        cdef uint64_t number
        cdef set known = set(known_queue_ids)
        cdef dict found = {}
        cdef list restored = []
        cdef bint more
        if self.table.count or self.slots_appended:
            raise RuntimeError("restore comes first, and once")
        self.begin_reading()
        try:
            more = self.next_value(DATABASE_SEGMENTS, b"", 0, &key, &key_size, &value, &value_size)
            while more:
                if key_size != SEGMENT_KEY_SIZE:
                    raise StoreCorruptError(f"a key of {key_size} bytes among the segments")
                number = int.from_bytes(key[:8], "big")
                if segment == NULL or segment.number != number:
                    self.list_found(segment_number(segment), found, restored)
                    found = {}
                    segment = self.restore_segment(number)
                self.restore_part(segment, value, value_size, known, found)
                more = self.next_value(DATABASE_SEGMENTS, NULL, 0, &key, &key_size, &value, &value_size)
            self.list_found(segment_number(segment), found, restored)
        finally:
            self.end_reading()
        return restored

    def list_found(self, uint64_t number, dict found, list restored):
        """Adds the lines of one segment to the result of `restore`, and looks whether anything of it is left."""
        cdef segment_t* segment = table_find(&self.table, number)
        if segment == NULL:
            return
        if segment.slot_count != segment.entries:
            segment.flags |= SEGMENT_TABLE          # gaps: a slot number alone does not say that there is a slot
        if segment.live == 0 and not segment.flags & SEGMENT_TOUCHED:
            self.link_touched(segment)
        elif segment.part_count > 1:
            self.link_sparse(segment)
        for queue_id, (first_slot, count, body_bytes, last_position) in found.items():
            if count:
                restored.append((queue_id, number, first_slot, count, body_bytes, last_position))

    cdef segment_t* restore_segment(self, uint64_t number) except NULL:
        """A segment as the disk has it, with its bitmap; the parts are counted by `restore_part`."""
        cdef segment_t* segment = table_add(&self.table, number)
        cdef char key[SEGMENT_KEY_SIZE]
        cdef const char* settled
        cdef size_t size
        if segment == NULL:
            raise MemoryError
        segment.flags = SEGMENT_CLOSED
        segment_key(key, number, 0)
        if self.read_value(DATABASE_SETTLED, key, 8, &settled, &size) and size:
            if segment_reserve_bits(segment, <uint32_t>(size * 8 - 1)) != 0:
                raise MemoryError
            memcpy(segment.settled, settled, size)
        return segment

    cdef int restore_part(self, segment_t* segment, const char* value, size_t value_size, set known,
                          dict found) except -1:
        """Counts what one part holds. Looks at slots only where the queue table does not say it all."""
        cdef header_t header
        cdef queue_entry_t queue
        cdef uint32_t index, first_entry = 0
        cdef bint wanted, partly = segment.settled != NULL
        cdef list line
        if value_open(value, value_size, &header, partly) != 0:
            raise damaged(segment.number)
        segment.part_count += 1
        segment.entries += header.entry_count
        segment.chunk_count += header.chunk_count
        segment.slot_count = max(segment.slot_count, header.slot_end)
        segment.live += header.entry_count
        segment.bytes += value_size + <uint64_t>header.chunk_count * CHUNK_BYTES
        self.stored_bytes += value_size + <uint64_t>header.chunk_count * CHUNK_BYTES
        for index in range(header.queue_count):
            value_queue(value, index, &queue)
            if queue.first_entry != first_entry or queue.entry_count > header.entry_count - first_entry:
                raise damaged(segment.number)
            first_entry += queue.entry_count
            if index or (segment.part_count > 1 and segment.queue_id != queue.queue_id):
                segment.flags |= SEGMENT_TABLE
            segment.queue_id = queue.queue_id
            wanted = queue.queue_id in known
            line = found.setdefault(queue.queue_id, [queue.first_slot, 0, 0, 0])
            line[3] = max(line[3], queue.last_position)
            if wanted and not partly and queue.durable_count == queue.entry_count:
                if line[1] == 0:
                    line[0] = queue.first_slot
                line[1] += queue.entry_count
                line[2] += queue.durable_bytes
            else:
                self.restore_slots(segment, value, &header, index, wanted, line)
        return 0

    cdef int restore_slots(self, segment_t* segment, const char* value, header_t* header, uint32_t queue_index,
                           bint known, list line) except -1:
        """Slot by slot: counts what is live and durable, and settles what nobody will ever ask for."""
        cdef queue_entry_t queue
        cdef slot_entry_t entry
        cdef uint32_t at
        value_queue(value, queue_index, &queue)
        for at in range(queue.first_entry, queue.first_entry + queue.entry_count):
            value_slot(value, header, at, &entry)
            if entry.slot >= segment.slot_count:
                raise damaged(segment.number)
            if bit(segment.settled, segment.settled_size, entry.slot):
                segment.live -= 1
                continue
            if not known or not entry.flags & SLOT_DURABLE:
                self.settle_in(segment, entry.slot)
                continue
            if line[1] == 0:
                line[0] = entry.slot
            line[1] += 1
            line[2] += entry.body_size
        return 0

    # ── key-value reads ───────────────────────────────────────────────────────────────────────────────────────────

    cpdef object get(self, int database, bytes key):
        cdef const char* value
        cdef size_t value_size
        self.begin_reading()
        try:
            if self.read_value(database, key, len(key), &value, &value_size) == 0:
                return None
            return value[:value_size]
        finally:
            self.end_reading()

    cpdef list scan(self, int database, bytes start, object end, int limit):
        cdef const char* key
        cdef const char* value
        cdef size_t key_size, value_size
        cdef list pairs = []
        cdef const char* from_key = start
        cdef bytes name
        if limit < 1:
            return pairs
        self.begin_reading()
        try:
            while self.next_value(database, from_key, len(start), &key, &key_size, &value, &value_size):
                from_key = NULL
                name = key[:key_size]
                if end is not None and name >= end:
                    break
                pairs.append((name, value[:value_size]))
                if len(pairs) == limit:
                    break
        finally:
            self.end_reading()
        return pairs


cdef uint64_t segment_number(segment_t* segment) noexcept:
    return segment.number if segment != NULL else 0
