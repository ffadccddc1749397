"""What becomes one LMDB transaction: a generation of journaled batches, or a batch that the journal has no room for.

See `transaction.pxd`. Functions of LMDB and memory: no thread, no retry.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, strlen

from storage.batch cimport VERB_DELETE, VERB_DROP, VERB_PUT, change_t, operation_t
from storage.compaction cimport segment_compact
from storage.lmdb_api cimport (
    MDB_APPEND,
    MDB_CORRUPTED,
    MDB_KEYEXIST,
    MDB_NOTFOUND,
    MDB_RESERVE,
    MDB_txn,
    MDB_val,
    fetch_ahead,
    lmdb,
)
from storage.overlay cimport node_key, node_t
from storage.records cimport message_body
from storage.segment cimport (
    CHUNK_BYTES,
    DATABASE_CHUNKS,
    DATABASE_SEGMENTS,
    DATABASE_SETTLED,
    SEGMENT_KEY_SIZE,
    part_encode,
    part_plan,
    part_t,
    segment_key,
)

cdef enum:
    PARTS_MAX = 256
    DATABASE_META = 0

cdef const char* MARK_NAME = "journal"      # `layout.META_JOURNAL`


# ── one batch, one transaction ────────────────────────────────────────────────────────────────────────────────────

cdef int put_part(writer_t* writer, MDB_txn* txn, part_t* part) noexcept nogil:
    cdef char name[SEGMENT_KEY_SIZE]
    cdef MDB_val key, value
    cdef uint64_t at = 0, body_size
    cdef uint32_t chunk
    cdef int result = part_plan(part, &writer.scratch)
    if result != 0:
        return result
    segment_key(name, part.segment, part.index)
    key.mv_data = name
    key.mv_size = SEGMENT_KEY_SIZE
    value.mv_size = part.value_size
    # keys only grow, so MDB_APPEND; a key that does not is MDB_KEYEXIST, an error like any other
    result = lmdb.put(txn, writer.databases[DATABASE_SEGMENTS], &key, &value, MDB_RESERVE | MDB_APPEND)
    if result != 0:
        return result
    part_encode(part, &writer.scratch, <char*>value.mv_data)
    for chunk in range(part.chunk_count):
        body_size = part.records[0].body_size
        segment_key(name, part.segment, chunk)
        value.mv_data = message_body(part.records[0]) + at
        value.mv_size = min(<uint64_t>CHUNK_BYTES, body_size - at)
        at += value.mv_size
        result = lmdb.put(txn, writer.databases[DATABASE_CHUNKS], &key, &value, MDB_APPEND)
        if result != 0:
            return result
    return 0


cdef int delete_key(writer_t* writer, MDB_txn* txn, int database, const char* name, size_t size) noexcept nogil:
    cdef MDB_val key
    cdef int result
    key.mv_data = <void*>name
    key.mv_size = size
    result = lmdb.delete_(txn, writer.databases[database], &key, NULL)
    return 0 if result == MDB_NOTFOUND else result


cdef int put_settled(writer_t* writer, MDB_txn* txn, change_t* change) noexcept nogil:
    cdef char name[SEGMENT_KEY_SIZE]
    cdef MDB_val key, value
    segment_key(name, change.segment, 0)
    key.mv_data = name
    key.mv_size = 8
    value.mv_data = change.settled
    value.mv_size = change.settled_size
    return lmdb.put(txn, writer.databases[DATABASE_SETTLED], &key, &value, 0)


cdef int drop_segment(writer_t* writer, MDB_txn* txn, change_t* change) noexcept nogil:
    cdef char name[SEGMENT_KEY_SIZE]
    cdef uint32_t index
    cdef int result = 0
    for index in range(change.part_count):
        segment_key(name, change.segment, index)
        result = delete_key(writer, txn, DATABASE_SEGMENTS, name, SEGMENT_KEY_SIZE)
        if result != 0:
            return result
    for index in range(change.chunk_count):
        segment_key(name, change.segment, index)
        result = delete_key(writer, txn, DATABASE_CHUNKS, name, SEGMENT_KEY_SIZE)
        if result != 0:
            return result
    segment_key(name, change.segment, 0)
    return delete_key(writer, txn, DATABASE_SETTLED, name, 8)


cdef int compact_segment(writer_t* writer, MDB_txn* txn, change_t* change) noexcept nogil:
    cdef char name[SEGMENT_KEY_SIZE]
    cdef const char* values[PARTS_MAX]
    cdef size_t sizes[PARTS_MAX]
    cdef MDB_val key, value
    cdef uint32_t index
    cdef char* compacted = NULL
    cdef size_t compacted_size = 0
    cdef int result
    key.mv_data = name
    key.mv_size = SEGMENT_KEY_SIZE
    if change.part_count > PARTS_MAX:
        return MDB_CORRUPTED
    for index in range(change.part_count):
        segment_key(name, change.segment, index)
        result = lmdb.get(txn, writer.databases[DATABASE_SEGMENTS], &key, &value)
        if result != 0:
            return MDB_CORRUPTED if result == MDB_NOTFOUND else result
        fetch_ahead(value.mv_data, value.mv_size)
        values[index] = <const char*>value.mv_data
        sizes[index] = value.mv_size
    # into memory of our own: the first put may move what the values point to
    result = segment_compact(values, sizes, <int>change.part_count, change.settled, change.settled_size,
                             &compacted, &compacted_size)
    if result != 0:
        return MDB_CORRUPTED if result < 0 else result
    for index in range(1, change.part_count):
        if result == 0:
            segment_key(name, change.segment, index)
            result = delete_key(writer, txn, DATABASE_SEGMENTS, name, SEGMENT_KEY_SIZE)
    segment_key(name, change.segment, 0)
    if result == 0:
        value.mv_data = compacted
        value.mv_size = compacted_size
        result = lmdb.put(txn, writer.databases[DATABASE_SEGMENTS], &key, &value, 0)
    if result == 0:
        result = delete_key(writer, txn, DATABASE_SETTLED, name, 8)
    free(compacted)
    change.bytes_after = compacted_size
    return result


cdef int apply_operations(writer_t* writer, MDB_txn* txn, batch_t* batch) noexcept nogil:
    cdef operation_t operation
    cdef size_t at = 0
    cdef MDB_val key, value
    cdef char* name
    cdef int result
    while at < batch.operations_size:
        memcpy(&operation, batch.operations + at, sizeof(operation))
        name = batch.operations + at + sizeof(operation)
        at += sizeof(operation) + operation.key_size + operation.value_size
        if operation.verb == VERB_DELETE:
            result = delete_key(writer, txn, operation.database, name, operation.key_size)
        else:
            key.mv_data = name
            key.mv_size = operation.key_size
            value.mv_data = name + operation.key_size
            value.mv_size = operation.value_size
            result = lmdb.put(txn, writer.databases[operation.database], &key, &value, 0)
        if result != 0:
            return result
    return 0


cdef int apply_batch(writer_t* writer, MDB_txn* txn, batch_t* batch) noexcept nogil:
    """Everything in the order in which `batch_encode` would say it."""
    cdef part_t* part = batch.first_part
    cdef change_t* change
    cdef uint32_t index
    cdef int result = 0
    while part != NULL:
        result = put_part(writer, txn, part)
        if result != 0:
            return result
        part = part.next
    for index in range(batch.change_count):
        change = &batch.changes[index]
        if change.verb == VERB_PUT:
            result = put_settled(writer, txn, change)
        elif change.verb == VERB_DROP:
            result = drop_segment(writer, txn, change)
        else:
            result = compact_segment(writer, txn, change)
        if result != 0:
            return result
    return apply_operations(writer, txn, batch)


# ── the journal's place in LMDB ───────────────────────────────────────────────────────────────────────────────────

cdef int put_mark(writer_t* writer, MDB_txn* txn, uint64_t sequence) noexcept nogil:
    """With every transaction: up to which batch of which epoch LMDB has everything."""
    cdef char mark[16]
    cdef MDB_val key, value
    cdef int index
    for index in range(8):
        mark[index] = <char>((writer.journal.epoch >> (56 - 8 * index)) & 0xFF)
        mark[8 + index] = <char>((sequence >> (56 - 8 * index)) & 0xFF)
    key.mv_data = <void*>MARK_NAME
    key.mv_size = strlen(MARK_NAME)
    value.mv_data = mark
    value.mv_size = sizeof(mark)
    return lmdb.put(txn, writer.databases[DATABASE_META], &key, &value, 0)


cdef int end_transaction(writer_t* writer, MDB_txn* txn, uint64_t sequence, int result) noexcept nogil:
    if result == 0:
        result = put_mark(writer, txn, sequence)
    if result != 0:
        lmdb.txn_abort(txn)
        return result
    return lmdb.txn_commit(txn)


cdef int commit_batch(writer_t* writer, batch_t* batch, uint64_t sequence) noexcept nogil:
    cdef MDB_txn* txn
    cdef int result = lmdb.txn_begin(writer.env, NULL, 0, &txn)
    if result != 0:
        return result
    return end_transaction(writer, txn, sequence, apply_batch(writer, txn, batch))


# ── one generation, one transaction ───────────────────────────────────────────────────────────────────────────────

cdef int put_node(writer_t* writer, MDB_txn* txn, node_t* node) noexcept nogil:
    cdef MDB_val key, value
    cdef int result = MDB_KEYEXIST
    key.mv_data = <void*>node_key(node)
    key.mv_size = node.key_size
    value.mv_data = <void*>node.value
    value.mv_size = node.value_size
    if node.database == DATABASE_SEGMENTS or node.database == DATABASE_CHUNKS:
        # new segments are behind all others; only a compacted one is not
        result = lmdb.put(txn, writer.databases[node.database], &key, &value, MDB_APPEND)
    if result == MDB_KEYEXIST:
        result = lmdb.put(txn, writer.databases[node.database], &key, &value, 0)
    return result


cdef int commit_generation(writer_t* writer, generation_t* generation) noexcept nogil:
    cdef MDB_txn* txn
    cdef node_t* node = generation.heads[0]
    cdef int result = lmdb.txn_begin(writer.env, NULL, 0, &txn)
    if result != 0:
        return result
    while node != NULL and result == 0:
        if node.value == NULL:
            result = delete_key(writer, txn, node.database, node_key(node), node.key_size)
        else:
            result = put_node(writer, txn, node)
        node = node.next[0]
    return end_transaction(writer, txn, generation.last_sequence, result)


cdef uint64_t generation_bytes(generation_t* generation) noexcept nogil:
    cdef node_t* node = generation.heads[0]
    cdef uint64_t total = 0
    while node != NULL:
        total += node.key_size + node.value_size
        node = node.next[0]
    return total
