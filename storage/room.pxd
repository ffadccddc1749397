"""Room: on the disk, in LMDB's map. And the status of the store that follows from it.

Owns what the two threads do about a full or a broken disk, so that both say the same. No GIL.
"""

from libc.stdint cimport int64_t, uint64_t

from storage.writer cimport writer_t

cdef void lock_reading(writer_t* writer) noexcept nogil
cdef void unlock_reading(writer_t* writer) noexcept nogil
cdef void tell_loop(writer_t* writer) noexcept nogil
cdef void wake(writer_t* writer) noexcept nogil
# Under `mutex`. A failed store stays failed.
cdef void note_status(writer_t* writer, int status, int error) noexcept nogil
# Free space decides between "ok" and "full" before a write has to fail. Under no lock.
cdef void look_at_disk(writer_t* writer) noexcept nogil
# After a failed transaction that would have written so much: 0, it can be tried again at once; else what it was about.
cdef int make_room(writer_t* writer, int result, uint64_t bytes_wanted) noexcept nogil
# ENOSPC and the like pass; after everything else nobody knows what is on disk.
cdef bint passes(writer_t* writer, int result) noexcept nogil
cdef void count_latency(uint64_t* buckets, int64_t took_us) noexcept nogil
