"""A skip list of journaled operations. Structure, drawing and invariants: `overlay.pxd`."""

from libc.errno cimport ENOMEM
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

cdef enum:
    BLOCK_BYTES = 65536
    WORD = 8


cdef generation_t* generation_new(int half) noexcept nogil:
    cdef generation_t* generation = <generation_t*>calloc(1, sizeof(generation_t))
    if generation != NULL:
        generation.half = half
        generation.random = 2463534242
    return generation


cdef void generation_free(generation_t* generation) noexcept nogil:
    cdef block_t* block
    if generation == NULL:
        return
    while generation.blocks != NULL:
        block = generation.blocks
        generation.blocks = block.next
        free(block)
    free(generation)


cdef char* generation_reserve(generation_t* generation, size_t size) noexcept nogil:
    cdef block_t* block = generation.blocks
    cdef size_t wanted = (size + WORD - 1) & ~<size_t>(WORD - 1)
    cdef char* memory
    if block == NULL or block.capacity - generation.block_used < wanted:
        block = <block_t*>malloc(sizeof(block_t) + max(wanted, <size_t>BLOCK_BYTES))
        if block == NULL:
            return NULL
        block.capacity = max(wanted, <size_t>BLOCK_BYTES)
        block.next = generation.blocks
        generation.blocks = block
        generation.block_used = 0
    memory = <char*>block + sizeof(block_t) + generation.block_used
    generation.block_used += wanted
    return memory


cdef int compare_keys(const char* one, size_t one_size, const char* other, size_t other_size) noexcept nogil:
    cdef int order = memcmp(one, other, min(one_size, other_size))
    if order != 0 or one_size == other_size:
        return order
    return -1 if one_size < other_size else 1


cdef inline int compare(node_t* node, uint8_t database, const char* key, size_t key_size) noexcept nogil:
    if node.database != database:
        return -1 if node.database < database else 1
    return compare_keys(node_key(node), node.key_size, key, key_size)


cdef uint8_t draw_height(generation_t* generation) noexcept nogil:
    """A quarter of the nodes of each level are in the next one."""
    cdef uint32_t random = generation.random
    cdef uint8_t height = 1
    random ^= random << 13
    random ^= random >> 17
    random ^= random << 5
    generation.random = random
    while height < HEIGHT_MAX and random & 3 == 0:
        height += 1
        random >>= 2
    return height


cdef int generation_stage(generation_t* generation, uint8_t database, const char* key, uint16_t key_size,
                          const char* value, size_t value_size) noexcept nogil:
    cdef uint8_t height = draw_height(generation)
    cdef node_t* node = <node_t*>generation_reserve(
        generation, sizeof(node_t) + (<size_t>height - 1) * sizeof(node_t*) + key_size)
    if node == NULL:
        return ENOMEM
    node.following = NULL
    node.value = value
    node.value_size = value_size
    node.key_size = key_size
    node.database = database
    node.height = height
    memcpy(<char*>node_key(node), key, key_size)
    if generation.staged_last == NULL:
        generation.staged_first = node
    else:
        generation.staged_last.following = node
    generation.staged_last = node
    return 0


cdef void generation_unstage(generation_t* generation) noexcept nogil:
    """Forgets what is staged; its memory goes with the generation."""
    generation.staged_first = NULL
    generation.staged_last = NULL


cdef void link(generation_t* generation, node_t* node) noexcept nogil:
    cdef node_t** places[HEIGHT_MAX]
    cdef node_t** levels = generation.heads
    cdef node_t* ahead
    cdef int level = HEIGHT_MAX - 1
    while level >= 0:
        ahead = levels[level]
        while ahead != NULL and compare(ahead, node.database, node_key(node), node.key_size) < 0:
            levels = ahead.next
            ahead = levels[level]
        places[level] = &levels[level]
        level -= 1
    if ahead != NULL and compare(ahead, node.database, node_key(node), node.key_size) == 0:
        if ahead.value != NULL:
            generation.elided_bytes += ahead.value_size
        ahead.value = node.value
        ahead.value_size = node.value_size
        return
    for level in range(node.height):
        node.next[level] = places[level][0]
        places[level][0] = node


cdef void generation_publish(generation_t* generation) noexcept nogil:
    cdef node_t* node = generation.staged_first
    cdef node_t* following
    while node != NULL:
        following = node.following
        link(generation, node)
        node = following
    generation_unstage(generation)


cdef node_t* generation_seek(generation_t* generation, uint8_t database, const char* key,
                             size_t key_size) noexcept nogil:
    cdef node_t** levels = generation.heads
    cdef node_t* ahead = NULL
    cdef int level = HEIGHT_MAX - 1
    while level >= 0:
        ahead = levels[level]
        while ahead != NULL and compare(ahead, database, key, key_size) < 0:
            levels = ahead.next
            ahead = levels[level]
        level -= 1
    return ahead


cdef node_t* generation_find(generation_t* generation, uint8_t database, const char* key,
                             size_t key_size) noexcept nogil:
    cdef node_t* node = generation_seek(generation, database, key, key_size)
    if node == NULL or compare(node, database, key, key_size) != 0:
        return NULL
    return node
