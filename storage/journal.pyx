"""Writing and proving the journal's records. Layout and invariants: `journal.pxd`."""

from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap
from posix.types cimport off_t
from posix.unistd cimport close

from storage.monotonic cimport monotonic_us
from storage.segment cimport checksum

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void* data, size_t size, off_t at)
    int fdatasync(int fd)


cdef uint64_t checksum_in_lanes(uint64_t seed, const char* data, size_t size) noexcept nogil:
    """As `checksum`, in four chains that a processor works on at once: it takes a quarter of the time."""
    cdef uint64_t one = seed ^ <uint64_t>0x9E3779B97F4A7C15, two = one + 1, three = one + 2, four = one + 3
    cdef uint64_t words[LANES]
    cdef size_t at = 0
    while at + sizeof(words) <= size:
        memcpy(words, data + at, sizeof(words))
        one = (one ^ words[0]) * <uint64_t>0xFF51AFD7ED558CCD
        two = (two ^ words[1]) * <uint64_t>0xFF51AFD7ED558CCD
        three = (three ^ words[2]) * <uint64_t>0xFF51AFD7ED558CCD
        four = (four ^ words[3]) * <uint64_t>0xFF51AFD7ED558CCD
        one ^= one >> 32
        two ^= two >> 32
        three ^= three >> 32
        four ^= four >> 32
        at += sizeof(words)
    words[0], words[1], words[2], words[3] = one, two, three, four
    return checksum(checksum(seed, <char*>words, sizeof(words)), data + at, size - at)


cdef uint64_t record_checksum(record_header_t* header, const char* batch) noexcept nogil:
    """`batch` has zeros up to a multiple of 8."""
    cdef record_header_t summed
    cdef uint64_t of_header
    cdef size_t padded = (header.size + 7) & ~<uint64_t>7
    memcpy(&summed, header, sizeof(summed))
    summed.checksum = 0
    of_header = checksum(0, <char*>&summed, sizeof(summed))
    return checksum_in_lanes(of_header, batch, padded) if header.lanes else checksum(of_header, batch, padded)


cdef char* journal_reserve(journal_t* journal, uint64_t size) noexcept nogil:
    cdef size_t wanted = record_place(size + 8)
    cdef char* buffer
    if wanted > journal.capacity:
        buffer = <char*>realloc(journal.buffer, wanted)
        if buffer == NULL:
            return NULL
        journal.buffer = buffer
        journal.capacity = wanted
    return journal.buffer + sizeof(record_header_t)


cdef int write_all(int fd, const char* data, uint64_t size, uint64_t at) noexcept nogil:
    cdef ssize_t written
    while size:
        written = pwrite(fd, data, size, <off_t>at)
        if written < 0:
            if errno == EINTR:
                continue
            return errno
        if written == 0:
            return EIO
        data += written
        size -= <uint64_t>written
        at += <uint64_t>written
    return 0


cdef int journal_append(journal_t* journal, int half, uint64_t at, uint64_t size) noexcept nogil:
    cdef record_header_t header
    cdef uint64_t padded = (size + 7) & ~<uint64_t>7
    cdef char* batch = journal.buffer + sizeof(header)
    cdef int64_t began_us, written_us
    cdef int result
    memset(batch + size, 0, padded - size)
    header.magic = JOURNAL_MAGIC
    header.lanes = LANES
    header.epoch = journal.epoch
    header.sequence = journal.sequence + 1
    header.size = size
    header.checksum = record_checksum(&header, batch)
    memcpy(journal.buffer, &header, sizeof(header))
    began_us = monotonic_us()
    result = write_all(journal.fd, journal.buffer, sizeof(header) + padded,
                       RECORD_ALIGN + half * journal.half_bytes + at)
    if result != 0:
        return result
    journal.syncs += 1
    written_us = monotonic_us()
    journal.write_us += written_us - began_us
    if fdatasync(journal.fd) != 0:
        return errno if errno != EINTR else EIO     # interrupted or not: nobody knows what is on disk
    journal.sync_us += monotonic_us() - written_us
    journal.sequence += 1
    journal.records += 1
    journal.written_bytes += sizeof(header) + padded
    if at + record_place(size) > journal.prepared[half]:
        journal.prepared[half] = at + record_place(size)
        journal.outrun[half] = True
    return 0


cdef const char* journal_record(journal_t* journal, int half, uint64_t at, record_header_t* header) noexcept nogil:
    cdef const char* record = half_start(journal, half) + at
    if at + sizeof(record_header_t) > journal.half_bytes:
        return NULL
    memcpy(header, record, sizeof(record_header_t))
    if (header.magic != JOURNAL_MAGIC or header.lanes not in (0, LANES) or header.epoch != journal.epoch
            or header.size > journal.half_bytes - at - sizeof(record_header_t) - 8):
        return NULL
    record += sizeof(record_header_t)
    return record if header.checksum == record_checksum(header, record) else NULL


cdef void journal_prepare(journal_t* journal, int half, uint64_t used_bytes) noexcept nogil:
    cdef uint64_t at = max(journal.prepared[half], used_bytes)
    cdef uint64_t end = min(journal.half_bytes, max(<uint64_t>PREPARE_BYTES_MIN, 4 * used_bytes))
    cdef uint64_t size
    cdef char* zeros
    journal.outrun[half] = False
    if at >= end:
        return
    zeros = <char*>realloc(NULL, PREPARE_STEP_BYTES)
    if zeros == NULL:
        return
    memset(zeros, 0, PREPARE_STEP_BYTES)
    while at < end:         # in steps: a commit that syncs meanwhile must not wait for all of it
        size = min(<uint64_t>PREPARE_STEP_BYTES, end - at)
        if write_all(journal.fd, zeros, size, RECORD_ALIGN + half * journal.half_bytes + at) != 0:
            break           # room runs out: the records will say so
        at += size
        if fdatasync(journal.fd) != 0:
            break
    free(zeros)
    journal.prepared[half] = max(journal.prepared[half], at)


cdef int journal_map(journal_t* journal) noexcept nogil:
    cdef void* place = mmap(NULL, RECORD_ALIGN + 2 * journal.half_bytes, PROT_READ, MAP_SHARED, journal.fd, 0)
    if place == MAP_FAILED:
        return errno
    journal.map = <const char*>place
    return 0


cdef void journal_close(journal_t* journal) noexcept nogil:
    if journal.map != NULL:
        munmap(<void*>journal.map, RECORD_ALIGN + 2 * journal.half_bytes)
        journal.map = NULL
    if journal.fd > 0:
        close(journal.fd)
    journal.fd = -1
    free(journal.buffer)
    journal.buffer = NULL
    journal.capacity = 0
    journal.half_bytes = 0
