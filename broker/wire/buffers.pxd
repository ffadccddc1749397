"""A bounded pool of buffers in size classes: memory for what is in flight, none for what is idle."""

from libc.stddef cimport size_t

cdef enum:
    BUFFER_CLASSES = 5              # 16 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB

cdef class BufferPool:
    cdef char* kept[BUFFER_CLASSES]         # per class a list of free buffers, linked through their first bytes
    cdef readonly size_t kept_bytes         # free memory that the pool holds on to
    cdef readonly size_t kept_bytes_max
    cdef readonly size_t taken_bytes        # memory that is in use at this moment

    # A buffer of at least `size` bytes; its true size goes into `capacity`. NULL: no memory.
    cdef char* take(self, size_t size, size_t* capacity) noexcept
    cdef void give(self, char* buffer, size_t capacity) noexcept
