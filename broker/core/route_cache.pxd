"""Routing keys whose targets are known: bytes → Route, bounded, forgotten by first word.

A binding change makes stale what lies under the binding key's first word (everything, where that is a wildcard), not
the whole cache: each first word has a generation in a small table, and an entry is good while its generation is.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

cdef class Route:
    cdef readonly list targets      # Target, each once
    cdef size_t count
    cdef bint is_cacheable

ctypedef struct cached_t:
    uint64_t hash
    char* key                       # NULL: free
    uint32_t key_size
    uint32_t generation
    void* route                     # Route, one reference owned
    uint32_t first_word             # index of its generation

cdef class RouteCache:
    cdef cached_t* entries
    cdef cached_t* last             # found last: mostly wanted next, too
    cdef size_t capacity
    cdef size_t count
    cdef size_t entries_max
    cdef uint32_t generations[256]  # by first word

    cdef Route find(self, const char* key, size_t size)             # None where unknown or stale
    cdef int remember(self, const char* key, size_t size, Route route) except -1
    cdef void forget_first_word(self, const char* key, size_t size) noexcept
    cdef void forget_all(self) noexcept
