"""Memory of batches and parts, and a batch as bytes. Structures, drawing and invariants: `batch.pxd`."""

from libc.errno cimport ENOMEM
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from storage.records cimport message_body
from storage.segment cimport (
    CHUNK_BYTES,
    DATABASE_CHUNKS,
    DATABASE_SEGMENTS,
    DATABASE_SETTLED,
    SEGMENT_KEY_SIZE,
    header_t,
    part_encode,
    part_plan,
    queue_entry_t,
    segment_key,
    slot_entry_t,
    slot_t,
)


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef part_t* part_new() noexcept nogil:
    return <part_t*>calloc(1, sizeof(part_t))


cdef void part_reset(part_t* part) noexcept nogil:
    cdef slot_t* slots = part.slots
    cdef message_t** records = part.records
    cdef uint32_t* record_live = part.record_live
    cdef uint32_t slot_capacity = part.slot_capacity, record_capacity = part.record_capacity
    memset(part, 0, sizeof(part_t))
    part.slots = slots
    part.records = records
    part.record_live = record_live
    part.slot_capacity = slot_capacity
    part.record_capacity = record_capacity


cdef void part_free(part_t* part) noexcept nogil:
    free(part.slots)
    free(part.records)
    free(part.record_live)
    free(part)


cdef int part_grow_slots(part_t* part) noexcept nogil:
    cdef uint32_t capacity = part.slot_capacity * 2 if part.slot_capacity else 64
    cdef slot_t* slots = <slot_t*>realloc(part.slots, capacity * sizeof(slot_t))
    if slots == NULL:
        return -1
    part.slots = slots
    part.slot_capacity = capacity
    return 0


cdef int part_grow_records(part_t* part) noexcept nogil:
    cdef uint32_t capacity = part.record_capacity * 2 if part.record_capacity else 64
    cdef message_t** records = <message_t**>realloc(part.records, capacity * sizeof(message_t*))
    cdef uint32_t* live
    if records == NULL:
        return -1
    part.records = records
    live = <uint32_t*>realloc(part.record_live, capacity * sizeof(uint32_t))
    if live == NULL:
        return -1
    part.record_live = live
    part.record_capacity = capacity
    return 0


# ── batches ───────────────────────────────────────────────────────────────────────────────────────────────────────

cdef batch_t* batch_new() noexcept nogil:
    return <batch_t*>calloc(1, sizeof(batch_t))


cdef void batch_reset(batch_t* batch) noexcept nogil:
    cdef uint32_t index
    for index in range(batch.change_count):
        free(batch.changes[index].settled)
    batch.change_count = 0
    batch.operation_count = 0
    batch.operations_size = 0
    batch.number = 0
    batch.first_part = NULL
    batch.last_part = NULL


cdef void batch_free(batch_t* batch) noexcept nogil:
    batch_reset(batch)
    free(batch.changes)
    free(batch.operations)
    free(batch)


cdef change_t* batch_add_change(batch_t* batch, uint8_t verb, uint64_t segment, const uint8_t* settled,
                                uint32_t settled_size) noexcept nogil:
    cdef change_t* changes
    cdef change_t* change
    cdef uint32_t capacity
    if batch.change_count == batch.change_capacity:
        capacity = batch.change_capacity * 2 if batch.change_capacity else 16
        changes = <change_t*>realloc(batch.changes, capacity * sizeof(change_t))
        if changes == NULL:
            return NULL
        batch.changes = changes
        batch.change_capacity = capacity
    change = &batch.changes[batch.change_count]
    memset(change, 0, sizeof(change_t))
    change.verb = verb
    change.segment = segment
    while settled_size and settled[settled_size - 1] == 0:
        settled_size -= 1
    if settled_size:
        change.settled = <uint8_t*>malloc(settled_size)
        if change.settled == NULL:
            return NULL
        memcpy(change.settled, settled, settled_size)
        change.settled_size = settled_size
    batch.change_count += 1
    return change


cdef int batch_add_operation(batch_t* batch, uint8_t verb, uint8_t database, const char* key, size_t key_size,
                             const char* value, size_t value_size) noexcept nogil:
    cdef size_t size = batch.operations_size + sizeof(operation_t) + key_size + value_size
    cdef size_t capacity = batch.operations_capacity if batch.operations_capacity else 256
    cdef char* operations
    cdef operation_t operation
    if size > batch.operations_capacity:
        while capacity < size:
            capacity *= 2
        operations = <char*>realloc(batch.operations, capacity)
        if operations == NULL:
            return -1
        batch.operations = operations
        batch.operations_capacity = capacity
    operation.verb = verb
    operation.database = database
    operation.key_size = <uint16_t>key_size
    operation.value_size = <uint32_t>value_size
    operations = batch.operations + batch.operations_size
    memcpy(operations, &operation, sizeof(operation))
    memcpy(operations + sizeof(operation), key, key_size)
    if value_size:
        memcpy(operations + sizeof(operation) + key_size, value, value_size)
    batch.operations_size = size
    batch.operation_count += 1
    return 0


# ── a batch as bytes ──────────────────────────────────────────────────────────────────────────────────────────────

cdef uint64_t batch_bound(batch_t* batch) noexcept nogil:
    cdef uint64_t total = sizeof(batch_header_t) + batch.operations_size
    cdef uint64_t operation_bytes = sizeof(operation_t) + SEGMENT_KEY_SIZE
    cdef part_t* part = batch.first_part
    cdef uint32_t index
    while part != NULL:
        total += (operation_bytes + sizeof(header_t) + part.bytes
                  + <uint64_t>part.live * (sizeof(queue_entry_t) + sizeof(slot_entry_t)))
        if part.chunk_count:
            total += part.chunk_count * operation_bytes + part.records[0].body_size
        part = part.next
    for index in range(batch.change_count):
        total += operation_bytes + max(<uint64_t>batch.changes[index].settled_size, <uint64_t>8)
    return total


cdef char* write_operation(char* at, uint8_t verb, uint8_t database, uint64_t segment, uint32_t part, uint16_t key_size,
                           uint32_t value_size) noexcept nogil:
    """The head of an operation on a segment, and where its value goes."""
    cdef operation_t operation
    cdef char key[SEGMENT_KEY_SIZE]
    operation.verb = verb
    operation.database = database
    operation.key_size = key_size
    operation.value_size = value_size
    segment_key(key, segment, part)
    memcpy(at, &operation, sizeof(operation))
    memcpy(at + sizeof(operation), key, key_size)
    return at + sizeof(operation) + key_size


cdef char* write_part(part_t* part, scratch_t* scratch, char* at) noexcept nogil:
    """Behind what was written, or NULL: no memory."""
    cdef uint32_t chunk
    cdef uint64_t from_byte, size
    if part_plan(part, scratch) != 0:
        return NULL
    at = write_operation(at, VERB_PUT, DATABASE_SEGMENTS, part.segment, part.index, SEGMENT_KEY_SIZE,
                         <uint32_t>part.value_size)
    part_encode(part, scratch, at)
    at += part.value_size
    for chunk in range(part.chunk_count):
        from_byte = <uint64_t>chunk * CHUNK_BYTES
        size = min(<uint64_t>CHUNK_BYTES, part.records[0].body_size - from_byte)
        at = write_operation(at, VERB_PUT, DATABASE_CHUNKS, part.segment, chunk, SEGMENT_KEY_SIZE, <uint32_t>size)
        memcpy(at, message_body(part.records[0]) + from_byte, size)
        at += size
    return at


cdef char* write_change(change_t* change, char* at) noexcept nogil:
    cdef uint32_t counts[2]
    if change.verb == VERB_DROP:
        counts[0] = change.part_count
        counts[1] = change.chunk_count
        at = write_operation(at, VERB_DROP, DATABASE_SEGMENTS, change.segment, 0, 8, sizeof(counts))
        memcpy(at, counts, sizeof(counts))
        return at + sizeof(counts)
    at = write_operation(at, change.verb, DATABASE_SETTLED, change.segment, 0, 8, change.settled_size)
    if change.settled_size:
        memcpy(at, change.settled, change.settled_size)
    return at + change.settled_size


cdef int batch_write(batch_t* batch, scratch_t* scratch, char* target, uint64_t* size) noexcept nogil:
    cdef char* at = target + sizeof(batch_header_t)
    cdef part_t* part = batch.first_part
    cdef batch_header_t header
    cdef uint32_t index
    while part != NULL:
        at = write_part(part, scratch, at)
        if at == NULL:
            return ENOMEM
        part = part.next
    for index in range(batch.change_count):
        at = write_change(&batch.changes[index], at)
    if batch.operations_size:
        memcpy(at, batch.operations, batch.operations_size)
        at += batch.operations_size
    header.magic = BATCH_MAGIC
    header.version = BATCH_VERSION
    header.reserved = 0
    header.number = batch.number
    header.size = <uint64_t>(at - target) - sizeof(header)
    memcpy(target, &header, sizeof(header))
    size[0] = <uint64_t>(at - target)
    return 0


cdef bytes batch_encode(batch_t* batch, scratch_t* scratch):
    cdef uint64_t size
    cdef bytes encoded
    cdef char* target = <char*>malloc(batch_bound(batch))
    if target == NULL:
        raise MemoryError
    try:
        if batch_write(batch, scratch, target, &size) != 0:
            raise MemoryError
        encoded = target[:size]
        return encoded
    finally:
        free(target)
