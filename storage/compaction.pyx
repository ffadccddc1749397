"""Rewriting the values of a segment as one that holds only what still lives. See `compaction.pxd`."""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

from storage.segment cimport (
    bit,
    header_t,
    queue_count_slot,
    queue_entry_t,
    record_t,
    seal_header,
    slot_entry_t,
    value_open,
    value_queue,
    value_slot,
)


ctypedef struct kept_t:                 # a live slot on its way into the new value
    slot_entry_t entry
    uint32_t queue_id
    uint32_t part
    uint32_t record_bytes               # 0: shares the record of the one before it


cdef int by_record(const void* left, const void* right) noexcept nogil:
    cdef const kept_t* a = <const kept_t*>left
    cdef const kept_t* b = <const kept_t*>right
    if a.part != b.part:
        return -1 if a.part < b.part else 1
    if a.entry.record_offset != b.entry.record_offset:
        return -1 if a.entry.record_offset < b.entry.record_offset else 1
    return 0


cdef int by_queue(const void* left, const void* right) noexcept nogil:
    cdef const kept_t* a = <const kept_t*>left
    cdef const kept_t* b = <const kept_t*>right
    if a.queue_id != b.queue_id:
        return -1 if a.queue_id < b.queue_id else 1
    if a.entry.slot != b.entry.slot:
        return -1 if a.entry.slot < b.entry.slot else 1
    return 0


cdef int record_extent(const char* value, size_t size, uint32_t offset, bint chunked, uint32_t* extent) noexcept nogil:
    """Bytes of the record at `offset`; -1 where it does not lie inside the value."""
    cdef record_t record
    cdef uint64_t total
    if <uint64_t>offset + sizeof(record_t) > size:
        return -1
    memcpy(&record, value + offset, sizeof(record))
    total = sizeof(record_t) + <uint64_t>record.exchange_size + record.routing_key_size + record.properties_size
    if not chunked:
        if record.body_size > size:
            return -1
        total += record.body_size
    if <uint64_t>offset + total > size:
        return -1
    extent[0] = <uint32_t>total
    return 0


cdef int keep_live(const char* value, size_t size, uint32_t part, const uint8_t* settled, uint32_t settled_size,
                   kept_t* kept, uint32_t* kept_count, header_t* merged) noexcept nogil:
    """Adds one part's live slots to `kept`; 0, or -1 for a damaged value."""
    cdef header_t header
    cdef queue_entry_t queue
    cdef kept_t* one
    cdef uint32_t at, index, seen = 0
    if value_open(value, size, &header, True) != 0:
        return -1
    if header.slot_end > merged.slot_end:
        merged.slot_end = header.slot_end
    merged.chunk_count += header.chunk_count
    for at in range(header.queue_count):
        value_queue(value, at, &queue)
        if queue.first_entry != seen or queue.entry_count > header.entry_count - seen:
            return -1
        seen += queue.entry_count
        for index in range(queue.first_entry, queue.first_entry + queue.entry_count):
            one = &kept[kept_count[0]]
            value_slot(value, &header, index, &one.entry)
            if bit(settled, settled_size, one.entry.slot):
                continue
            one.queue_id = queue.queue_id
            one.part = part
            if record_extent(value, size, one.entry.record_offset, header.chunk_count > 0, &one.record_bytes) != 0:
                return -1
            kept_count[0] += 1
    return 0


cdef int write_kept(const char** values, kept_t* kept, uint32_t count, header_t* header, char** compacted,
                    size_t* compacted_size) noexcept nogil:
    """Lays the kept slots (sorted by record) out as one new value."""
    cdef uint32_t index, queues = 0, last = 0, offset = 0, source
    cdef uint64_t size = 0
    cdef queue_entry_t queue
    cdef char* value
    for index in range(count):
        if index and by_record(&kept[index], &kept[index - 1]) == 0:
            kept[index].record_bytes = 0
            continue
        size += kept[index].record_bytes
        header.record_count += 1
    # the queue table's size is known only after sorting by queue, so records are written last
    value = <char*>malloc(sizeof(header_t) + <size_t>count * (sizeof(queue_entry_t) + sizeof(slot_entry_t)) + size)
    if value == NULL:
        return ENOMEM
    queues = count_queues(kept, count, value)
    offset = <uint32_t>(sizeof(header_t) + queues * sizeof(queue_entry_t) + count * sizeof(slot_entry_t))
    for index in range(count):
        source = kept[index].entry.record_offset
        if kept[index].record_bytes:
            memcpy(value + offset, values[kept[index].part] + source, kept[index].record_bytes)
            last = offset
            offset += kept[index].record_bytes
        kept[index].entry.record_offset = last
    qsort(kept, count, sizeof(kept_t), by_queue)
    header.queue_count = 0
    memset(&queue, 0, sizeof(queue))
    for index in range(count):
        if index == 0 or kept[index].queue_id != queue.queue_id:
            memset(&queue, 0, sizeof(queue))
            queue.queue_id = kept[index].queue_id
            queue.first_entry = index
            queue.first_slot = kept[index].entry.slot
            header.queue_count += 1
        queue_count_slot(&queue, &kept[index].entry)
        memcpy(value + sizeof(header_t) + (header.queue_count - 1) * sizeof(queue), &queue, sizeof(queue))
        memcpy(value + sizeof(header_t) + queues * sizeof(queue) + <size_t>index * sizeof(slot_entry_t),
               &kept[index].entry, sizeof(slot_entry_t))
    header.entry_count = count
    header.value_size = offset
    seal_header(header, value)
    compacted[0] = value
    compacted_size[0] = offset
    return 0


cdef int by_number(const void* left, const void* right) noexcept nogil:
    cdef uint32_t a = (<const uint32_t*>left)[0], b = (<const uint32_t*>right)[0]
    return (a > b) - (a < b)


cdef uint32_t count_queues(kept_t* kept, uint32_t count, char* room) noexcept nogil:
    """How many different queues: sorts their ids in `room` (which is not yet written to and large enough)."""
    cdef uint32_t* ids = <uint32_t*>room
    cdef uint32_t index, queues = 0
    for index in range(count):
        ids[index] = kept[index].queue_id
    qsort(ids, count, sizeof(uint32_t), by_number)
    for index in range(count):
        if index == 0 or ids[index] != ids[index - 1]:
            queues += 1
    return queues


cdef int segment_compact(const char** values, const size_t* sizes, int count, const uint8_t* settled,
                         uint32_t settled_size, char** compacted, size_t* compacted_size) noexcept nogil:
    cdef header_t header
    cdef kept_t* kept
    cdef uint64_t entries = 0
    cdef uint32_t kept_count = 0
    cdef int index, result = 0
    for index in range(count):
        if value_open(values[index], sizes[index], &header, False) != 0:
            return -1
        entries += header.entry_count
    kept = <kept_t*>malloc((entries + 1) * sizeof(kept_t))
    if kept == NULL:
        return ENOMEM
    memset(&header, 0, sizeof(header))
    for index in range(count):
        if result == 0:
            result = keep_live(values[index], sizes[index], index, settled, settled_size, kept, &kept_count, &header)
    if result == 0:
        qsort(kept, kept_count, sizeof(kept_t), by_record)
        result = write_kept(values, kept, kept_count, &header, compacted, compacted_size)
    free(kept)
    return result


# ── a door for Python: replay ─────────────────────────────────────────────────────────────────────────────────────

def compact(list values, bytes settled):
    """The live slots of a segment's parts as one value: what the writer does, for whoever replays a batch.

    Raises ValueError for a damaged value, MemoryError.
    """
    cdef const char* pointers[256]
    cdef size_t sizes[256]
    cdef char* compacted = NULL
    cdef size_t compacted_size = 0
    cdef int index, result
    if len(values) > 256:
        raise ValueError("a segment has at most 256 parts")
    for index in range(len(values)):
        pointers[index] = <bytes>values[index]
        sizes[index] = len(<bytes>values[index])
    result = segment_compact(pointers, sizes, len(values), <const uint8_t*><const char*>settled, len(settled),
                             &compacted, &compacted_size)
    if result == ENOMEM:
        raise MemoryError
    if result != 0:
        raise ValueError("damaged segment value")
    try:
        return compacted[:compacted_size]
    finally:
        free(compacted)
