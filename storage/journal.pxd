"""The journal: sealed batches as bytes, one after the other in a file of fixed size, one fdatasync each. C, no GIL.

Owns the record's layout, writing and proving records, and the file's map. Refuses to know what a batch means and when a
half is free again (`writer`). The file is made and opened by `journal_file.py`.

    file   │ header, 4 KiB │ half 0: record, record, … │ half 1: record, record, … │
    record │ "HJNL" u32 │ lanes u32 │ epoch u64 │ sequence u64 │ size u64 │ checksum u64 │ batch (`batch.pxd`) │ zeros │

The checksum is computed in four lanes, side by side, as a record is summed while its publishers wait; 0 lanes says that
it is one chain of words (`segment.checksum`), which is how records were written before.

Records begin at multiples of 4 KiB, so that no write touches a page that an earlier one made durable. The *epoch* is
drawn anew at every start and noted in LMDB, as is the *sequence* of the last batch that LMDB has: what was written in
an earlier life or lap of the file is told apart without erasing it.

Invariant: record n+1 is written only after the sync of record n, so at most the last record can be torn.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    JOURNAL_MAGIC = 0x4C4E4A48          # "HJNL"
    LANES = 4
    RECORD_ALIGN = 4096                 # also the size of the file's header
    PREPARE_BYTES_MIN = 1048576         # zeros that are written ahead of the records
    PREPARE_STEP_BYTES = 262144

ctypedef packed struct record_header_t:     # 40 bytes
    uint32_t magic
    uint32_t lanes                      # of the checksum: LANES, or 0
    uint64_t epoch
    uint64_t sequence
    uint64_t size                       # of the batch
    uint64_t checksum                   # of this header (this field 0) and the batch

ctypedef struct journal_t:
    int fd
    const char* map
    uint64_t half_bytes                 # 0: there is no journal
    uint64_t epoch
    uint64_t sequence                   # of the last batch that is on disk, here or in LMDB
    uint64_t prepared[2]                # bytes of each half that were written before: writing them again is quick
    bint outrun[2]                      # records of the half's present lap went beyond that
    char* buffer                        # a record being made
    size_t capacity
    # counters: only the writer's thread writes them
    uint64_t records
    uint64_t written_bytes
    uint64_t syncs
    uint64_t write_us
    uint64_t sync_us

cdef inline uint64_t record_place(uint64_t size) noexcept nogil:
    """What a batch of `size` bytes takes of the file."""
    return (size + sizeof(record_header_t) + RECORD_ALIGN - 1) & ~<uint64_t>(RECORD_ALIGN - 1)


cdef inline const char* half_start(journal_t* journal, int half) noexcept nogil:
    return journal.map + RECORD_ALIGN + half * journal.half_bytes


# Where `size` bytes of a batch are to be put, for `journal_append`. NULL: no memory.
cdef char* journal_reserve(journal_t* journal, uint64_t size) noexcept nogil
# Writes the reserved batch as the next record, `at` bytes into the half, and waits for the disk. 0 or an errno.
cdef int journal_append(journal_t* journal, int half, uint64_t at, uint64_t size) noexcept nogil
# The batch behind a whole record of this epoch `at` bytes into the half; NULL: there is none.
cdef const char* journal_record(journal_t* journal, int half, uint64_t at, record_header_t* header) noexcept nogil
# Writes zeros where a longer lap will go. Nothing from `used_bytes` on may be in use.
cdef void journal_prepare(journal_t* journal, int half, uint64_t used_bytes) noexcept nogil
cdef int journal_map(journal_t* journal) noexcept nogil                     # of `fd` and `half_bytes`. 0 or an errno
cdef void journal_close(journal_t* journal) noexcept nogil
