"""A segment's values on disk, and the part of a segment that the open batch fills. Functions without the GIL.

Owns the byte layout. Knows nothing of LMDB, threads or Python objects (but for `describe`).

    part value   │ header │ queue table │ slot table            │ records               │
                 │ 64 B   │ 40 B each,  │ 32 B each, by queue,  │ 32 B + exchange,      │
                 │        │ by queue id │ then by slot          │ routing key,          │
                 │        │             │                       │ properties, body      │

A segment is one value, or several *parts* while small batches still fill it (`batch_store`). Slot numbers run on over
the parts. A slot that was settled before its batch was sealed is not in any table. All integers are little-endian and
of fixed width. The header's checksum covers header and queue table, its `table_checksum` the slot table: records are
checked for their bounds only. A body above `BODY_INLINE_MAX` is not in the record: it lies in the `chunks` database,
and its message is alone in its segment.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from storage.records cimport message_t

cdef enum:
    SEGMENT_MAGIC = 0x47455348          # "HSEG"
    SEGMENT_VERSION = 1
    BODY_INLINE_MAX = 1048576           # bytes; a larger body is chunked
    CHUNK_BYTES = 1048576
    SLOT_ELIDED = 128                   # flag of a slot in memory: settled while its batch was open, never written
    SEGMENT_KEY_SIZE = 12               # segment u64 and part (or chunk) u32, big-endian: keys sort as they were born

cdef enum:                              # numbers of the databases that C code writes; `layout.Database` has them all
    DATABASE_SEGMENTS = 2
    DATABASE_SETTLED = 3
    DATABASE_CHUNKS = 4

ctypedef struct slot_t:                 # a slot of the open batch
    uint64_t position
    int64_t expires_at_ms
    uint32_t queue_id
    uint32_t record                     # index among the part's records
    uint8_t priority
    uint8_t flags                       # SLOT_*
    uint16_t reserved
    uint32_t reserved2

ctypedef struct part_t:                 # what one batch adds to one segment
    part_t* next
    void* home                          # its segment_t: the loop's thread only, the writer must not look
    uint64_t serial                     # unique in this process: what `message.segment` remembers
    uint64_t segment
    uint32_t index                      # number of the part in its segment, given when the batch is sealed
    uint32_t first_slot                 # number of slots[0]
    slot_t* slots
    message_t** records                 # each one reference; NULL: every slot was elided
    uint32_t* record_live               # slots not elided, per record
    uint32_t slot_count
    uint32_t slot_capacity
    uint32_t record_count
    uint32_t record_capacity
    uint32_t live                       # slots not elided
    uint32_t chunk_count                # > 0: the one record's body is chunked
    uint64_t bytes                      # of the records as they will be written
    uint64_t value_size                 # set by `part_plan`, with the two below
    uint32_t queue_count
    uint32_t entry_count

ctypedef struct scratch_t:              # memory that a writer uses again for each part
    char* memory
    size_t capacity

ctypedef packed struct header_t:        # 64 bytes
    uint32_t magic
    uint16_t version
    uint16_t reserved
    uint64_t checksum                   # of header (this field 0) and queue table
    uint64_t table_checksum             # of the slot table
    uint64_t value_size
    uint32_t slot_end                   # one past the highest slot numbered so far
    uint32_t queue_count
    uint32_t entry_count
    uint32_t record_count
    uint32_t chunk_count
    uint32_t reserved2
    uint64_t reserved3

ctypedef packed struct queue_entry_t:   # 40 bytes
    uint32_t queue_id
    uint32_t entry_count
    uint32_t durable_count
    uint32_t first_entry                # index in the slot table
    uint32_t first_slot
    uint32_t reserved
    uint64_t durable_bytes              # bodies of the durable slots
    uint64_t last_position              # the highest

ctypedef packed struct slot_entry_t:    # 32 bytes
    uint32_t slot
    uint32_t record_offset              # from the start of the value
    uint64_t position
    int64_t expires_at_ms
    uint32_t body_size
    uint8_t priority
    uint8_t flags
    uint16_t reserved

ctypedef packed struct record_t:        # 32 bytes, then exchange, routing key, properties, body
    uint8_t flags                       # MESSAGE_*
    uint8_t priority
    uint8_t exchange_size
    uint8_t reserved
    uint16_t routing_key_size
    uint16_t reserved2
    uint32_t properties_size
    uint32_t reserved3
    uint64_t body_size
    int64_t expiration_ms


cdef inline uint64_t record_size(message_t* message) noexcept nogil:
    """Bytes of the message's record in a part value."""
    cdef uint64_t size = (sizeof(record_t) + message.exchange_size + message.routing_key_size
                          + message.properties_size)
    if message.body_size <= BODY_INLINE_MAX:
        size += message.body_size
    return size


cdef inline bint bit(const uint8_t* bits, uint32_t bits_size, uint32_t number) noexcept nogil:
    """Bit `number` of a bitmap of `bits_size` bytes; what lies beyond its end is 0."""
    return (number >> 3) < bits_size and (bits[number >> 3] >> (number & 7)) & 1


cdef void segment_key(char* key, uint64_t segment, uint32_t part) noexcept nogil
cdef int scratch_reserve(scratch_t* scratch, size_t size) noexcept nogil          # 0 or ENOMEM
# A 64-bit sum of `size` bytes, a multiple of 8.
cdef uint64_t checksum(uint64_t seed, const char* data, size_t size) noexcept nogil

# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────
cdef int part_plan(part_t* part, scratch_t* scratch) noexcept nogil               # 0 or ENOMEM; then part.value_size
cdef void part_encode(part_t* part, scratch_t* scratch, char* value) noexcept nogil  # with the scratch of `part_plan`
# For whoever lays out a value slot by slot (`compaction`): counts a slot in its queue's line; sums up the tables that
# are in place and writes the header in front of them.
cdef void queue_count_slot(queue_entry_t* queue, slot_entry_t* entry) noexcept nogil
cdef void seal_header(header_t* header, char* value) noexcept nogil

# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────
# The header, if the value is one: 0; else -1. `whole` also proves the slot table.
cdef int value_open(const char* value, size_t size, header_t* header, bint whole) noexcept nogil
cdef void value_queue(const char* value, uint32_t index, queue_entry_t* entry) noexcept nogil
cdef bint value_find_queue(const char* value, header_t* header, uint32_t queue_id, queue_entry_t* entry) noexcept nogil
cdef void value_slot(const char* value, header_t* header, uint32_t index, slot_entry_t* entry) noexcept nogil
# The first index in the queue's part of the slot table whose slot is at least `slot`.
cdef uint32_t value_seek(const char* value, header_t* header, queue_entry_t* queue, uint32_t slot) noexcept nogil
# A new message from its record; a chunked body is left for the caller to fill in. 0, ENOMEM, or -1: out of bounds.
cdef int value_message(const char* value, size_t size, uint32_t record_offset, bint chunked,
                       message_t** message) noexcept nogil
