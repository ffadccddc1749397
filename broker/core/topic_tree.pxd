"""Topics without wildcards, found exactly or by a filter with wildcards: the trie of patterns, the other way round."""

from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.core.topic_words cimport trie_word_t

cdef enum:
    TREE_WORD_INSIDE_MAX = 16       # bytes of a word that stands in the node itself

ctypedef struct tree_node_t:
    PyObject* value                 # owned; NULL: the topic is only on the way to others
    uint32_t parent
    uint32_t first_child            # 0: none
    uint32_t following              # the next child of the same parent; 0: the last
    uint32_t previous
    uint32_t word_hash
    uint32_t size                   # bytes of the word
    char word[16]                   # the word, or a pointer to it where it is longer


cdef class TopicTree:
    cdef tree_node_t* nodes         # number 0 is the root
    cdef uint32_t nodes_used
    cdef uint32_t nodes_capacity
    cdef uint32_t nodes_free        # head of the list of free nodes, linked by `parent`; 0: none
    cdef uint32_t* places           # open addressing, linear probing: node by (parent, word); 0: free
    cdef uint32_t places_mask
    cdef uint64_t seed
    cdef readonly size_t node_count     # live nodes, without the root
    cdef readonly size_t value_count

    # The value of a topic, borrowed; NULL where it has none. Raises LimitExceeded beyond TOPIC_WORDS_MAX words.
    cdef PyObject* find(self, const char* key, size_t size) except? NULL
    # Sets the value of a topic, whether or not it had one.
    cdef int put(self, const char* key, size_t size, object value) except -1
    cdef bint take(self, const char* key, size_t size) except -1         # True if it had a value
    # Appends the values of all topics that match. Wildcards as first word match no topic that begins with '$'.
    cdef int match(self, const char* topic_filter, size_t size, list found) except -1

    cdef uint32_t place_of(self, uint32_t parent, trie_word_t* word) noexcept nogil
    cdef uint32_t node_of(self, const char* key, size_t size) except? 0
    cdef uint32_t new_child(self, uint32_t parent, trie_word_t* word) except 0
    cdef int prune(self, uint32_t node) noexcept
    cdef void free_place(self, uint32_t place) noexcept
    cdef int resize_places(self, size_t capacity) except -1
    cdef int collect_below(self, uint32_t top, bint spare_dollar, list found) except -1
