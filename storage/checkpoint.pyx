"""Checkpoints. See `checkpoint.pxd` and the drawing in `writer.pxd`."""

from libc.errno cimport EINTR
from libc.stdint cimport int64_t

from storage.journal cimport journal_prepare
from storage.overlay cimport generation_t
from storage.room cimport count_latency, make_room, note_status, passes, wake
from storage.monotonic cimport monotonic_us
from storage.threads cimport (
    pthread_cond_broadcast,
    pthread_cond_wait,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    wait_until,
)
from storage.transaction cimport commit_generation, generation_bytes
from storage.writer cimport RETRY_MS_MAX, RETRY_MS_MIN, STATUS_FAILED, STATUS_FULL, writer_t


cdef bint rest(writer_t* writer, int milliseconds) noexcept nogil:
    """Under `mutex`. True: stop."""
    cdef int64_t until = monotonic_us() + <int64_t>milliseconds * 1000
    while not writer.stopping and wait_until(&writer.changed, &writer.mutex, until) == 0:
        pass
    return writer.stopping


cdef bint checkpoint(writer_t* writer, generation_t* generation) noexcept nogil:
    """Until it is in LMDB, or the disk is broken, or the broker stops. True: stop."""
    cdef int retry_ms = RETRY_MS_MIN, result
    cdef bint stop
    while True:
        result = commit_generation(writer, generation)
        if result == 0:
            return False
        result = make_room(writer, result, generation_bytes(generation))
        if result == 0:
            continue
        pthread_mutex_lock(&writer.mutex)
        if not passes(writer, result):
            note_status(writer, STATUS_FAILED, result)
            stop = True
        elif result == EINTR:
            stop = rest(writer, 50)
        else:
            writer.stuck = result
            note_status(writer, STATUS_FULL, result)
            stop = rest(writer, retry_ms)
            retry_ms = min(retry_ms * 2, RETRY_MS_MAX)
        pthread_mutex_unlock(&writer.mutex)
        if stop:
            return True


cdef void note_stored(writer_t* writer, generation_t* generation) noexcept nogil:
    pthread_mutex_lock(&writer.mutex)
    writer.stuck = 0
    writer.stored_sequence = generation.last_sequence
    pthread_cond_broadcast(&writer.changed)
    pthread_mutex_unlock(&writer.mutex)


cdef void* checkpointer_body(void* argument) noexcept nogil:
    cdef writer_t* writer = <writer_t*>argument
    cdef generation_t* generation
    cdef int64_t started_us
    cdef bint stop
    while True:
        pthread_mutex_lock(&writer.mutex)
        while not writer.checkpointing and not writer.stopping:
            pthread_cond_wait(&writer.changed, &writer.mutex)
        stop = writer.stopping
        pthread_mutex_unlock(&writer.mutex)
        if stop:
            return NULL
        generation = writer.frozen          # nobody changes it before `checkpointed`
        started_us = monotonic_us()
        stop = checkpoint(writer, generation)
        if not stop:
            count_latency(writer.checkpoint_latency, monotonic_us() - started_us)
            writer.checkpoint_us_total += monotonic_us() - started_us
            writer.checkpoints += 1
            writer.checkpoint_bytes += generation_bytes(generation)
            note_stored(writer, generation)
            journal_prepare(&writer.journal, generation.half, generation.used_bytes)
        pthread_mutex_lock(&writer.mutex)
        writer.checkpointing = False
        writer.checkpointed = not stop
        pthread_cond_broadcast(&writer.changed)
        pthread_mutex_unlock(&writer.mutex)
        wake(writer)                        # the half is free, or nothing will be any more
        if stop:
            return NULL
