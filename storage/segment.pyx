"""Encoding, decoding and compacting of segment values. Layout, drawing and invariants: `segment.pxd`.

Everything here is a function of bytes: no state, no I/O. What is read may be anything (a damaged file): every length is
checked before it is believed.
"""

import sys

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport ENOMEM
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from storage.interface cimport SLOT_DURABLE
from storage.records cimport message_new

if sys.byteorder != "little":
    raise ImportError("the store's files are little-endian, and so must the machine be")


cdef void segment_key(char* key, uint64_t segment, uint32_t part) noexcept nogil:
    cdef int index
    for index in range(8):
        key[index] = <char>((segment >> (56 - 8 * index)) & 0xFF)
    for index in range(4):
        key[8 + index] = <char>((part >> (24 - 8 * index)) & 0xFF)


cdef int scratch_reserve(scratch_t* scratch, size_t size) noexcept nogil:
    cdef char* memory
    if size <= scratch.capacity:
        return 0
    memory = <char*>realloc(scratch.memory, size)
    if memory == NULL:
        return ENOMEM
    scratch.memory = memory
    scratch.capacity = size
    return 0


cdef uint64_t checksum(uint64_t seed, const char* data, size_t size) noexcept nogil:
    """Over words of 8 bytes: finds what is torn or shifted, not forgers."""
    cdef uint64_t total = seed ^ <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t word
    cdef size_t at = 0
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        total = (total ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        total ^= total >> 32
        at += 8
    return total


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

cdef void order_by_queue(part_t* part, uint32_t* order, uint32_t* spare, uint32_t count, uint32_t mask) noexcept nogil:
    """Sorts slot indices by queue id, stable (so by slot within a queue): radix, only the bytes that differ at all.

    The result is in `order`. `mask` has the bits in which any two queue ids differ.
    """
    cdef uint32_t starts[256]
    cdef uint32_t shift, index, total, amount, byte
    cdef uint32_t* source = order
    cdef uint32_t* target = spare
    cdef uint32_t* swapped
    for shift in range(0, 32, 8):
        if (mask >> shift) & 0xFF == 0:
            continue
        memset(starts, 0, sizeof(starts))
        for index in range(count):
            starts[(part.slots[source[index]].queue_id >> shift) & 0xFF] += 1
        total = 0
        for index in range(256):
            amount = starts[index]
            starts[index] = total
            total += amount
        for index in range(count):
            byte = (part.slots[source[index]].queue_id >> shift) & 0xFF
            target[starts[byte]] = source[index]
            starts[byte] += 1
        swapped = source
        source = target
        target = swapped
    if source != order:
        memcpy(order, source, count * sizeof(uint32_t))


cdef int part_plan(part_t* part, scratch_t* scratch) noexcept nogil:
    """Decides where everything goes. The scratch then holds: order[slot_count], spare[slot_count], offsets[records]."""
    cdef uint32_t* order
    cdef uint32_t* offsets
    cdef uint32_t index, count = 0, mask = 0, first_queue = 0, queues = 0, last_queue = 0
    cdef uint64_t offset
    if scratch_reserve(scratch, (2 * <size_t>part.slot_count + part.record_count + 1) * sizeof(uint32_t)) != 0:
        return ENOMEM
    order = <uint32_t*>scratch.memory
    offsets = order + 2 * <size_t>part.slot_count
    for index in range(part.slot_count):
        if part.slots[index].flags & SLOT_ELIDED:
            continue
        if count == 0:
            first_queue = part.slots[index].queue_id
        mask |= part.slots[index].queue_id ^ first_queue
        order[count] = index
        count += 1
    if mask:
        order_by_queue(part, order, order + part.slot_count, count, mask)
    for index in range(count):
        if index == 0 or part.slots[order[index]].queue_id != last_queue:
            queues += 1
            last_queue = part.slots[order[index]].queue_id
    offset = sizeof(header_t) + <uint64_t>queues * sizeof(queue_entry_t) + <uint64_t>count * sizeof(slot_entry_t)
    for index in range(part.record_count):
        if part.record_live[index]:
            offsets[index] = <uint32_t>offset
            offset += record_size(part.records[index])
    part.value_size = offset
    part.queue_count = queues
    part.entry_count = count
    return 0


cdef uint32_t encode_records(part_t* part, uint32_t* offsets, char* value) noexcept nogil:
    """Writes the live records; gives how many."""
    cdef uint32_t index, count = 0
    cdef message_t* message
    cdef record_t record
    memset(&record, 0, sizeof(record))
    for index in range(part.record_count):
        if part.record_live[index] == 0:
            continue
        message = part.records[index]
        record.flags = message.flags
        record.priority = message.priority
        record.exchange_size = message.exchange_size
        record.routing_key_size = message.routing_key_size
        record.properties_size = message.properties_size
        record.body_size = message.body_size
        record.expiration_ms = message.expiration_ms
        memcpy(value + offsets[index], &record, sizeof(record))
        # exchange, routing key, properties and body lie in memory as they do on disk
        memcpy(value + offsets[index] + sizeof(record), <char*>message + sizeof(message_t),
               record_size(message) - sizeof(record))
        count += 1
    return count


cdef void encode_tables(part_t* part, uint32_t* order, uint32_t* offsets, char* value) noexcept nogil:
    cdef queue_entry_t queue
    cdef slot_entry_t entry
    cdef slot_t* slot
    cdef uint32_t index, queues = 0
    cdef char* queue_at = value + sizeof(header_t)
    cdef char* slot_at = queue_at + <size_t>part.queue_count * sizeof(queue_entry_t)
    memset(&queue, 0, sizeof(queue))
    memset(&entry, 0, sizeof(entry))
    for index in range(part.entry_count):
        slot = &part.slots[order[index]]
        if queues == 0 or slot.queue_id != queue.queue_id:
            if queues:
                memcpy(queue_at + (queues - 1) * sizeof(queue), &queue, sizeof(queue))
            memset(&queue, 0, sizeof(queue))
            queue.queue_id = slot.queue_id
            queue.first_entry = index
            queue.first_slot = part.first_slot + order[index]
            queues += 1
        entry.slot = part.first_slot + order[index]
        entry.record_offset = offsets[slot.record]
        entry.position = slot.position
        entry.expires_at_ms = slot.expires_at_ms
        entry.body_size = <uint32_t>part.records[slot.record].body_size
        entry.priority = slot.priority
        entry.flags = slot.flags
        memcpy(slot_at + index * sizeof(entry), &entry, sizeof(entry))
        queue_count_slot(&queue, &entry)
    if queues:
        memcpy(queue_at + (queues - 1) * sizeof(queue), &queue, sizeof(queue))


cdef void queue_count_slot(queue_entry_t* queue, slot_entry_t* entry) noexcept nogil:
    queue.entry_count += 1
    if entry.position > queue.last_position:
        queue.last_position = entry.position
    if entry.flags & SLOT_DURABLE:
        queue.durable_count += 1
        queue.durable_bytes += entry.body_size


cdef void seal_header(header_t* header, char* value) noexcept nogil:
    """Sums up the tables that are in place and writes the header in front of them."""
    cdef size_t queue_bytes = <size_t>header.queue_count * sizeof(queue_entry_t)
    header.magic = SEGMENT_MAGIC
    header.version = SEGMENT_VERSION
    header.checksum = 0
    header.table_checksum = checksum(header.entry_count, value + sizeof(header_t) + queue_bytes,
                                     <size_t>header.entry_count * sizeof(slot_entry_t))
    header.checksum = checksum(checksum(0, <char*>header, sizeof(header_t)), value + sizeof(header_t), queue_bytes)
    memcpy(value, header, sizeof(header_t))


cdef void part_encode(part_t* part, scratch_t* scratch, char* value) noexcept nogil:
    cdef uint32_t* order = <uint32_t*>scratch.memory
    cdef uint32_t* offsets = order + 2 * <size_t>part.slot_count
    cdef header_t header
    memset(&header, 0, sizeof(header))
    header.value_size = part.value_size
    header.slot_end = part.first_slot + part.slot_count
    header.queue_count = part.queue_count
    header.entry_count = part.entry_count
    header.chunk_count = part.chunk_count
    header.record_count = encode_records(part, offsets, value)
    encode_tables(part, order, offsets, value)
    seal_header(&header, value)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int value_open(const char* value, size_t size, header_t* header, bint whole) noexcept nogil:
    cdef uint64_t tables, expected
    if size < sizeof(header_t):
        return -1
    memcpy(header, value, sizeof(header_t))
    if header.magic != SEGMENT_MAGIC or header.version != SEGMENT_VERSION or header.value_size != size:
        return -1
    tables = (<uint64_t>header.queue_count * sizeof(queue_entry_t)
              + <uint64_t>header.entry_count * sizeof(slot_entry_t))
    if tables > size - sizeof(header_t):
        return -1
    expected = header.checksum
    header.checksum = 0
    if expected != checksum(checksum(0, <char*>header, sizeof(header_t)), value + sizeof(header_t),
                            <size_t>header.queue_count * sizeof(queue_entry_t)):
        return -1
    header.checksum = expected
    if whole and header.table_checksum != checksum(
            header.entry_count, value + sizeof(header_t) + <size_t>header.queue_count * sizeof(queue_entry_t),
            <size_t>header.entry_count * sizeof(slot_entry_t)):
        return -1
    return 0


cdef void value_queue(const char* value, uint32_t index, queue_entry_t* entry) noexcept nogil:
    memcpy(entry, value + sizeof(header_t) + <size_t>index * sizeof(queue_entry_t), sizeof(queue_entry_t))


cdef bint value_find_queue(const char* value, header_t* header, uint32_t queue_id, queue_entry_t* entry) noexcept nogil:
    """The queue's line in the queue table; False where the part holds nothing of it (or the line lies)."""
    cdef uint32_t low = 0, high = header.queue_count, middle
    while low < high:
        middle = (low + high) >> 1
        value_queue(value, middle, entry)
        if entry.queue_id < queue_id:
            low = middle + 1
        else:
            high = middle
    if low == header.queue_count:
        return False
    value_queue(value, low, entry)
    return (entry.queue_id == queue_id
            and <uint64_t>entry.first_entry + entry.entry_count <= header.entry_count)


cdef void value_slot(const char* value, header_t* header, uint32_t index, slot_entry_t* entry) noexcept nogil:
    memcpy(entry, value + sizeof(header_t) + <size_t>header.queue_count * sizeof(queue_entry_t)
           + <size_t>index * sizeof(slot_entry_t), sizeof(slot_entry_t))


cdef uint32_t value_seek(const char* value, header_t* header, queue_entry_t* queue, uint32_t slot) noexcept nogil:
    cdef slot_entry_t entry
    cdef uint32_t low = queue.first_entry, high = queue.first_entry + queue.entry_count, middle
    while low < high:
        middle = (low + high) >> 1
        value_slot(value, header, middle, &entry)
        if entry.slot < slot:
            low = middle + 1
        else:
            high = middle
    return low


cdef int value_message(const char* value, size_t size, uint32_t record_offset, bint chunked,
                       message_t** message) noexcept nogil:
    cdef record_t record
    cdef uint64_t names, end
    cdef const char* payload
    cdef message_t* created
    end = <uint64_t>record_offset + sizeof(record_t)
    if end > size:
        return -1
    memcpy(&record, value + record_offset, sizeof(record))
    names = <uint64_t>record.exchange_size + record.routing_key_size + record.properties_size
    if names > size - end or (not chunked and record.body_size > size - end - names):
        return -1
    payload = value + end
    created = message_new(
        payload, record.exchange_size, payload + record.exchange_size, record.routing_key_size,
        payload + record.exchange_size + record.routing_key_size, record.properties_size, record.body_size)
    if created == NULL:
        return ENOMEM
    created.flags = record.flags
    created.priority = record.priority
    created.expiration_ms = record.expiration_ms
    if not chunked and record.body_size:
        memcpy(<char*>created + sizeof(message_t) + names, payload + names, record.body_size)
    message[0] = created
    return 0


# ── a door for Python: inspection ─────────────────────────────────────────────────────────────────────────────────

def describe(object value, bytes settled=b""):
    """What a part value (any buffer of bytes) holds, without its bodies.

    {"slots", "live", "records", "chunks", "bytes", "queues": {queue id: {"slots", "live", "durable"}}}; `settled` is
    the segment's bitmap. Raises ValueError for a damaged value.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    try:
        return describe_bytes(<const char*>view.buf, view.len, <const uint8_t*><const char*>settled, len(settled))
    finally:
        PyBuffer_Release(&view)


cdef dict describe_bytes(const char* value, size_t size, const uint8_t* bits, uint32_t bits_size):
    cdef header_t header
    cdef queue_entry_t queue
    cdef slot_entry_t entry
    cdef uint32_t at, index, live, total = 0
    if value_open(value, size, &header, bits_size > 0) != 0:
        raise ValueError("damaged segment value")
    queues = {}
    for at in range(header.queue_count):
        value_queue(value, at, &queue)
        if <uint64_t>queue.first_entry + queue.entry_count > header.entry_count:
            raise ValueError("damaged segment value")
        live = queue.entry_count
        if bits_size:
            for index in range(queue.first_entry, queue.first_entry + queue.entry_count):
                value_slot(value, &header, index, &entry)
                live -= bit(bits, bits_size, entry.slot)
        total += live
        queues[queue.queue_id] = {"slots": queue.entry_count, "live": live, "durable": queue.durable_count}
    return {"slots": header.entry_count, "live": total, "records": header.record_count,
            "chunks": header.chunk_count, "bytes": header.value_size, "queues": queues}
