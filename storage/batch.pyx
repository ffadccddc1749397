"""Memory of batches and parts, and a batch as bytes. Structures, drawing and invariants: `batch.pxd`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
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
    part_encode,
    part_plan,
    segment_key,
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

cdef bytes encoded_operation(uint8_t verb, uint8_t database, bytes key, bytes value):
    cdef operation_t operation
    operation.verb = verb
    operation.database = database
    operation.key_size = <uint16_t>len(key)
    operation.value_size = <uint32_t>len(value)
    return (<char*>&operation)[:sizeof(operation)] + key + value


cdef bytes key_of(uint64_t segment, uint32_t part, int size):
    cdef char key[SEGMENT_KEY_SIZE]
    segment_key(key, segment, part)
    return key[:size]


cdef int encode_part(part_t* part, scratch_t* scratch, list encoded) except -1:
    cdef bytes value
    cdef uint32_t chunk
    cdef uint64_t at, size
    if part_plan(part, scratch) == ENOMEM:
        raise MemoryError
    value = PyBytes_FromStringAndSize(NULL, part.value_size)
    part_encode(part, scratch, PyBytes_AS_STRING(value))
    encoded.append(encoded_operation(VERB_PUT, DATABASE_SEGMENTS,
                                     key_of(part.segment, part.index, SEGMENT_KEY_SIZE), value))
    for chunk in range(part.chunk_count):
        at = <uint64_t>chunk * CHUNK_BYTES
        size = min(<uint64_t>CHUNK_BYTES, part.records[0].body_size - at)
        encoded.append(encoded_operation(VERB_PUT, DATABASE_CHUNKS, key_of(part.segment, chunk, SEGMENT_KEY_SIZE),
                                         (message_body(part.records[0]) + at)[:size]))
    return 0


cdef bytes batch_encode(batch_t* batch, scratch_t* scratch):
    """The whole batch as bytes, in the order in which it takes effect. Raises MemoryError."""
    cdef list encoded = []
    cdef part_t* part = batch.first_part
    cdef change_t* change
    cdef uint32_t index
    cdef uint32_t counts[2]
    cdef batch_header_t header
    while part != NULL:
        encode_part(part, scratch, encoded)
        part = part.next
    for index in range(batch.change_count):
        change = &batch.changes[index]
        key = key_of(change.segment, 0, 8)
        if change.verb == VERB_DROP:
            counts[0] = change.part_count
            counts[1] = change.chunk_count
            encoded.append(encoded_operation(VERB_DROP, DATABASE_SEGMENTS, key, (<char*>counts)[:sizeof(counts)]))
        else:
            encoded.append(encoded_operation(change.verb, DATABASE_SETTLED, key,
                                             (<char*>change.settled)[:change.settled_size]))
    encoded.append(batch.operations[:batch.operations_size] if batch.operations_size else b"")
    body = b"".join(encoded)
    header.magic = BATCH_MAGIC
    header.version = BATCH_VERSION
    header.reserved = 0
    header.number = batch.number
    header.size = len(body)
    return (<char*>&header)[:sizeof(header)] + body
