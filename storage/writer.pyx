"""The writer's thread. Structure, drawing and invariants: `writer.pxd`."""

from libc.errno cimport EAGAIN, EINTR, EIO, ENOMEM
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from posix.time cimport CLOCK_MONOTONIC
from posix.unistd cimport read

from storage.batch cimport VERB_COMPACT, VERB_PUT, batch_bound, batch_write
from storage.checkpoint cimport checkpointer_body
from storage.journal cimport (
    half_start,
    journal_append,
    journal_reserve,
    record_header_t,
    record_place,
)
from storage.overlay cimport generation_free, generation_new, generation_publish
from storage.redo cimport note_compacted, stage_batch
from storage.room cimport (
    count_latency,
    lock_reading,
    look_at_disk,
    make_room,
    note_status,
    passes,
    tell_loop,
    unlock_reading,
    wake,
)
from storage.monotonic cimport monotonic_us
from storage.threads cimport (
    SIG_SETMASK,
    pthread_cond_broadcast,
    pthread_cond_init,
    pthread_condattr_init,
    pthread_condattr_setclock,
    pthread_condattr_t,
    pthread_create,
    pthread_join,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    pthread_sigmask,
    sigfillset,
    sigset_t,
    wait_until,
)
from storage.transaction cimport commit_batch

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd* fds, unsigned long count, int timeout_ms)


# ── generations: active, frozen, gone ─────────────────────────────────────────────────────────────────────────────

cdef int freeze(writer_t* writer) noexcept nogil:
    """Gives what is journaled to the checkpointer, which is at rest, and goes on in the other half. 0 or ENOMEM."""
    cdef generation_t* fresh = generation_new(1 - writer.active.half)
    if fresh == NULL:
        return ENOMEM
    pthread_mutex_lock(&writer.overlay)
    writer.frozen = writer.active
    writer.active = fresh
    pthread_mutex_unlock(&writer.overlay)
    pthread_mutex_lock(&writer.mutex)
    writer.checkpointing = True
    pthread_cond_broadcast(&writer.changed)
    pthread_mutex_unlock(&writer.mutex)
    return 0


cdef void let_go(writer_t* writer) noexcept nogil:
    """What is in LMDB is not looked for in memory any more, and its half of the journal is free."""
    cdef generation_t* gone
    cdef bint checkpointed
    pthread_mutex_lock(&writer.mutex)
    checkpointed = writer.checkpointed
    writer.checkpointed = False
    pthread_mutex_unlock(&writer.mutex)
    if not checkpointed:
        return
    lock_reading(writer)                # a read transaction may be older than the checkpoint
    pthread_mutex_lock(&writer.overlay)
    gone = writer.frozen
    writer.frozen = NULL
    pthread_mutex_unlock(&writer.overlay)
    unlock_reading(writer)
    writer.elided_bytes += gone.elided_bytes
    generation_free(gone)


cdef int64_t checkpoint_due_us(writer_t* writer) noexcept nogil:
    """When what is journaled goes to LMDB, by the monotonic clock. A half that has outrun its zeros goes soon: the
    checkpointer writes more of them, and a commit over zeros is the quick one."""
    return writer.active.started_us + (writer.checkpoint_us // OUTRUN_SHARE if writer.journal.outrun[writer.active.half]
                                       else writer.checkpoint_us)


cdef void freeze_if_due(writer_t* writer) noexcept nogil:
    cdef bint wanted
    if writer.frozen != NULL or writer.active.last_sequence == 0:
        return
    pthread_mutex_lock(&writer.mutex)
    wanted = writer.wanted_sequence > writer.stored_sequence
    pthread_mutex_unlock(&writer.mutex)
    if wanted or monotonic_us() >= checkpoint_due_us(writer):
        freeze(writer)                  # without memory for it: the next time


# ── one batch ─────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int put_directly(writer_t* writer, batch_t* batch) noexcept nogil:
    """A batch that no half can take is a transaction by itself. EAGAIN: what comes before it is not in LMDB yet."""
    cdef int result
    if writer.frozen != NULL:
        return EAGAIN
    if writer.active.last_sequence:
        result = freeze(writer)
        return EAGAIN if result == 0 else result
    result = commit_batch(writer, batch, writer.journal.sequence + 1)
    if result == 0:
        writer.journal.sequence += 1
        writer.direct_commits += 1
    return result


cdef int put_in_journal(writer_t* writer, batch_t* batch) noexcept nogil:
    """EAGAIN: both halves are in use."""
    cdef generation_t* active = writer.active
    cdef char* encoded = journal_reserve(&writer.journal, batch_bound(batch))
    cdef uint64_t size = 0
    cdef int result
    if encoded == NULL:
        return ENOMEM
    result = batch_write(batch, &writer.scratch, encoded, &size)
    if result != 0:
        return result
    if active.used_bytes + record_place(size + 8) > writer.journal.half_bytes:
        if writer.frozen != NULL:
            return EAGAIN
        result = freeze(writer)
        if result != 0:
            return result
        active = writer.active
    # staged first: it may fail, and must not once the record is on disk
    result = stage_batch(writer, encoded, size, half_start(&writer.journal, active.half) + active.used_bytes
                         + sizeof(record_header_t))
    if result == 0:
        result = journal_append(&writer.journal, active.half, active.used_bytes, size)
    if result != 0:
        return result
    pthread_mutex_lock(&writer.overlay)
    generation_publish(active)
    pthread_mutex_unlock(&writer.overlay)
    if active.last_sequence == 0:
        active.started_us = monotonic_us()
    active.used_bytes += record_place(size)
    active.last_sequence = writer.journal.sequence
    note_compacted(writer, batch)
    return 0


cdef int put(writer_t* writer, batch_t* batch) noexcept nogil:
    let_go(writer)
    if record_place(batch_bound(batch) + 8) > writer.journal.half_bytes:
        return put_directly(writer, batch)
    return put_in_journal(writer, batch)


cdef void defer_compaction(batch_t* batch) noexcept nogil:
    """Rewriting takes room before it gives any: on a full disk only bitmaps are written; the loop tries again later."""
    cdef uint32_t index
    for index in range(batch.change_count):
        if batch.changes[index].verb == VERB_COMPACT:
            batch.changes[index].verb = VERB_PUT


# ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

cdef bint pause(writer_t* writer, int timeout_ms) noexcept nogil:
    """Waits until there is something to do, or so long. True: stop."""
    cdef pollfd woken
    cdef char bytes_read[64]
    cdef bint stopping
    woken.fd = writer.wake_read_fd
    woken.events = <short>POLLIN
    woken.revents = 0
    if poll(&woken, 1, timeout_ms) > 0:
        read(writer.wake_read_fd, bytes_read, sizeof(bytes_read))
    pthread_mutex_lock(&writer.mutex)
    stopping = writer.stopping
    pthread_mutex_unlock(&writer.mutex)
    return stopping


cdef int pause_ms(writer_t* writer) noexcept nogil:
    """How long the writer may sleep without being woken: to look at a full disk, or for a checkpoint that comes due."""
    cdef bint full
    pthread_mutex_lock(&writer.mutex)
    full = writer.status == STATUS_FULL
    pthread_mutex_unlock(&writer.mutex)
    if writer.active.last_sequence and writer.frozen == NULL:
        return <int>max(<int64_t>1, min(<int64_t>RETRY_MS_MAX,
                                        (checkpoint_due_us(writer) - monotonic_us()) // 1000 + 1))
    return RETRY_MS_MAX if full else -1


cdef void finish(writer_t* writer, batch_t* batch) noexcept nogil:
    pthread_mutex_lock(&writer.mutex)
    writer.pending = NULL
    writer.done = batch
    writer.durable_sequence = writer.journal.sequence
    if writer.active.last_sequence == 0 and writer.frozen == NULL:
        writer.stored_sequence = writer.journal.sequence
        pthread_cond_broadcast(&writer.changed)
    pthread_mutex_unlock(&writer.mutex)
    tell_loop(writer)


cdef bint give_up(writer_t* writer, int result) noexcept nogil:
    """After a failure: notes what follows. True: nothing more is written."""
    cdef bint over
    pthread_mutex_lock(&writer.mutex)
    if not writer.stopping:
        if result == EAGAIN:
            pass                        # the checkpointer frees a half, or says why not
        elif passes(writer, result):
            note_status(writer, STATUS_FULL, result)
        else:
            # after a failed fsync nobody knows what is on disk: nothing that follows may be promised
            note_status(writer, STATUS_FAILED, result)
    over = writer.stopping or writer.status == STATUS_FAILED
    if over and not writer.stopping:
        writer.pending = NULL
    pthread_cond_broadcast(&writer.changed)
    pthread_mutex_unlock(&writer.mutex)
    return over


cdef bint commit(writer_t* writer, batch_t* batch) noexcept nogil:
    """Until it is on disk, or the disk is broken, or the broker stops. True: stop."""
    cdef int retry_ms = RETRY_MS_MIN, result
    cdef int64_t started_us = monotonic_us(), took_us
    while True:
        result = put(writer, batch)
        if result == 0:
            took_us = monotonic_us() - started_us
            writer.commits += 1
            writer.commit_us += took_us
            count_latency(writer.commit_latency, took_us)
            finish(writer, batch)
            look_at_disk(writer)        # whoever waits need not wait for this
            return False
        if result == EAGAIN:
            writer.waits += 1
        else:
            writer.retries += 1
            result = make_room(writer, result, batch_bound(batch))
            if result == 0:
                continue
        if result == EINTR:
            if pause(writer, 50):
                return True
            continue
        if give_up(writer, result):
            return True
        if result == EAGAIN:
            if pause(writer, RETRY_MS_MAX):
                return True
            continue
        defer_compaction(batch)
        if pause(writer, retry_ms):
            return True
        retry_ms = min(retry_ms * 2, RETRY_MS_MAX)


cdef void* writer_body(void* argument) noexcept nogil:
    cdef writer_t* writer = <writer_t*>argument
    cdef batch_t* batch
    cdef bint looks
    while True:
        if pause(writer, pause_ms(writer)):
            return NULL
        let_go(writer)
        pthread_mutex_lock(&writer.mutex)
        batch = writer.pending
        looks = writer.status == STATUS_FULL
        pthread_mutex_unlock(&writer.mutex)
        if batch != NULL:
            if commit(writer, batch):
                return NULL
        elif looks:
            look_at_disk(writer)
        freeze_if_due(writer)


cdef int writer_start(writer_t* writer) noexcept nogil:
    cdef sigset_t every, before
    cdef pthread_condattr_t attributes
    cdef int result
    pthread_mutex_init(&writer.mutex, NULL)
    pthread_mutex_init(&writer.reading, NULL)
    pthread_mutex_init(&writer.overlay, NULL)
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(&writer.changed, &attributes)
    look_at_disk(writer)
    # signals are the main thread's: here they would only interrupt I/O
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    result = pthread_create(&writer.checkpointer, NULL, checkpointer_body, writer)
    if result == 0:
        result = pthread_create(&writer.thread, NULL, writer_body, writer)
        writer.running = result == 0
        if result != 0:
            stop_checkpointer(writer)
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    return result


cdef void stop_checkpointer(writer_t* writer) noexcept nogil:
    pthread_mutex_lock(&writer.mutex)
    writer.stopping = True
    pthread_cond_broadcast(&writer.changed)
    pthread_mutex_unlock(&writer.mutex)
    pthread_join(writer.checkpointer, NULL)


cdef void writer_stop(writer_t* writer) noexcept nogil:
    if not writer.running:
        return
    stop_checkpointer(writer)
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


cdef int writer_checkpoint(writer_t* writer, int64_t timeout_ms) noexcept nogil:
    cdef int64_t until_us = monotonic_us() + timeout_ms * 1000
    cdef uint64_t wanted
    cdef int result = 0
    pthread_mutex_lock(&writer.mutex)
    wanted = writer.durable_sequence
    writer.wanted_sequence = wanted
    wake(writer)
    while result == 0 and writer.stored_sequence < wanted:
        if writer.stopping or writer.status == STATUS_FAILED:
            result = EIO
        else:
            result = wait_until(&writer.changed, &writer.mutex, until_us)
    if writer.stored_sequence >= wanted:
        result = 0
    pthread_mutex_unlock(&writer.mutex)
    return result
