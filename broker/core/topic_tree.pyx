"""Topics without wildcards, found exactly or by a filter: what retained messages are kept in.

Owns topics and one value under each. Refuses to know what a value is, and MQTT's spelling: `/` and `+` are swapped for
`.` and `*` before they come here.

    nodes    one array, 48 bytes each: word, parent, first child, siblings, value
    places   one hash table for the whole tree: (parent, word) -> node, 4 bytes a place

A literal word of a filter costs one look into the table, `*` a walk over the children, `#` a walk over what is below: a
filter pays for what it meets, never for the topics beside it.

Invariants: a node without a value has a child (`prune`); only the root has number 0; no Python code runs in a walk.
The word hash is seeded, so that a peer cannot choose words that collide.
"""

from cpython.list cimport PyList_Append
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memcmp, memcpy, memset

from broker.core.topic_words cimport TOPIC_WORDS_MAX, edge_hash, is_word, split, trie_word_t

import os

cdef enum:
    NODES_MIN = 4
    PLACES_MIN = 16
    PENDING_MIN = 64

ctypedef struct pending_t:          # of a match: `node` is reached by the filter's first `depth` words
    uint32_t node
    uint32_t depth


cdef inline const char* node_word(const tree_node_t* node) noexcept nogil:
    cdef const char* far
    if node.size <= TREE_WORD_INSIDE_MAX:
        return node.word
    memcpy(&far, node.word, sizeof(far))
    return far


cdef inline bint begins_with_dollar(const tree_node_t* node) noexcept nogil:
    return node.size > 0 and node_word(node)[0] == c'$'


cdef class TopicTree:
    """See the module."""

    def __cinit__(self):
        cdef bytes seed = os.urandom(8)
        memcpy(&self.seed, <const char*>seed, 8)
        self.nodes_capacity = NODES_MIN
        self.nodes_used = 1
        self.nodes = <tree_node_t*>PyMem_Calloc(NODES_MIN, sizeof(tree_node_t))
        self.places = <uint32_t*>PyMem_Calloc(PLACES_MIN, sizeof(uint32_t))
        self.places_mask = PLACES_MIN - 1
        if self.nodes == NULL or self.places == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t number
        if self.nodes != NULL:
            for number in range(self.nodes_used):       # a free node has neither a value nor a word
                if self.nodes[number].size > TREE_WORD_INSIDE_MAX:
                    PyMem_Free(<void*>node_word(&self.nodes[number]))
                if self.nodes[number].value != NULL:
                    Py_DECREF(<object>self.nodes[number].value)
        PyMem_Free(self.nodes)
        PyMem_Free(self.places)

    def __len__(self):
        return self.value_count

    @property
    def memory_bytes(self):
        """Bytes of nodes and table; without long words and the values themselves."""
        return self.nodes_capacity * sizeof(tree_node_t) + (<size_t>self.places_mask + 1) * sizeof(uint32_t)

    # ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────

    cdef uint32_t place_of(self, uint32_t parent, trie_word_t* word) noexcept nogil:
        """Where the node is, or the free place where it belongs."""
        cdef uint32_t place = edge_hash(parent, word.hash) & self.places_mask
        cdef tree_node_t* node
        while self.places[place] != 0:
            node = &self.nodes[self.places[place]]
            if (node.parent == parent and node.word_hash == word.hash and node.size == word.size
                    and memcmp(node_word(node), word.start, word.size) == 0):
                break
            place = (place + 1) & self.places_mask
        return place

    cdef int resize_places(self, size_t capacity) except -1:
        """Makes the table `capacity` places (a power of two) large."""
        cdef size_t place
        cdef uint32_t number, target
        cdef uint32_t mask = <uint32_t>(capacity - 1)
        cdef uint32_t* resized = <uint32_t*>PyMem_Calloc(capacity, sizeof(uint32_t))
        if resized == NULL:
            raise MemoryError
        for place in range(<size_t>self.places_mask + 1):
            number = self.places[place]
            if number != 0:
                target = edge_hash(self.nodes[number].parent, self.nodes[number].word_hash) & mask
                while resized[target] != 0:
                    target = (target + 1) & mask
                resized[target] = number
        PyMem_Free(self.places)
        self.places = resized
        self.places_mask = mask
        return 0

    cdef void free_place(self, uint32_t place) noexcept:
        """Empties a place and moves back what had to be put behind it, so that no probe ends too early."""
        cdef uint32_t behind = place
        cdef uint32_t home
        cdef tree_node_t* node
        self.places[place] = 0
        while True:
            behind = (behind + 1) & self.places_mask
            if self.places[behind] == 0:
                return
            node = &self.nodes[self.places[behind]]
            home = edge_hash(node.parent, node.word_hash) & self.places_mask
            if ((behind - home) & self.places_mask) >= ((behind - place) & self.places_mask):
                self.places[place] = self.places[behind]
                self.places[behind] = 0
                place = behind

    # ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef uint32_t new_child(self, uint32_t parent, trie_word_t* word) except 0:
        cdef uint32_t number
        cdef tree_node_t* node
        cdef char* far = NULL
        if self.node_count * 4 >= (<size_t>self.places_mask + 1) * 3:
            self.resize_places((<size_t>self.places_mask + 1) * 2)
        if self.nodes_free == 0 and self.nodes_used == self.nodes_capacity:
            if self.nodes_capacity >= 0x7FFFFFFF:
                raise MemoryError
            node = <tree_node_t*>PyMem_Realloc(self.nodes, 2 * <size_t>self.nodes_capacity * sizeof(tree_node_t))
            if node == NULL:
                raise MemoryError
            self.nodes = node
            self.nodes_capacity *= 2
        if word.size > TREE_WORD_INSIDE_MAX:
            far = <char*>PyMem_Malloc(word.size)
            if far == NULL:
                raise MemoryError
            memcpy(far, word.start, word.size)
        number = self.nodes_free
        if number != 0:
            self.nodes_free = self.nodes[number].parent
        else:
            number = self.nodes_used
            self.nodes_used += 1
        node = &self.nodes[number]
        memset(node, 0, sizeof(tree_node_t))
        node.parent, node.word_hash, node.size = parent, word.hash, word.size
        if far != NULL:
            memcpy(node.word, &far, sizeof(far))
        else:
            memcpy(node.word, word.start, word.size)
        node.following = self.nodes[parent].first_child
        if node.following != 0:
            self.nodes[node.following].previous = number
        self.nodes[parent].first_child = number
        self.places[self.place_of(parent, word)] = number
        self.node_count += 1
        return number

    cdef int prune(self, uint32_t number) noexcept:
        """Frees a node and what is above it, as long as nothing is below or at it."""
        cdef tree_node_t* node
        cdef trie_word_t word
        cdef uint32_t parent
        while number != 0:
            node = &self.nodes[number]
            if node.value != NULL or node.first_child != 0:
                break
            parent = node.parent
            word.start, word.size, word.hash = node_word(node), node.size, node.word_hash
            self.free_place(self.place_of(parent, &word))
            if node.previous != 0:
                self.nodes[node.previous].following = node.following
            else:
                self.nodes[parent].first_child = node.following
            if node.following != 0:
                self.nodes[node.following].previous = node.previous
            if node.size > TREE_WORD_INSIDE_MAX:
                PyMem_Free(<void*>node_word(node))
            node.size = 0
            node.parent = self.nodes_free
            self.nodes_free = number
            self.node_count -= 1
            number = parent
        if self.places_mask >= PLACES_MIN and self.node_count * 8 <= self.places_mask:
            try:
                self.resize_places((<size_t>self.places_mask + 1) // 2)
            except MemoryError:
                pass                # it stays large
        return 0

    # ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef uint32_t node_of(self, const char* key, size_t size) except? 0:
        """The topic's node; 0: there is none."""
        cdef trie_word_t words[TOPIC_WORDS_MAX]
        cdef int count = split(key, size, self.seed, words)
        cdef int at
        cdef uint32_t node = 0
        for at in range(count):
            node = self.places[self.place_of(node, &words[at])]
            if node == 0:
                break
        return node

    cdef PyObject* find(self, const char* key, size_t size) except? NULL:
        return self.nodes[self.node_of(key, size)].value       # the root never has one

    cdef int put(self, const char* key, size_t size, object value) except -1:
        cdef trie_word_t words[TOPIC_WORDS_MAX]
        cdef int count = split(key, size, self.seed, words)
        cdef int at
        cdef uint32_t node = 0, child
        cdef PyObject* before
        if count == 0:
            raise ValueError("a topic has at least one character")     # [MQTT-4.7.3-1]
        try:
            for at in range(count):
                child = self.places[self.place_of(node, &words[at])]
                node = child if child != 0 else self.new_child(node, &words[at])
        except MemoryError:
            self.prune(node)
            raise
        before = self.nodes[node].value
        Py_INCREF(value)
        self.nodes[node].value = <PyObject*>value
        if before != NULL:
            Py_DECREF(<object>before)
        else:
            self.value_count += 1
        return 0

    cdef bint take(self, const char* key, size_t size) except -1:
        cdef uint32_t node = self.node_of(key, size)
        cdef PyObject* before = self.nodes[node].value
        if before == NULL:
            return False
        self.nodes[node].value = NULL
        self.value_count -= 1
        self.prune(node)
        Py_DECREF(<object>before)
        return True

    # ── filters ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int match(self, const char* topic_filter, size_t size, list found) except -1:
        cdef trie_word_t words[TOPIC_WORDS_MAX]
        cdef uint32_t count = split(topic_filter, size, self.seed, words)
        cdef size_t capacity = PENDING_MIN, pending_count = 1
        cdef pending_t at
        cdef pending_t* grown
        cdef pending_t* pending = <pending_t*>PyMem_Malloc(capacity * sizeof(pending_t))
        cdef uint32_t child
        if pending == NULL:
            raise MemoryError
        pending[0].node = pending[0].depth = 0
        try:
            while pending_count:
                pending_count -= 1
                at = pending[pending_count]
                if at.depth == count:
                    if self.nodes[at.node].value != NULL:
                        PyList_Append(found, <object>self.nodes[at.node].value)
                elif is_word(&words[at.depth], c'#'):
                    if at.depth + 1 != count:
                        raise ValueError("'#' is the last word of a topic filter")     # [MQTT-4.7.1-2]
                    self.collect_below(at.node, at.depth == 0, found)
                elif is_word(&words[at.depth], c'*'):
                    child = self.nodes[at.node].first_child
                    while child != 0:
                        if pending_count == capacity:
                            grown = <pending_t*>PyMem_Realloc(pending, 2 * capacity * sizeof(pending_t))
                            if grown == NULL:
                                raise MemoryError
                            pending = grown
                            capacity *= 2
                        if at.depth > 0 or not begins_with_dollar(&self.nodes[child]):     # [MQTT-4.7.2-1]
                            pending[pending_count].node = child
                            pending[pending_count].depth = at.depth + 1
                            pending_count += 1
                        child = self.nodes[child].following
                else:
                    child = self.places[self.place_of(at.node, &words[at.depth])]
                    if child != 0:
                        pending[pending_count].node = child     # there is room: one was taken out
                        pending[pending_count].depth = at.depth + 1
                        pending_count += 1
        finally:
            PyMem_Free(pending)
        return 0

    cdef int collect_below(self, uint32_t top, bint spare_dollar, list found) except -1:
        """The values at and below `top`, walked without a stack: down, aside, or up to where there is an aside."""
        cdef uint32_t node = top
        cdef bint skip
        while True:
            skip = spare_dollar and node != top and self.nodes[node].parent == top \
                and begins_with_dollar(&self.nodes[node])                                  # [MQTT-4.7.2-1]
            if not skip and self.nodes[node].value != NULL:
                PyList_Append(found, <object>self.nodes[node].value)
            if not skip and self.nodes[node].first_child != 0:
                node = self.nodes[node].first_child
                continue
            while node != top and self.nodes[node].following == 0:
                node = self.nodes[node].parent
            if node == top:
                return 0
            node = self.nodes[node].following

    # ── for cold code and tests ───────────────────────────────────────────────────────────────────────────────────

    def get(self, bytes key):
        """The value of a topic, or None."""
        cdef const char* start = key
        cdef PyObject* value = self.find(start, len(key))
        return <object>value if value != NULL else None

    def set(self, bytes key, object value):
        """Give a topic a value. Raises LimitExceeded beyond TOPIC_WORDS_MAX words, ValueError for the empty topic."""
        cdef const char* start = key
        self.put(start, len(key), value)

    def remove(self, bytes key) -> bool:
        """Take a topic's value away; False where it has none."""
        cdef const char* start = key
        return self.take(start, len(key))

    def values(self) -> list:
        """All values."""
        cdef list found = []
        self.collect_below(0, False, found)
        return found

    def matches(self, bytes topic_filter) -> list:
        """The values of the topics that match the filter (dots; `*` for one word, `#` at the end for any number)."""
        cdef list found = []
        cdef const char* start = topic_filter
        self.match(start, len(topic_filter), found)
        return found
