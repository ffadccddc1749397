"""The topic trie: which binding keys match a routing key. One for AMQP's topic exchanges and MQTT's subscriptions.

Owns binding keys and one or more values under each. Refuses to know what a value is, and MQTT's spelling: `/` and `+`
are swapped for `.` and `*` before they come here.

    words are separated by '.'; '*' stands for one word, '#' for none or any number; the empty key has no words

    nodes   one array, 32 bytes each: parent, '*' child, '#' child, values
    edges   one hash table for the whole trie: (parent, word) -> child, 32 bytes a place, short words inside

A match walks the words once and keeps the *set* of nodes that are reached so far, so that keys with many '#' cost words
times nodes reached, never 2^n. A literal or '*' child has one parent, so only a '#' node can be reached in two ways
within a step (by staying in it and from its parent): only '#' nodes are marked.

Invariants: a node without values has a child (`prune`); an edge's child is never 0; no Python code runs in the walk.
The word hash is seeded, so that a peer cannot choose words that collide.
"""

from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_Append
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memcmp, memcpy, memset

from broker.core.topic_words cimport (
    TOPIC_WORDS_MAX, edge_hash, is_word, next_word, split, trie_word_t, word_hash,
)

import os

from broker.core.errors import LimitExceeded

cdef enum:
    VALUES_MANY = 1                 # `values` is a dict
    HASH_NODE = 2                   # the node is its parent's '#' child
    WORD_INSIDE_MAX = 16            # bytes of a word that stands in the edge itself
    NODES_MIN = 4
    EDGES_MIN = 16
    STATES_MIN = 64
    NOWHERE = 0xFFFFFFFF


cdef inline const char* edge_word(const trie_edge_t* edge) noexcept nogil:
    cdef const char* far
    if edge.size <= WORD_INSIDE_MAX:
        return edge.word
    memcpy(&far, edge.word, sizeof(far))
    return far


cdef class TopicTrie:
    """See the module. `dollar_root`: a wildcard as first word does not match a first word that begins with '$'."""

    def __cinit__(self, *, bint dollar_root=False):
        cdef bytes seed = os.urandom(8)
        self.dollar_root = dollar_root
        memcpy(&self.seed, <const char*>seed, 8)
        self.nodes_capacity = NODES_MIN
        self.nodes = <trie_node_t*>PyMem_Calloc(self.nodes_capacity, sizeof(trie_node_t))
        self.edges = <trie_edge_t*>PyMem_Calloc(EDGES_MIN, sizeof(trie_edge_t))
        self.edges_mask = EDGES_MIN - 1
        self.states_capacity = STATES_MIN
        self.states = <uint32_t*>PyMem_Malloc(STATES_MIN * sizeof(uint32_t))
        self.following = <uint32_t*>PyMem_Malloc(STATES_MIN * sizeof(uint32_t))
        if self.nodes == NULL or self.edges == NULL or self.states == NULL or self.following == NULL:
            raise MemoryError
        self.nodes_used = 1
        self.node_count = 1

    def __dealloc__(self):
        if self.nodes != NULL and self.edges != NULL:
            self.clear()
        PyMem_Free(self.nodes)
        PyMem_Free(self.edges)
        PyMem_Free(self.states)
        PyMem_Free(self.following)

    cpdef clear(self):
        cdef size_t place
        cdef uint32_t used = self.nodes_used
        self.nodes_used = 1
        self.nodes_free = self.nodes[0].children = self.nodes[0].star = self.nodes[0].hash = 0
        self.node_count = 1
        self.value_count = self.edge_count = 0
        for place in range(<size_t>self.edges_mask + 1):
            if self.edges[place].child != 0 and self.edges[place].size > WORD_INSIDE_MAX:
                PyMem_Free(<void*>edge_word(&self.edges[place]))
            self.edges[place].child = 0
        for place in range(used):   # last, because what is let go of here may run Python code
            if self.nodes[place].values != NULL:
                held = <object>self.nodes[place].values
                self.nodes[place].values = NULL
                self.nodes[place].flags &= ~VALUES_MANY
                Py_DECREF(held)

    def __len__(self):
        return self.value_count

    @property
    def memory_bytes(self):
        """Bytes of nodes, edges and scratch; without long words and the values themselves."""
        return (self.nodes_capacity * sizeof(trie_node_t) + (<size_t>self.edges_mask + 1) * sizeof(trie_edge_t)
                + 2 * self.states_capacity * sizeof(uint32_t))

    # ── edges ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef uint32_t edge_place(self, uint32_t parent, trie_word_t* word) noexcept nogil:
        """Where the edge is, or the free place where it belongs."""
        cdef uint32_t place = edge_hash(parent, word.hash) & self.edges_mask
        cdef trie_edge_t* edge = &self.edges[place]
        while edge.child != 0:
            if (edge.parent == parent and edge.word_hash == word.hash and edge.size == word.size
                    and memcmp(edge_word(edge), word.start, word.size) == 0):
                break
            place = (place + 1) & self.edges_mask
            edge = &self.edges[place]
        return place

    cdef uint32_t child_of(self, uint32_t parent, trie_word_t* word) noexcept nogil:
        return self.edges[self.edge_place(parent, word)].child

    cdef int resize_edges(self, size_t capacity) except -1:
        """Makes the table `capacity` places (a power of two) large."""
        cdef size_t place
        cdef uint32_t target
        cdef uint32_t mask = <uint32_t>(capacity - 1)
        cdef trie_edge_t* edge
        cdef trie_edge_t* resized = <trie_edge_t*>PyMem_Calloc(capacity, sizeof(trie_edge_t))
        if resized == NULL:
            raise MemoryError
        for place in range(<size_t>self.edges_mask + 1):
            edge = &self.edges[place]
            if edge.child != 0:
                target = edge_hash(edge.parent, edge.word_hash) & mask
                while resized[target].child != 0:
                    target = (target + 1) & mask
                resized[target] = edge[0]
        PyMem_Free(self.edges)
        self.edges = resized
        self.edges_mask = mask
        return 0

    cdef void free_edge(self, uint32_t place) noexcept:
        """Empties a place and moves back what had to be put behind it, so that no probe ends too early."""
        cdef uint32_t behind = place
        cdef uint32_t home
        cdef trie_edge_t* edge = &self.edges[place]
        if edge.size > WORD_INSIDE_MAX:
            PyMem_Free(<void*>edge_word(edge))
        edge.child = 0
        self.edge_count -= 1
        while True:
            behind = (behind + 1) & self.edges_mask
            edge = &self.edges[behind]
            if edge.child == 0:
                return
            home = edge_hash(edge.parent, edge.word_hash) & self.edges_mask
            if ((behind - home) & self.edges_mask) >= ((behind - place) & self.edges_mask):
                self.edges[place] = edge[0]
                edge.child = 0
                place = behind

    # ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef uint32_t new_node(self, uint32_t parent) except 0:
        cdef uint32_t node = self.nodes_free
        cdef trie_node_t* grown
        if node != 0:
            self.nodes_free = self.nodes[node].parent
        else:
            if self.nodes_used == self.nodes_capacity:
                if self.nodes_capacity >= 0x7FFFFFFF:
                    raise MemoryError
                grown = <trie_node_t*>PyMem_Realloc(self.nodes, 2 * <size_t>self.nodes_capacity * sizeof(trie_node_t))
                if grown == NULL:
                    raise MemoryError
                self.nodes = grown
                self.nodes_capacity *= 2
            node = self.nodes_used
            self.nodes_used += 1
        memset(&self.nodes[node], 0, sizeof(trie_node_t))
        self.nodes[node].parent = parent
        self.node_count += 1
        return node

    cdef void release_nodes(self) noexcept:
        """The trie is empty: the array of nodes goes back to what it was at first."""
        cdef trie_node_t* shrunk = <trie_node_t*>PyMem_Realloc(self.nodes, NODES_MIN * sizeof(trie_node_t))
        if shrunk != NULL:
            self.nodes = shrunk
            self.nodes_capacity = NODES_MIN
            self.nodes_used = 1
            self.nodes_free = 0

    cdef uint32_t wildcard_child(self, uint32_t node, bint star) except 0:
        """The child of `node` by '*' or else by '#', which is made if it is not there."""
        cdef uint32_t child = self.nodes[node].star if star else self.nodes[node].hash
        cdef uint32_t chain = 1
        if child != 0:
            return child
        child = self.new_node(node)
        if star:
            self.nodes[node].star = child
            return child
        self.nodes[node].hash = child
        self.nodes[child].flags = HASH_NODE
        while self.nodes[node].flags & HASH_NODE:
            chain += 1
            node = self.nodes[node].parent
        self.hash_chain_max = max(self.hash_chain_max, chain)
        return child

    cdef uint32_t extend(self, uint32_t node, trie_word_t* word) except 0:
        """The child of `node` by `word`, which is made if it is not there."""
        cdef uint32_t child
        cdef uint32_t place
        cdef char* far = NULL
        cdef trie_edge_t* edge
        if is_word(word, c'*') or is_word(word, c'#'):
            return self.wildcard_child(node, word.start[0] == c'*')
        child = self.child_of(node, word)
        if child != 0:
            return child
        if self.edge_count * 4 >= (<size_t>self.edges_mask + 1) * 3:
            self.resize_edges((<size_t>self.edges_mask + 1) * 2)
        if word.size > WORD_INSIDE_MAX:
            far = <char*>PyMem_Malloc(word.size)
            if far == NULL:
                raise MemoryError
            memcpy(far, word.start, word.size)
        try:
            child = self.new_node(node)
        except MemoryError:
            PyMem_Free(far)
            raise
        place = self.edge_place(node, word)
        edge = &self.edges[place]
        if far != NULL:
            memcpy(edge.word, &far, sizeof(far))
        else:
            memcpy(edge.word, word.start, word.size)
        edge.parent, edge.child, edge.word_hash, edge.size = node, child, word.hash, word.size
        self.edge_count += 1
        self.nodes[node].children += 1
        return child

    cdef uint32_t find(self, const char* key, size_t size, trie_word_t* words, int* count) except? 0xFFFFFFFF:
        """The node of exactly this binding key, or NOWHERE."""
        cdef uint32_t node = 0
        cdef uint32_t child
        cdef int at
        count[0] = split(key, size, self.seed, words)
        for at in range(count[0]):
            if is_word(&words[at], c'*'):
                child = self.nodes[node].star
            elif is_word(&words[at], c'#'):
                child = self.nodes[node].hash
            else:
                child = self.child_of(node, &words[at])
            if child == 0:
                return NOWHERE
            node = child
        return node

    cdef int prune(self, uint32_t node, trie_word_t* words, int count) except -1:
        """Frees `node` and what is above it, as long as nothing is below or at it."""
        cdef trie_node_t* at
        cdef uint32_t parent
        while node != 0:
            at = &self.nodes[node]
            if at.values != NULL or at.children != 0 or at.star != 0 or at.hash != 0:
                break
            count -= 1
            parent = at.parent
            if self.nodes[parent].star == node:
                self.nodes[parent].star = 0
            elif self.nodes[parent].hash == node:
                self.nodes[parent].hash = 0
            else:
                self.free_edge(self.edge_place(parent, &words[count]))
                self.nodes[parent].children -= 1
            at.parent = self.nodes_free
            self.nodes_free = node
            self.node_count -= 1
            node = parent
        if self.node_count == 1:
            self.release_nodes()
        if self.edges_mask >= EDGES_MIN and self.edge_count * 8 <= self.edges_mask:
            try:
                self.resize_edges((<size_t>self.edges_mask + 1) // 2)
            except MemoryError:
                pass                # it stays large
        return 0

    # ── binding keys ──────────────────────────────────────────────────────────────────────────────────────────────────

    cpdef bint add(self, bytes binding_key, object value) except -1:
        """Put `value` (hashable) under the key. False where the pair is there already."""
        cdef trie_word_t words[TOPIC_WORDS_MAX]
        cdef const char* key = binding_key
        cdef uint32_t node = 0
        cdef int count, at
        cdef bint new
        hash(value)                 # an unhashable value must fail before anything is changed
        count = split(key, len(binding_key), self.seed, words)
        try:
            for at in range(count):
                node = self.extend(node, &words[at])
            new = self.add_value(node, value)
        except BaseException:       # no memory, or a value's __eq__: leave no branch without a value
            self.prune(node, words, self.depth(node))
            raise
        self.value_count += new
        return new

    cdef int depth(self, uint32_t node) noexcept:
        cdef int depth = 0
        while node != 0:
            node = self.nodes[node].parent
            depth += 1
        return depth

    cdef bint add_value(self, uint32_t node, object value) except -1:
        cdef dict many
        cdef object one
        if self.nodes[node].values == NULL:
            Py_INCREF(value)
            self.nodes[node].values = <PyObject*>value
            return True
        if self.nodes[node].flags & VALUES_MANY:
            many = <dict>self.nodes[node].values
            if value in many:
                return False
            many[value] = None
            return True
        one = <object>self.nodes[node].values
        if one is value or one == value:
            return False
        many = {one: None, value: None}
        Py_INCREF(many)
        self.nodes[node].values = <PyObject*>many
        self.nodes[node].flags |= VALUES_MANY
        Py_DECREF(one)
        return True

    cpdef bint remove(self, bytes binding_key, object value) except -1:
        """Take `value` from under the key. False where the pair is not there."""
        cdef trie_word_t words[TOPIC_WORDS_MAX]
        cdef int count
        cdef const char* key = binding_key
        cdef uint32_t node = self.find(key, len(binding_key), words, &count)
        cdef object held
        if node == NOWHERE or self.nodes[node].values == NULL:
            return False
        held = <object>self.nodes[node].values
        if self.nodes[node].flags & VALUES_MANY:
            if value not in <dict>held:
                return False
            del (<dict>held)[value]
            if <dict>held:
                self.value_count -= 1
                return True
            self.nodes[node].flags &= ~VALUES_MANY
        elif not (held is value or held == value):
            return False
        self.nodes[node].values = NULL
        self.prune(node, words, count)
        self.value_count -= 1
        Py_DECREF(held)
        return True

    # ── matching ──────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int reserve_states(self, size_t count) except -1:
        """Room for what one step may reach from `count` states; `states` keeps its content.

        A state leads to itself, a literal child and a '*' child, and each of those to its chain of '#' nodes.
        """
        cdef uint32_t* grown
        cdef size_t capacity = self.states_capacity
        cdef size_t needed = count * 3 * (1 + <size_t>self.hash_chain_max)
        if needed <= capacity:
            return 0
        while capacity < needed:
            capacity *= 2
        grown = <uint32_t*>PyMem_Realloc(self.states, capacity * sizeof(uint32_t))
        if grown == NULL:
            raise MemoryError
        self.states = grown
        grown = <uint32_t*>PyMem_Realloc(self.following, capacity * sizeof(uint32_t))
        if grown == NULL:
            raise MemoryError
        self.following = grown
        self.states_capacity = capacity
        return 0

    cdef size_t enter(self, uint32_t* states, size_t count, uint32_t node) noexcept nogil:
        """Adds a node, and what '#' reaches from it with no word at all."""
        states[count] = node
        count += 1
        node = self.nodes[node].hash
        while node != 0 and self.nodes[node].mark != self.mark:
            self.nodes[node].mark = self.mark
            states[count] = node
            count += 1
            node = self.nodes[node].hash
        return count

    cdef size_t step(self, size_t count, trie_word_t* word, bint wildcards) noexcept nogil:
        """Fills `following` with what one more word leads to. `wildcards` False: they do not match this word."""
        cdef size_t at
        cdef size_t reached = 0
        cdef uint32_t state, child
        cdef trie_node_t* node
        for at in range(count):
            state = self.states[at]
            node = &self.nodes[state]
            # '#' takes the word and stays, unless its parent was reached in this step and brought it along.
            if node.flags & HASH_NODE and node.mark != self.mark:
                node.mark = self.mark
                reached = self.enter(self.following, reached, state)
            if node.children != 0:
                child = self.child_of(state, word)
                if child != 0:
                    reached = self.enter(self.following, reached, child)
            if node.star != 0 and wildcards:
                reached = self.enter(self.following, reached, node.star)
        return reached

    cdef int match(self, const char* key, size_t size, list found) except -1:
        cdef const char* at = key
        cdef trie_word_t word
        cdef size_t place
        cdef size_t count = 1
        cdef int words = 0
        cdef bint more = size > 0
        cdef bint wildcards = not (self.dollar_root and size > 0 and key[0] == c'$')    # [MQTT-4.7.2-1]
        if self.mark > 0xFFFFFFFF - TOPIC_WORDS_MAX - 2:
            self.forget_marks()
        self.mark += 1
        self.reserve_states(1)
        self.states[0] = 0
        if wildcards:
            count = self.enter(self.states, 0, 0)
        while more and count > 0:
            if words == TOPIC_WORDS_MAX:
                raise LimitExceeded(f"a topic has more than {TOPIC_WORDS_MAX} words")
            more = next_word(&at, key + size, self.seed, &word)
            self.mark += 1
            self.reserve_states(count)
            count = self.step(count, &word, wildcards or words > 0)
            self.states, self.following = self.following, self.states
            words += 1
        for place in range(count):
            if self.nodes[self.states[place]].values != NULL:
                self.collect(&self.nodes[self.states[place]], found)
        return 0

    cdef int collect(self, trie_node_t* node, list found) except -1:
        cdef Py_ssize_t position = 0
        cdef PyObject* value
        if not node.flags & VALUES_MANY:
            PyList_Append(found, <object>node.values)
            return 0
        while PyDict_Next(<dict>node.values, &position, &value, NULL):
            PyList_Append(found, <object>value)
        return 0

    cdef void forget_marks(self) noexcept nogil:
        """Once in four billion steps: the marks begin again."""
        cdef size_t node
        for node in range(self.nodes_used):
            self.nodes[node].mark = 0
        self.mark = 0

    cpdef bint has_first_word(self, bytes first_word):
        cdef trie_word_t word
        word.start = first_word
        word.size = <uint32_t>len(first_word)
        word.hash = word_hash(self.seed, word.start, word.size)
        return self.child_of(0, &word) != 0

    cpdef list matches(self, bytes routing_key):
        """The values of all binding keys that match, once per (key, value)."""
        cdef list found = []
        cdef const char* key = routing_key
        self.match(key, len(routing_key), found)
        return found
