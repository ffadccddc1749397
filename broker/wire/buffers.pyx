"""A bounded pool of buffers in size classes: memory for what is in flight, none for what is idle.

Owns the free lists of five size classes, each four times the one before. What is larger than the largest class is
taken from and given back to the C library directly. Knows nothing of connections.

Invariants: a buffer of a class is exactly as large as its class; `kept_bytes` never exceeds `kept_bytes_max`.
"""

from libc.stdlib cimport free, malloc

cdef size_t SMALLEST_BYTES = 16 * 1024


cdef class BufferPool:
    """Buffers of 16 KiB to 4 MiB; keeps at most `kept_bytes_max` bytes of free ones."""

    def __cinit__(self, size_t kept_bytes_max=32 * 1024 * 1024):
        self.kept_bytes_max = kept_bytes_max

    def __dealloc__(self):
        cdef char* buffer
        cdef int index
        for index in range(BUFFER_CLASSES):
            while self.kept[index] != NULL:
                buffer = self.kept[index]
                self.kept[index] = (<char**>buffer)[0]
                free(buffer)

    cdef char* take(self, size_t size, size_t* capacity) noexcept:
        cdef size_t class_bytes = SMALLEST_BYTES
        cdef int index = 0
        cdef char* buffer = NULL
        while index < BUFFER_CLASSES and class_bytes < size:
            class_bytes *= 4
            index += 1
        if index == BUFFER_CLASSES:
            class_bytes = (size + SMALLEST_BYTES - 1) // SMALLEST_BYTES * SMALLEST_BYTES
        elif self.kept[index] != NULL:
            buffer = self.kept[index]
            self.kept[index] = (<char**>buffer)[0]
            self.kept_bytes -= class_bytes
        if buffer == NULL:
            buffer = <char*>malloc(class_bytes)
            if buffer == NULL:
                return NULL
        self.taken_bytes += class_bytes
        capacity[0] = class_bytes
        return buffer

    cdef void give(self, char* buffer, size_t capacity) noexcept:
        cdef size_t class_bytes = SMALLEST_BYTES
        cdef int index = 0
        self.taken_bytes -= capacity
        while index < BUFFER_CLASSES and class_bytes < capacity:
            class_bytes *= 4
            index += 1
        if index == BUFFER_CLASSES or self.kept_bytes + capacity > self.kept_bytes_max:
            free(buffer)
            return
        (<char**>buffer)[0] = self.kept[index]
        self.kept[index] = buffer
        self.kept_bytes += capacity
