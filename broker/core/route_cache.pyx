"""Routing keys whose targets are known. See route_cache.pxd."""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

cdef enum:
    CAPACITY_MIN = 16


cdef inline uint64_t hash_bytes(const char* key, size_t size) noexcept nogil:
    cdef uint64_t value = <uint64_t>0x9E3779B97F4A7C15 ^ size, word
    while size >= 8:
        memcpy(&word, key, 8)
        value = (value ^ word) * <uint64_t>0xD6E8FEB86659FD93
        value ^= value >> 32
        key += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, key, size)
        value = (value ^ word) * <uint64_t>0xD6E8FEB86659FD93
        value ^= value >> 32
    value *= <uint64_t>0xD6E8FEB86659FD93
    return value ^ (value >> 32)


cdef inline uint32_t first_word_of(const char* key, size_t size) noexcept nogil:
    """Which of the 256 generations the key's first word has."""
    cdef size_t end = 0
    while end < size and key[end] != b'.':
        end += 1
    return <uint32_t>(hash_bytes(key, end) & 255)


cdef class Route:
    """Where messages of one routing key go."""

    def __cinit__(self, list targets, bint is_cacheable=True):
        self.targets = targets
        self.count = len(targets)
        self.is_cacheable = is_cacheable


cdef class RouteCache:
    """Open addressing with linear probing; when it is full it starts afresh."""

    def __cinit__(self, size_t entries_max):
        self.entries_max = entries_max

    def __dealloc__(self):
        empty(self)
        free(self.entries)

    cdef Route find(self, const char* key, size_t size):
        cdef uint64_t hashed
        cdef size_t index
        cdef cached_t* entry
        entry = self.last
        if entry != NULL and entry.key_size == size and memcmp(entry.key, key, size) == 0:
            return <Route>entry.route if entry.generation == self.generations[entry.first_word] else None
        if self.count == 0:
            return None
        hashed = hash_bytes(key, size)
        index = hashed & (self.capacity - 1)
        while True:
            entry = &self.entries[index]
            if entry.key == NULL:
                return None
            if entry.hash == hashed and entry.key_size == size and memcmp(entry.key, key, size) == 0:
                if entry.generation != self.generations[entry.first_word]:
                    return None
                self.last = entry
                return <Route>entry.route
            index = (index + 1) & (self.capacity - 1)

    cdef int remember(self, const char* key, size_t size, Route route) except -1:
        cdef uint64_t hashed = hash_bytes(key, size)
        cdef cached_t* entry
        cdef char* copy
        if self.count >= self.entries_max:
            empty(self)
        if (self.count + 1) * 2 > self.capacity:
            grow(self)
        entry = slot_for(self.entries, self.capacity, hashed, key, size)
        if entry.key == NULL:
            copy = <char*>malloc(size if size else 1)
            if copy == NULL:
                raise MemoryError
            memcpy(copy, key, size)
            entry.hash = hashed
            entry.key = copy
            entry.key_size = <uint32_t>size
            self.count += 1
        else:
            Py_DECREF(<object>entry.route)
        Py_INCREF(route)
        entry.route = <void*>route
        entry.first_word = first_word_of(key, size)
        entry.generation = self.generations[entry.first_word]
        return 0

    cdef void forget_first_word(self, const char* key, size_t size) noexcept:
        if size and (key[0] == b'*' or key[0] == b'#') and (size == 1 or key[1] == b'.'):
            self.forget_all()
        else:
            self.generations[first_word_of(key, size)] += 1

    cdef void forget_all(self) noexcept:
        cdef int index
        for index in range(256):
            self.generations[index] += 1


cdef cached_t* slot_for(cached_t* entries, size_t capacity, uint64_t hashed, const char* key, size_t size) noexcept:
    """The entry of this key, or the free one where it belongs."""
    cdef size_t index = hashed & (capacity - 1)
    while entries[index].key != NULL:
        if entries[index].hash == hashed and entries[index].key_size == size \
                and memcmp(entries[index].key, key, size) == 0:
            break
        index = (index + 1) & (capacity - 1)
    return &entries[index]


cdef int grow(RouteCache cache) except -1:
    cdef size_t capacity = cache.capacity * 2 if cache.capacity else CAPACITY_MIN
    cdef cached_t* entries = <cached_t*>calloc(capacity, sizeof(cached_t))
    cdef size_t index
    if entries == NULL:
        raise MemoryError
    for index in range(cache.capacity):
        if cache.entries[index].key != NULL:
            slot_for(entries, capacity, cache.entries[index].hash, cache.entries[index].key,
                     cache.entries[index].key_size)[0] = cache.entries[index]
    free(cache.entries)
    cache.last = NULL
    cache.entries = entries
    cache.capacity = capacity
    return 0


cdef void empty(RouteCache cache) noexcept:
    cdef size_t index
    cache.last = NULL
    for index in range(cache.capacity):
        if cache.entries[index].key != NULL:
            free(cache.entries[index].key)
            cache.entries[index].key = NULL
            Py_DECREF(<object>cache.entries[index].route)
    cache.count = 0
