"""A hash table of segments by number, and their bitmaps' memory. The layout is in `segment_table.pxd`.

Segment numbers are dense and grow, so the low bits of a multiplied number spread them; a removal closes its gap
(backward shift), so there are no tombstones and a long life does not slow the table down.
"""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset


cdef inline size_t home_place(segment_table_t* table, uint64_t number) noexcept nogil:
    return <size_t>((number * <uint64_t>0x9E3779B97F4A7C15) >> 20) & (table.capacity - 1)


cdef segment_t* table_find(segment_table_t* table, uint64_t number) noexcept nogil:
    cdef size_t place
    cdef segment_t* segment
    if table.count == 0:
        return NULL
    place = home_place(table, number)
    while True:
        segment = table.places[place]
        if segment == NULL or segment.number == number:
            return segment
        place = (place + 1) & (table.capacity - 1)


cdef void seat(segment_table_t* table, segment_t* segment) noexcept nogil:
    cdef size_t place = home_place(table, segment.number)
    while table.places[place] != NULL:
        place = (place + 1) & (table.capacity - 1)
    table.places[place] = segment


cdef int table_grow(segment_table_t* table) noexcept nogil:
    cdef segment_t** old = table.places
    cdef size_t old_capacity = table.capacity, place
    cdef size_t capacity = old_capacity * 2 if old_capacity else 64
    cdef segment_t** places = <segment_t**>calloc(capacity, sizeof(segment_t*))
    if places == NULL:
        return -1
    table.places = places
    table.capacity = capacity
    for place in range(old_capacity):
        if old[place] != NULL:
            seat(table, old[place])
    free(old)
    return 0


cdef segment_t* table_add(segment_table_t* table, uint64_t number) noexcept nogil:
    cdef segment_t* segment
    if (table.count + 1) * 2 > table.capacity and table_grow(table) != 0:
        return NULL
    segment = <segment_t*>calloc(1, sizeof(segment_t))
    if segment == NULL:
        return NULL
    segment.number = number
    seat(table, segment)
    table.count += 1
    return segment


cdef void table_remove(segment_table_t* table, segment_t* segment) noexcept nogil:
    cdef size_t place = home_place(table, segment.number), empty, mask = table.capacity - 1, wanted
    while table.places[place] != segment:
        place = (place + 1) & mask
    table.count -= 1
    empty = place
    while True:
        place = (place + 1) & mask
        if table.places[place] == NULL:
            break
        wanted = home_place(table, table.places[place].number)
        # it may move into the gap unless it sits between its home and the gap already
        if ((place - wanted) & mask) >= ((place - empty) & mask):
            table.places[empty] = table.places[place]
            empty = place
    table.places[empty] = NULL


cdef void segment_free(segment_t* segment) noexcept nogil:
    free(segment.settled)
    free(segment)


cdef void table_clear(segment_table_t* table) noexcept nogil:
    cdef size_t place
    for place in range(table.capacity):
        if table.places[place] != NULL:
            segment_free(table.places[place])
    free(table.places)
    table.places = NULL
    table.capacity = 0
    table.count = 0


cdef int segment_reserve_bits(segment_t* segment, uint32_t slot) noexcept nogil:
    """Makes the bitmap long enough for `slot`; new bits are 0."""
    cdef uint32_t size = segment.settled_size * 2 if segment.settled_size else 64
    cdef uint8_t* settled
    while size <= slot >> 3:
        size *= 2
    settled = <uint8_t*>realloc(segment.settled, size)
    if settled == NULL:
        return -1
    memset(settled + segment.settled_size, 0, size - segment.settled_size)
    segment.settled = settled
    segment.settled_size = size
    return 0
