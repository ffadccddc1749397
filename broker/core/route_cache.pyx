"""Routing keys whose targets are known. See route_cache.pxd."""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free, malloc, realloc
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


cdef inline size_t word_end(const char* key, size_t size, size_t start) noexcept nogil:
    while start < size and key[start] != c'.':
        start += 1
    return start


cdef bint key_matches(const char* binding_key, size_t binding_size, const char* key, size_t size) noexcept nogil:
    """Words one by one; at a mismatch the last `#` takes one word more, as `*` does with characters in a file name."""
    cdef size_t at = 0, word = 0                # where the next words begin; behind the end by one: there are none
    cdef size_t hash_at = 0, hash_word = 0      # behind the last '#', and the first word that it has not taken
    cdef size_t at_end, word_stop
    cdef bint has_hash = False
    if binding_size == 0:
        at = 1
    if size == 0:
        word = 1
    while word <= size:
        word_stop = word_end(key, size, word)
        if at <= binding_size:
            at_end = word_end(binding_key, binding_size, at)
            if at_end - at == 1 and binding_key[at] == c'#':
                has_hash = True
                at = hash_at = at_end + 1
                hash_word = word
                continue
            if (at_end - at == 1 and binding_key[at] == c'*') or (
                    at_end - at == word_stop - word and memcmp(binding_key + at, key + word, at_end - at) == 0):
                at = at_end + 1
                word = word_stop + 1
                continue
        if not has_hash:
            return False
        word = hash_word = word_end(key, size, hash_word) + 1
        at = hash_at
    while at < binding_size and binding_key[at] == c'#' and word_end(binding_key, binding_size, at) - at == 1:
        at += 2
    return at > binding_size


def matches(bytes binding_key, bytes routing_key) -> bool:
    """See `key_matches`."""
    return key_matches(binding_key, len(binding_key), routing_key, len(routing_key))


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
        cdef int index
        empty(self)
        free(self.entries)
        for index in range(CHANGES_REMEMBERED):
            free(self.changes[index].key)

    cdef Route find(self, const char* key, size_t size):
        cdef uint64_t hashed
        cdef size_t index
        cdef cached_t* entry
        entry = self.last
        if entry != NULL and entry.key_size == size and memcmp(entry.key, key, size) == 0:
            return <Route>entry.route if entry.seen == self.changed or is_good(self, entry) else None
        if self.count == 0:
            return None
        hashed = hash_bytes(key, size)
        index = hashed & (self.capacity - 1)
        while True:
            entry = &self.entries[index]
            if entry.key == NULL:
                return None
            if entry.hash == hashed and entry.key_size == size and memcmp(entry.key, key, size) == 0:
                if entry.seen != self.changed and not is_good(self, entry):
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
        entry.seen = self.changed
        return 0

    cdef int forget_matching(self, const char* binding_key, size_t size) except -1:
        cdef change_t* change
        cdef char* grown
        if self.count == 0:
            return 0
        change = &self.changes[(self.changed + 1) % CHANGES_REMEMBERED]
        if size > change.capacity:
            grown = <char*>realloc(change.key, size)
            if grown == NULL:
                raise MemoryError
            change.key = grown
            change.capacity = <uint32_t>size
        memcpy(change.key, binding_key, size)
        change.size = <uint32_t>size
        self.changed += 1
        return 0

    cdef void forget_all(self) noexcept:
        self.changed += 1
        self.forgotten = self.changed


cdef bint is_good(RouteCache cache, cached_t* entry) noexcept:
    """Whether none of the changes that an entry has not seen concerns it; then it has seen them."""
    cdef uint64_t number
    cdef change_t* change
    if entry.seen < cache.forgotten or cache.changed - entry.seen > CHANGES_REMEMBERED:
        return False
    for number in range(entry.seen + 1, cache.changed + 1):
        change = &cache.changes[number % CHANGES_REMEMBERED]
        if key_matches(change.key, change.size, entry.key, entry.key_size):
            return False
    entry.seen = cache.changed
    return True


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
