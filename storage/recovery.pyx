"""Replaying the journal. See `recovery.pxd`."""

import os

from libc.errno cimport ENOMEM
from libc.string cimport memset

from storage.journal cimport (
    RECORD_ALIGN,
    journal_close,
    journal_map,
    journal_record,
    journal_t,
    record_header_t,
    record_place,
)
from storage.overlay cimport generation_free, generation_new, generation_publish
from storage.redo cimport stage_batch
from storage.room cimport make_room
from storage.transaction cimport commit_generation, generation_bytes


cdef uint64_t first_sequence(writer_t* writer, int half) noexcept nogil:
    """Of the half's first record, if it is of this epoch; else 0."""
    cdef record_header_t header
    return header.sequence if journal_record(&writer.journal, half, 0, &header) != NULL else 0


cdef int replay_half(writer_t* writer, int half, uint64_t* batches) noexcept nogil:
    """Its records from the first on, while each follows the one before; those that LMDB has are passed over."""
    cdef uint64_t at = 0, expected = first_sequence(writer, half)
    cdef record_header_t header
    cdef const char* batch
    cdef int result
    while True:
        batch = journal_record(&writer.journal, half, at, &header)
        if batch == NULL or header.sequence != expected or header.sequence > writer.journal.sequence + 1:
            return 0
        if header.sequence == writer.journal.sequence + 1:
            result = stage_batch(writer, batch, header.size, batch)
            if result != 0:
                return result
            generation_publish(writer.active)
            writer.journal.sequence += 1
            batches[0] += 1
        expected += 1
        at += record_place(header.size)


cdef bint later_record(writer_t* writer) noexcept nogil:
    """A whole record behind the end that was found. Only the last one written can be torn: so there was damage."""
    cdef record_header_t header
    cdef uint64_t at
    cdef int half
    for half in range(2):
        at = 0
        while at < writer.journal.half_bytes:
            if (journal_record(&writer.journal, half, at, &header) != NULL
                    and header.sequence > writer.journal.sequence):
                return True
            at += RECORD_ALIGN
    return False


cdef int take_over(writer_t* writer, uint64_t* batches) noexcept nogil:
    cdef uint64_t first[2]
    cdef int half, index, result = 0
    if writer.journal.half_bytes == 0:
        return 0
    for half in range(2):
        first[half] = first_sequence(writer, half)
    for index in range(2):
        half = index if first[0] <= first[1] else 1 - index
        if first[half] and result == 0:
            result = replay_half(writer, half, batches)
    if result == 0 and later_record(writer):
        return JOURNAL_DAMAGED
    return result


cdef int recover(writer_t* writer, uint64_t new_epoch, uint64_t* batches) noexcept nogil:
    cdef int result
    batches[0] = 0
    result = take_over(writer, batches)
    if result != 0:
        return result
    writer.journal.epoch = new_epoch
    writer.journal.sequence = 0
    while True:
        result = commit_generation(writer, writer.active)
        if result == 0:
            break
        result = make_room(writer, result, generation_bytes(writer.active))
        if result != 0:
            return result
    generation_free(writer.active)
    writer.active = generation_new(0)
    return 0 if writer.active != NULL else ENOMEM


# ── a door for Python: inspection ─────────────────────────────────────────────────────────────────────────────────

def journaled_batches(int file, uint64_t half_bytes, uint64_t epoch, uint64_t sequence):
    """The batches, as bytes, that follow `sequence` of `epoch` in the journal open as `file`. Raises OSError."""
    cdef journal_t journal
    cdef record_header_t header
    cdef const char* batch
    cdef uint64_t at, expected
    cdef int half
    found = {}
    memset(&journal, 0, sizeof(journal))
    journal.fd = os.dup(file)
    journal.half_bytes = half_bytes
    journal.epoch = epoch
    if journal_map(&journal) != 0:
        raise OSError("the journal cannot be mapped")
    for half in range(2):
        at = expected = 0
        while True:
            batch = journal_record(&journal, half, at, &header)
            if batch == NULL or (expected and header.sequence != expected):
                break
            if header.sequence > sequence:
                found[header.sequence] = batch[:header.size]
            expected = header.sequence + 1
            at += record_place(header.size)
    journal_close(&journal)
    batches = []
    while sequence + len(batches) + 1 in found:
        batches.append(found[sequence + len(batches) + 1])
    return batches
