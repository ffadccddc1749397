"""What is journaled and not yet in LMDB, in key order: a skip list of the newest value of each key. C, no GIL.

Owns the order, and the memory of keys. The values are not copied: they lie in the journal's map, or in memory that
the generation was given (`generation_reserve`). Knows nothing of files, threads or LMDB.

    generation │ level 2 ─────────▶ node ─────────────────────▶
               │ level 1 ─▶ node ─▶ node ─────────▶ node ──────▶     by database, then key
               │ level 0 ─▶ node ─▶ node ─▶ node ─▶ node ─▶ …

A batch is *staged* first, which may fail, and *published* when it is on disk, which cannot.

Invariants: one node per key: a later value takes the place of the earlier one, which then never reaches LMDB. Nodes are
never moved or removed while the generation lives. Whoever publishes and whoever reads hold the same lock.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    HEIGHT_MAX = 12

ctypedef struct node_t:
    node_t* following               # while staged
    const char* value               # NULL: the key is deleted
    size_t value_size
    uint16_t key_size
    uint8_t database
    uint8_t height
    node_t* next[1]                 # `height` of them, then the key

ctypedef struct block_t:            # memory that goes with the generation
    block_t* next
    size_t capacity

ctypedef struct generation_t:
    node_t* heads[HEIGHT_MAX]
    block_t* blocks
    size_t block_used
    node_t* staged_first
    node_t* staged_last
    uint32_t random
    # for the journal's owner:
    int half                        # of the journal, in which its records are
    uint64_t used_bytes             # of that half
    uint64_t last_sequence          # 0: it holds no batch
    int64_t started_us
    uint64_t elided_bytes           # of values that a later one replaced

cdef generation_t* generation_new(int half) noexcept nogil                                       # NULL: no memory
cdef void generation_free(generation_t* generation) noexcept nogil
# 0 or ENOMEM. `value` NULL deletes. The key is copied, the value is not.
cdef int generation_stage(generation_t* generation, uint8_t database, const char* key, uint16_t key_size,
                          const char* value, size_t value_size) noexcept nogil
cdef void generation_unstage(generation_t* generation) noexcept nogil
cdef void generation_publish(generation_t* generation) noexcept nogil
# `size` bytes that live as long as the generation. NULL: no memory.
cdef char* generation_reserve(generation_t* generation, size_t size) noexcept nogil
# The first node at or behind the key, or NULL.
cdef node_t* generation_seek(generation_t* generation, uint8_t database, const char* key,
                             size_t key_size) noexcept nogil
cdef node_t* generation_find(generation_t* generation, uint8_t database, const char* key,
                             size_t key_size) noexcept nogil

cdef inline const char* node_key(node_t* node) noexcept nogil:
    return <const char*>&node.next[node.height]

# As LMDB orders keys.
cdef int compare_keys(const char* one, size_t one_size, const char* other, size_t other_size) noexcept nogil
