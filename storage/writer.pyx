"""The writer's thread and its transactions. Structure, drawing and invariants: `writer.pxd`."""

from libc.errno cimport EDQUOT, EINTR, EIO, ENOMEM, ENOSPC
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.mman cimport MAP_ANON, MAP_FAILED, MAP_PRIVATE, PROT_NONE, mmap, munmap
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport read, write

from storage.batch cimport (
    VERB_COMPACT,
    VERB_DELETE,
    VERB_DROP,
    VERB_PUT,
    change_t,
    operation_t,
)
from storage.compaction cimport segment_compact
from storage.lmdb_api cimport (
    MDB_APPEND,
    MDB_CORRUPTED,
    MDB_MAP_FULL,
    MDB_NOTFOUND,
    MDB_RESERVE,
    MDB_txn,
    MDB_val,
    fetch_ahead,
    lmdb,
)
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

cdef extern from "<pthread.h>" nogil:
    int pthread_create(pthread_t* thread, const void* attributes, void* (*body)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int SIG_SETMASK
    int sigfillset(sigset_t* signals)
    int pthread_sigmask(int how, const sigset_t* signals, sigset_t* old)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd* fds, unsigned long count, int timeout_ms)

cdef extern from "<sys/statvfs.h>" nogil:
    struct statvfs_t "statvfs":
        unsigned long f_frsize
        unsigned long f_bavail
    int statvfs(const char* path, statvfs_t* found)

cdef enum:
    SHORT_SLACK_BYTES = 1048576         # pages that a commit writes besides the batch's own bytes
    PARTS_MAX = 256                     # of one segment, see `open_batch.SEGMENT_PARTS_MAX`


cdef int64_t latency_bound_us(int bucket) noexcept nogil:
    """Upper bound of a bucket: 64 µs, doubling; the last bucket has none."""
    return <int64_t>64 << bucket


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


cdef int commit_batch(writer_t* writer, batch_t* batch) noexcept nogil:
    cdef MDB_txn* txn
    cdef int result = lmdb.txn_begin(writer.env, NULL, 0, &txn)
    if result != 0:
        return result
    result = apply_batch(writer, txn, batch)
    if result != 0:
        lmdb.txn_abort(txn)
        return result
    return lmdb.txn_commit(txn)


# ── what can go wrong ─────────────────────────────────────────────────────────────────────────────────────────────

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


cdef void defer_compaction(batch_t* batch) noexcept nogil:
    """Rewriting takes room before it gives any: on a full disk only bitmaps are written; the loop tries again later."""
    cdef uint32_t index
    for index in range(batch.change_count):
        if batch.changes[index].verb == VERB_COMPACT:
            batch.changes[index].verb = VERB_PUT


cdef void tell_loop(writer_t* writer) noexcept nogil:
    cdef char byte = 33
    # a full pipe is as good: the loop has something to read
    write(writer.notify_write_fd, &byte, 1)


cdef void note_status(writer_t* writer, int status, int error) noexcept nogil:
    """Under `mutex`."""
    if writer.status != status or writer.error != error:
        writer.status = status
        writer.error = error
        tell_loop(writer)


cdef bint disk_is_short(writer_t* writer, batch_t* batch) noexcept nogil:
    """LMDB calls a write that the full disk cut short an I/O error (it sees no ENOSPC): does the batch fit at all?"""
    cdef statvfs_t found
    cdef uint64_t wanted = SHORT_SLACK_BYTES + batch.operations_size
    cdef part_t* part = batch.first_part
    while part != NULL:
        wanted += part.value_size + <uint64_t>part.chunk_count * CHUNK_BYTES
        part = part.next
    return statvfs(writer.directory, &found) == 0 and <uint64_t>found.f_bavail * found.f_frsize < wanted


cdef void look_at_disk(writer_t* writer) noexcept nogil:
    """Free space decides between "ok" and "full" before LMDB has to fail. Under no lock."""
    cdef statvfs_t found
    cdef uint64_t free_bytes
    if statvfs(writer.directory, &found) != 0:
        return
    free_bytes = <uint64_t>found.f_bavail * found.f_frsize
    pthread_mutex_lock(&writer.mutex)
    writer.disk_free_bytes = free_bytes
    note_status(writer, STATUS_FULL if free_bytes < writer.disk_free_min_bytes else STATUS_OK, 0)
    pthread_mutex_unlock(&writer.mutex)


# ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

cdef bint pause(writer_t* writer, int timeout_ms) noexcept nogil:
    """Waits until there is something to do, or so long. True: stop."""
    cdef pollfd wake
    cdef char bytes_read[64]
    cdef bint stopping
    wake.fd = writer.wake_read_fd
    wake.events = <short>POLLIN
    wake.revents = 0
    if poll(&wake, 1, timeout_ms) > 0:
        read(writer.wake_read_fd, bytes_read, sizeof(bytes_read))
    pthread_mutex_lock(&writer.mutex)
    stopping = writer.stopping
    pthread_mutex_unlock(&writer.mutex)
    return stopping


cdef int64_t monotonic_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


cdef void count_commit(writer_t* writer, int64_t took_us) noexcept nogil:
    cdef int bucket = 0
    while bucket < LATENCY_BUCKETS - 1 and took_us > latency_bound_us(bucket):
        bucket += 1
    writer.commits += 1
    writer.commit_us += took_us
    writer.commit_latency[bucket] += 1


cdef void finish(writer_t* writer, batch_t* batch) noexcept nogil:
    pthread_mutex_lock(&writer.mutex)
    writer.pending = NULL
    writer.done = batch
    pthread_mutex_unlock(&writer.mutex)
    tell_loop(writer)


cdef bint commit(writer_t* writer, batch_t* batch) noexcept nogil:
    """Until it is on disk, or the disk is broken, or the broker stops. True: stop."""
    cdef int retry_ms = RETRY_MS_MIN, result
    cdef int64_t started_us
    while True:
        started_us = monotonic_us()
        result = commit_batch(writer, batch)
        if result == 0:
            count_commit(writer, monotonic_us() - started_us)
            look_at_disk(writer)
            finish(writer, batch)
            return False
        writer.retries += 1
        if result == MDB_MAP_FULL:
            result = grow_map(writer)
            if result == 0:
                continue
        if result == EIO and disk_is_short(writer, batch):
            result = ENOSPC
        if result == EINTR and not pause(writer, 50):
            continue
        pthread_mutex_lock(&writer.mutex)
        if writer.stopping:
            pthread_mutex_unlock(&writer.mutex)
            return True
        if writer.map_lost or (result != ENOSPC and result != EDQUOT and result != ENOMEM):
            # after a failed fsync nobody knows what is on disk: nothing that follows may be promised
            writer.pending = NULL
            note_status(writer, STATUS_FAILED, result)
            pthread_mutex_unlock(&writer.mutex)
            return True
        note_status(writer, STATUS_FULL, result)
        pthread_mutex_unlock(&writer.mutex)
        defer_compaction(batch)
        if pause(writer, retry_ms):
            return True
        retry_ms = min(retry_ms * 2, RETRY_MS_MAX)


cdef void* writer_body(void* argument) noexcept nogil:
    cdef writer_t* writer = <writer_t*>argument
    cdef batch_t* batch
    cdef bint full
    while True:
        pthread_mutex_lock(&writer.mutex)
        full = writer.status == STATUS_FULL
        pthread_mutex_unlock(&writer.mutex)
        if pause(writer, RETRY_MS_MAX if full else -1):
            return NULL
        pthread_mutex_lock(&writer.mutex)
        batch = writer.pending
        pthread_mutex_unlock(&writer.mutex)
        if batch == NULL:
            look_at_disk(writer)
        elif commit(writer, batch):
            return NULL


cdef int writer_start(writer_t* writer) noexcept nogil:
    cdef sigset_t every, before
    cdef int result
    pthread_mutex_init(&writer.mutex, NULL)
    pthread_mutex_init(&writer.reading, NULL)
    look_at_disk(writer)
    # signals are the main thread's: here they would only interrupt I/O
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    result = pthread_create(&writer.thread, NULL, writer_body, writer)
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    writer.running = result == 0
    return result


cdef void wake(writer_t* writer) noexcept nogil:
    cdef char byte = 33
    write(writer.wake_write_fd, &byte, 1)


cdef void writer_stop(writer_t* writer) noexcept nogil:
    if not writer.running:
        return
    pthread_mutex_lock(&writer.mutex)
    writer.stopping = True
    pthread_mutex_unlock(&writer.mutex)
    wake(writer)
    pthread_join(writer.thread, NULL)
    writer.running = False
    free(writer.scratch.memory)
    writer.scratch.memory = NULL
    writer.scratch.capacity = 0


cdef void writer_give(writer_t* writer, batch_t* batch) noexcept nogil:
    pthread_mutex_lock(&writer.mutex)
    writer.pending = batch
    pthread_mutex_unlock(&writer.mutex)
    wake(writer)


cdef batch_t* writer_take(writer_t* writer, int* status, int* error, uint64_t* disk_free_bytes) noexcept nogil:
    cdef batch_t* batch
    pthread_mutex_lock(&writer.mutex)
    batch = writer.done
    writer.done = NULL
    status[0] = writer.status
    error[0] = writer.error
    disk_free_bytes[0] = writer.disk_free_bytes
    pthread_mutex_unlock(&writer.mutex)
    return batch


cdef void lock_reading(writer_t* writer) noexcept nogil:
    pthread_mutex_lock(&writer.reading)


cdef void unlock_reading(writer_t* writer) noexcept nogil:
    pthread_mutex_unlock(&writer.reading)
