"""Words of a topic: what stands between two dots. Shared by the trie of patterns and the tree of topics.

Inline and without memory of its own: a word is a place in the key that it was cut from.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t mix64(uint64_t v) {
        v ^= v >> 32; v *= 0xd6e8feb86659fd93ULL; v ^= v >> 32; v *= 0xd6e8feb86659fd93ULL; v ^= v >> 32; return v;
    }
    static inline uint32_t word_hash(uint64_t seed, const char* word, size_t size) {
        uint64_t h = seed ^ (size * 0x9e3779b97f4a7c15ULL), part;
        while (size >= 8) { memcpy(&part, word, 8); h = mix64(h ^ part); word += 8; size -= 8; }
        part = 0; memcpy(&part, word, size);
        return (uint32_t)mix64(h ^ part ^ seed);
    }
    static inline uint32_t edge_hash(uint32_t parent, uint32_t hash) {
        return (uint32_t)(((uint64_t)parent * 0x9e3779b97f4a7c15ULL ^ (uint64_t)hash * 0xc2b2ae3d27d4eb4fULL) >> 29);
    }
    """
    uint64_t mix64(uint64_t value) noexcept nogil
    uint32_t word_hash(uint64_t seed, const char* word, size_t size) noexcept nogil
    uint32_t edge_hash(uint32_t parent, uint32_t hash) noexcept nogil

cdef enum:
    TOPIC_WORDS_MAX = 256           # words of a key; an AMQP key (255 bytes) has no more

ctypedef struct trie_word_t:
    const char* start
    uint32_t size
    uint32_t hash


cdef inline bint next_word(const char** at, const char* end, uint64_t seed, trie_word_t* word) noexcept nogil:
    """Takes the word at `at` and steps behind its dot. False: it was the last."""
    cdef const char* stop = at[0]
    while stop < end and stop[0] != c'.':
        stop += 1
    word.start = at[0]
    word.size = <uint32_t>(stop - at[0])
    word.hash = word_hash(seed, word.start, word.size)
    at[0] = stop + 1
    return stop < end


cdef inline int split(const char* key, size_t size, uint64_t seed, trie_word_t* words) except -1:
    """The words of a key, at most TOPIC_WORDS_MAX. The empty key has none."""
    cdef const char* at = key
    cdef int count = 0
    cdef bint more = size > 0
    while more:
        if count == TOPIC_WORDS_MAX:
            from broker.core.errors import LimitExceeded        # a .pxd can import only here
            raise LimitExceeded(f"a topic has more than {TOPIC_WORDS_MAX} words")
        more = next_word(&at, key + size, seed, &words[count])
        count += 1
    return count


cdef inline bint is_word(const trie_word_t* word, char only) noexcept nogil:
    return word.size == 1 and word.start[0] == only
