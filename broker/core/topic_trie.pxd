"""Binding keys with wildcards, matched against routing keys."""

from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.core.topic_words cimport trie_word_t

ctypedef struct trie_node_t:
    PyObject* values                # NULL, one value, or (VALUES_MANY) a dict whose keys are the values; owned
    uint32_t parent
    uint32_t children               # literal edges that leave this node
    uint32_t star                   # child by '*'; 0: none
    uint32_t hash                   # child by '#'; 0: none
    uint32_t mark                   # of a '#' node: the step that has it already
    uint32_t flags

ctypedef struct trie_edge_t:
    uint32_t parent
    uint32_t child                  # 0: the place is free
    uint32_t word_hash
    uint32_t size                   # bytes of the word
    char word[16]                   # the word, or a pointer to it where it is longer


cdef class TopicTrie:
    cdef trie_node_t* nodes         # number 0 is the root
    cdef uint32_t nodes_used        # one past the highest number ever used
    cdef uint32_t nodes_capacity
    cdef uint32_t nodes_free        # head of the list of free nodes, linked by `parent`; 0: none
    cdef trie_edge_t* edges         # open addressing, linear probing
    cdef uint32_t edges_mask        # places - 1
    cdef uint64_t seed
    cdef uint32_t* states           # the nodes that a match has reached …
    cdef uint32_t* following        # … and those that its next word leads to; `states_capacity` each
    cdef size_t states_capacity
    cdef uint32_t hash_chain_max    # longest run of '#' words that any key ever had
    cdef uint32_t mark              # the last mark given out
    cdef bint dollar_root
    cdef readonly size_t node_count     # live nodes, with the root
    cdef readonly size_t edge_count
    cdef readonly size_t value_count    # (key, value) pairs

    # True if the pair was not there. Raises LimitExceeded beyond TOPIC_WORDS_MAX words, MemoryError.
    cpdef bint add(self, bytes binding_key, object value) except -1
    # True if the pair was there.
    cpdef bint remove(self, bytes binding_key, object value) except -1
    # Appends each value of each binding key that matches, once per pair. Raises LimitExceeded, MemoryError.
    cdef int match(self, const char* key, size_t size, list found) except -1
    cpdef list matches(self, bytes routing_key)
    # Whether any key has this literal first word.
    cpdef bint has_first_word(self, bytes first_word)
    # Drops every value and every node. The garbage collector does not look into a trie: whoever lets go of one that may
    # be part of a cycle calls this.
    cpdef clear(self)

    cdef uint32_t edge_place(self, uint32_t parent, trie_word_t* word) noexcept nogil
    cdef uint32_t child_of(self, uint32_t parent, trie_word_t* word) noexcept nogil
    cdef int resize_edges(self, size_t capacity) except -1
    cdef void free_edge(self, uint32_t place) noexcept
    cdef uint32_t new_node(self, uint32_t parent) except 0
    cdef void release_nodes(self) noexcept
    cdef uint32_t wildcard_child(self, uint32_t node, bint star) except 0
    cdef uint32_t extend(self, uint32_t node, trie_word_t* word) except 0
    cdef uint32_t find(self, const char* key, size_t size, trie_word_t* words, int* count) except? 0xFFFFFFFF
    cdef int prune(self, uint32_t node, trie_word_t* words, int count) except -1
    cdef int depth(self, uint32_t node) noexcept
    cdef bint add_value(self, uint32_t node, object value) except -1
    cdef int reserve_states(self, size_t count) except -1
    cdef size_t enter(self, uint32_t* states, size_t count, uint32_t node) noexcept nogil
    cdef size_t step(self, size_t count, trie_word_t* word, bint wildcards) noexcept nogil
    cdef int collect(self, trie_node_t* node, list found) except -1
    cdef void forget_marks(self) noexcept nogil
