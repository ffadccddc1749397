"""Staging batches. See `redo.pxd`."""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from storage.batch cimport (
    BATCH_MAGIC,
    BATCH_VERSION,
    VERB_COMPACT,
    VERB_DELETE,
    VERB_DROP,
    VERB_PUT,
    batch_header_t,
    operation_t,
)
from storage.compaction cimport segment_compact
from storage.lmdb_api cimport MDB_CORRUPTED, MDB_NOTFOUND, MDB_val, fetch_ahead, lmdb
from storage.overlay cimport (
    generation_find,
    generation_reserve,
    generation_stage,
    generation_t,
    generation_unstage,
    node_t,
)
from storage.room cimport lock_reading, unlock_reading
from storage.segment cimport DATABASE_CHUNKS, DATABASE_SEGMENTS, DATABASE_SETTLED, SEGMENT_KEY_SIZE, segment_key
from storage.writer cimport DATABASES

cdef enum:
    PARTS_MAX = 256


cdef uint64_t segment_of(const char* key) noexcept nogil:
    cdef uint64_t number = 0
    cdef int index
    for index in range(8):
        number = number << 8 | <uint8_t>key[index]
    return number


cdef int stage_deletes(generation_t* generation, uint8_t database, uint64_t segment, uint32_t first,
                       uint32_t end) noexcept nogil:
    cdef char key[SEGMENT_KEY_SIZE]
    cdef uint32_t index
    cdef int result = 0
    for index in range(first, end):
        segment_key(key, segment, index)
        result = generation_stage(generation, database, key, SEGMENT_KEY_SIZE, NULL, 0)
        if result != 0:
            break
    return result


cdef int stage_drop(generation_t* generation, const char* key, const char* value) noexcept nogil:
    cdef uint32_t counts[2]
    cdef uint64_t segment = segment_of(key)
    cdef int result
    memcpy(counts, value, sizeof(counts))
    result = stage_deletes(generation, DATABASE_SEGMENTS, segment, 0, counts[0])
    if result == 0:
        result = stage_deletes(generation, DATABASE_CHUNKS, segment, 0, counts[1])
    if result == 0:
        result = generation_stage(generation, DATABASE_SETTLED, key, 8, NULL, 0)
    return result


# ── compaction ────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int look_up(writer_t* writer, const char* key, MDB_val* found) noexcept nogil:
    """A part's value from the newest that has it. 0, MDB_NOTFOUND or an error."""
    cdef node_t* node = generation_find(writer.active, DATABASE_SEGMENTS, key, SEGMENT_KEY_SIZE)
    cdef MDB_val name
    cdef int result
    if node == NULL and writer.frozen != NULL:
        node = generation_find(writer.frozen, DATABASE_SEGMENTS, key, SEGMENT_KEY_SIZE)
    if node != NULL:
        found.mv_data = <void*>node.value
        found.mv_size = node.value_size
        return 0 if node.value != NULL else MDB_NOTFOUND
    name.mv_data = <void*>key
    name.mv_size = SEGMENT_KEY_SIZE
    result = lmdb.get(writer.reader, writer.databases[DATABASE_SEGMENTS], &name, found)
    if result == 0:
        fetch_ahead(found.mv_data, found.mv_size)
    return result


cdef int compact(writer_t* writer, uint64_t segment, const char* settled, uint32_t settled_size, char** compacted,
                 size_t* compacted_size, uint32_t* part_count) noexcept nogil:
    cdef const char* values[PARTS_MAX]
    cdef size_t sizes[PARTS_MAX]
    cdef char key[SEGMENT_KEY_SIZE]
    cdef MDB_val found
    cdef uint32_t count = 0
    cdef int result = 0
    while count < PARTS_MAX:
        segment_key(key, segment, count)
        result = look_up(writer, key, &found)
        if result != 0:
            break
        values[count] = <const char*>found.mv_data
        sizes[count] = found.mv_size
        count += 1
    if (result != 0 and result != MDB_NOTFOUND) or count == 0:
        return MDB_CORRUPTED
    part_count[0] = count
    result = segment_compact(values, sizes, <int>count, <const uint8_t*>settled, settled_size, compacted,
                             compacted_size)
    return MDB_CORRUPTED if result < 0 else result


cdef int stage_compaction(writer_t* writer, const char* key, const char* settled, uint32_t settled_size) noexcept nogil:
    cdef generation_t* generation = writer.active
    cdef uint64_t segment = segment_of(key)
    cdef char first[SEGMENT_KEY_SIZE]
    cdef char* compacted = NULL
    cdef char* kept
    cdef size_t size = 0
    cdef uint32_t part_count = 0
    cdef int result
    # as a backup does: the map must not move while it is read, but others may read as well
    lock_reading(writer)
    writer.copies += 1
    unlock_reading(writer)
    result = lmdb.txn_renew(writer.reader)
    if result == 0:
        result = compact(writer, segment, settled, settled_size, &compacted, &size, &part_count)
        lmdb.txn_reset(writer.reader)
    lock_reading(writer)
    writer.copies -= 1
    unlock_reading(writer)
    if result != 0:
        return result
    kept = generation_reserve(generation, size)
    if kept == NULL:
        free(compacted)
        return ENOMEM
    memcpy(kept, compacted, size)
    free(compacted)
    segment_key(first, segment, 0)
    result = generation_stage(generation, DATABASE_SEGMENTS, first, SEGMENT_KEY_SIZE, kept, size)
    if result == 0:
        result = stage_deletes(generation, DATABASE_SEGMENTS, segment, 1, part_count)
    if result == 0:
        result = generation_stage(generation, DATABASE_SETTLED, key, 8, NULL, 0)
    return result


# ── a batch ───────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int stage_operation(writer_t* writer, operation_t* operation, const char* key, const char* value,
                         const char* kept_value) noexcept nogil:
    if operation.verb == VERB_PUT:
        return generation_stage(writer.active, operation.database, key, operation.key_size, kept_value,
                                operation.value_size)
    if operation.verb == VERB_DELETE:
        return generation_stage(writer.active, operation.database, key, operation.key_size, NULL, 0)
    if operation.key_size != 8:
        return MDB_CORRUPTED
    if operation.verb == VERB_COMPACT:
        return stage_compaction(writer, key, value, operation.value_size)
    if operation.verb == VERB_DROP and operation.value_size == 8:
        return stage_drop(writer.active, key, value)
    return MDB_CORRUPTED


cdef int stage_batch(writer_t* writer, const char* encoded, uint64_t size, const char* place) noexcept nogil:
    cdef batch_header_t header
    cdef const char* key
    cdef operation_t operation
    cdef uint64_t at = sizeof(header)
    cdef int result = 0
    if size < sizeof(header):
        return MDB_CORRUPTED
    memcpy(&header, encoded, sizeof(header))
    if header.magic != BATCH_MAGIC or header.version != BATCH_VERSION or header.size != size - sizeof(header):
        return MDB_CORRUPTED
    generation_unstage(writer.active)
    while at < size and result == 0:
        if size - at < sizeof(operation):
            return MDB_CORRUPTED
        memcpy(&operation, encoded + at, sizeof(operation))
        at += sizeof(operation)
        if operation.database >= DATABASES or <uint64_t>operation.key_size + operation.value_size > size - at:
            return MDB_CORRUPTED
        key = encoded + at
        result = stage_operation(writer, &operation, key, key + operation.key_size, place + at + operation.key_size)
        at += <uint64_t>operation.key_size + operation.value_size
    return result


cdef void note_compacted(writer_t* writer, batch_t* batch) noexcept nogil:
    cdef char key[SEGMENT_KEY_SIZE]
    cdef node_t* node
    cdef uint32_t index
    for index in range(batch.change_count):
        if batch.changes[index].verb == VERB_COMPACT:
            segment_key(key, batch.changes[index].segment, 0)
            node = generation_find(writer.active, DATABASE_SEGMENTS, key, SEGMENT_KEY_SIZE)
            batch.changes[index].bytes_after = node.value_size if node != NULL else 0
