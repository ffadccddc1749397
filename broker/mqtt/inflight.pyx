"""What a session has sent and not yet heard the end of: see inflight.pxd."""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport free, malloc

from broker.core.message cimport message_unref
from broker.core.queue cimport REQUEUE

cdef enum:
    CAPACITY_MIN = 8
    LOW_IDS = 32767                 # 1 … 32767 follow each other
    HIGH_IDS = 32768                # … and 32768 … 65535
    GAP_MAX = 1024                  # identifiers left out that are filled with holes


cdef class Inflight:
    """By packet identifier."""

    def __dealloc__(self):
        cdef size_t index
        cdef place_t* place
        for index in range(self.used):
            place = place_at(self, index)
            if place.queue != NULL:
                message_unref(place.entry.message)
                Py_DECREF(<object>place.queue)
        free(self.places)

    cdef int hold(self, entry_t* entry, Queue queue, uint16_t packet_id, uint8_t state) except -1:
        cdef place_t* place
        if self.used:
            fill_gap(self, distance(place_at(self, self.used - 1).packet_id, packet_id))
        else:
            self.has_gaps = False
        if self.used == self.capacity:
            grow(self)
        place = place_at(self, self.used)
        place.queue = NULL
        if entry != NULL:
            place.entry = entry[0]
            Py_INCREF(queue)
            place.queue = <PyObject*>queue
        place.packet_id = packet_id
        place.state = state
        self.used += 1
        self.count += 1
        return 0

    cdef place_t* find(self, uint16_t packet_id) noexcept:
        cdef place_t* place
        cdef size_t index
        if self.count == 0:
            return NULL
        index = distance(self.places[self.head].packet_id, packet_id)
        if index < self.used:
            place = place_at(self, index)
            if place.packet_id == packet_id and place.state != HOLE:
                return place
        if not self.has_gaps:
            return NULL
        for index in range(self.used):
            place = place_at(self, index)
            if place.packet_id == packet_id and place.state != HOLE:
                return place
        return NULL

    cdef int settle(self, place_t* place, int outcome) except -1:
        cdef PyObject* queue = place.queue
        place.queue = NULL
        try:
            return (<Queue>queue).settle(&place.entry, outcome)
        finally:
            Py_DECREF(<object>queue)

    cdef void remove(self, place_t* place) noexcept:
        place.state = HOLE
        self.count -= 1
        while self.used and self.places[self.head].state == HOLE:
            self.head = (self.head + 1) & (self.capacity - 1)
            self.used -= 1

    cdef list released(self):
        cdef size_t index
        return [place_at(self, index).packet_id for index in range(self.used)
                if place_at(self, index).state == RELEASED]

    cdef list give_back(self):
        cdef list released = []
        cdef size_t index
        cdef place_t* place
        cdef place_t* places = self.places
        cdef size_t head = self.head, used = self.used, capacity = self.capacity
        # The ring is empty before anything is given back: what that leads to must not find it half done.
        self.places = NULL
        self.capacity = self.head = self.used = self.count = 0
        for index in range(used):
            place = &places[(head + index) & (capacity - 1)]
            if place.state == RELEASED:
                released.append(place.packet_id)
            elif place.state != HOLE:
                self.settle(place, REQUEUE)
        free(places)
        return released


cdef inline place_t* place_at(Inflight inflight, size_t index) noexcept:
    return &inflight.places[(inflight.head + index) & (inflight.capacity - 1)]


cdef inline size_t distance(uint16_t first, uint16_t packet_id) noexcept:
    """How many identifiers further on."""
    if first >= HIGH_IDS:
        return (<size_t>packet_id + HIGH_IDS - first) % HIGH_IDS
    return (<size_t>packet_id + LOW_IDS - first) % LOW_IDS


cdef int fill_gap(Inflight inflight, size_t steps) except -1:
    """A message that expired had an identifier, too: holes keep the others where their distance says."""
    cdef place_t* place
    cdef uint16_t packet_id
    if steps == 0 or steps > GAP_MAX:
        inflight.has_gaps = True
        return 0
    while steps > 1:
        packet_id = place_at(inflight, inflight.used - 1).packet_id
        if inflight.used == inflight.capacity:
            grow(inflight)
        place = place_at(inflight, inflight.used)
        place.packet_id = <uint16_t>(packet_id + 1)
        if packet_id == LOW_IDS:
            place.packet_id = 1
        elif packet_id == 65535:
            place.packet_id = HIGH_IDS
        place.queue = NULL
        place.state = HOLE
        inflight.used += 1
        steps -= 1
    return 0


cdef int grow(Inflight inflight) except -1:
    cdef size_t capacity = inflight.capacity * 2 if inflight.capacity else CAPACITY_MIN
    cdef place_t* places = <place_t*>malloc(capacity * sizeof(place_t))
    cdef size_t index
    if places == NULL:
        raise MemoryError
    for index in range(inflight.used):
        places[index] = place_at(inflight, index)[0]
    free(inflight.places)
    inflight.places = places
    inflight.capacity = capacity
    inflight.head = 0
    return 0
