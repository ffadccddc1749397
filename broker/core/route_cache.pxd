"""Routing keys whose targets are known: bytes → Route, bounded, forgotten by binding key.

A binding change makes stale the keys that its binding key matches, and no others. Nobody walks the cache for that: the
last changes are remembered by number, and an entry that is found looks at those that came after its own number.

Invariant: an entry whose `seen` is `changed` is good; an older one is good if no change since then matches its key.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    CHANGES_REMEMBERED = 64         # an entry that has missed more is stale: looking at them all would cost as much

cdef class Route:
    cdef readonly list targets      # Target, each once
    cdef size_t count
    cdef bint is_cacheable

ctypedef struct cached_t:
    uint64_t hash
    char* key                       # NULL: free
    uint64_t seen                   # changes up to this one do not concern it
    void* route                     # Route, one reference owned
    uint32_t key_size

ctypedef struct change_t:
    char* key                       # a binding key, owned
    uint32_t size
    uint32_t capacity

cdef class RouteCache:
    cdef cached_t* entries
    cdef cached_t* last             # found last: mostly wanted next, too
    cdef size_t capacity
    cdef size_t count
    cdef size_t entries_max
    cdef uint64_t changed           # number of the last change
    cdef uint64_t forgotten         # entries that have not seen this change are stale, whatever it was
    cdef change_t changes[64]       # the last ones, by number

    cdef Route find(self, const char* key, size_t size)             # None where unknown or stale
    cdef int remember(self, const char* key, size_t size, Route route) except -1
    # What a binding by this key matches is no longer known.
    cdef int forget_matching(self, const char* binding_key, size_t size) except -1
    cdef void forget_all(self) noexcept

# Whether a binding key matches a routing key. (The trie answers for all binding keys at once.)
cdef bint key_matches(const char* binding_key, size_t binding_size, const char* key, size_t size) noexcept nogil
