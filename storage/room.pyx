"""A full disk, a full map, a broken disk. See `room.pxd`."""

from libc.errno cimport EDQUOT, EINTR, EIO, ENOMEM, ENOSPC
from posix.mman cimport MAP_ANON, MAP_FAILED, MAP_PRIVATE, PROT_NONE, mmap, munmap
from posix.unistd cimport write

from storage.lmdb_api cimport MDB_MAP_FULL, lmdb
from storage.threads cimport pthread_mutex_lock, pthread_mutex_unlock
from storage.writer cimport LATENCY_BUCKETS, STATUS_FAILED, STATUS_FULL, STATUS_OK, latency_bound_us

cdef extern from "<sys/statvfs.h>" nogil:
    struct statvfs_t "statvfs":
        unsigned long f_frsize
        unsigned long f_bavail
    int statvfs(const char* path, statvfs_t* found)

cdef enum:
    SHORT_SLACK_BYTES = 1048576         # pages that a commit writes besides its own bytes


cdef void lock_reading(writer_t* writer) noexcept nogil:
    pthread_mutex_lock(&writer.reading)


cdef void unlock_reading(writer_t* writer) noexcept nogil:
    pthread_mutex_unlock(&writer.reading)


cdef int grow_map(writer_t* writer) noexcept nogil:
    """Doubles the map. 0; EINTR: not now, a backup is reading; ENOMEM: no address space for it."""
    cdef uint64_t wanted = writer.map_bytes * 2
    cdef void* probe
    cdef int result
    # LMDB unmaps before it maps: find out first whether there is room, for without a map nobody could read any more
    probe = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0)
    if probe == MAP_FAILED:
        return ENOMEM
    munmap(probe, wanted)
    pthread_mutex_lock(&writer.reading)
    if writer.copies:
        result = EINTR
    else:
        result = lmdb.env_set_mapsize(writer.env, wanted)
        if result == 0:
            writer.map_bytes = wanted
            writer.map_growths += 1
        else:
            writer.map_lost = True
    pthread_mutex_unlock(&writer.reading)
    return result


cdef int make_room(writer_t* writer, int result, uint64_t bytes_wanted) noexcept nogil:
    cdef statvfs_t found
    if result == MDB_MAP_FULL:
        return grow_map(writer)
    # LMDB calls a write that the full disk cut short an I/O error (it sees no ENOSPC): does it fit at all?
    if (result == EIO and statvfs(writer.directory, &found) == 0
            and <uint64_t>found.f_bavail * found.f_frsize < SHORT_SLACK_BYTES + bytes_wanted):
        return ENOSPC
    return result


cdef bint passes(writer_t* writer, int result) noexcept nogil:
    return not writer.map_lost and (result == ENOSPC or result == EDQUOT or result == ENOMEM or result == EINTR)


cdef void tell_loop(writer_t* writer) noexcept nogil:
    cdef char byte = 33
    # a full pipe is as good: the loop has something to read
    write(writer.notify_write_fd, &byte, 1)


cdef void wake(writer_t* writer) noexcept nogil:
    cdef char byte = 33
    write(writer.wake_write_fd, &byte, 1)


cdef void note_status(writer_t* writer, int status, int error) noexcept nogil:
    if writer.status != STATUS_FAILED and (writer.status != status or writer.error != error):
        writer.status = status
        writer.error = error
        tell_loop(writer)


cdef void look_at_disk(writer_t* writer) noexcept nogil:
    cdef statvfs_t found
    cdef uint64_t free_bytes
    if statvfs(writer.directory, &found) != 0:
        return
    free_bytes = <uint64_t>found.f_bavail * found.f_frsize
    pthread_mutex_lock(&writer.mutex)
    writer.disk_free_bytes = free_bytes
    note_status(writer, STATUS_FULL if writer.stuck or free_bytes < writer.disk_free_min_bytes else STATUS_OK,
                writer.stuck)
    pthread_mutex_unlock(&writer.mutex)


cdef void count_latency(uint64_t* buckets, int64_t took_us) noexcept nogil:
    cdef int bucket = 0
    while bucket < LATENCY_BUCKETS - 1 and took_us > latency_bound_us(bucket):
        bucket += 1
    buckets[bucket] += 1
