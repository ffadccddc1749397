"""What a channel has delivered and not yet settled: see unacked.pxd."""

from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdlib cimport free, malloc

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.queue cimport COMPLETE, REQUEUE, Queue
from broker.core.target cimport Consumer

cdef enum:
    CAPACITY_MIN = 16
    HOLES_MIN = 1024                # below that many places holes are not worth the walk
    NAMES_MAX = 1000                # queues of which basic.get's returns are counted one by one


cdef class Unacked:
    """The unsettled deliveries of one channel."""

    def __dealloc__(self):
        free(self.places)

    def __len__(self):
        return self.count

    cdef int hold(self, entry_t* entry, Queue queue, Consumer consumer, uint64_t tag) except -1:
        cdef unacked_t* place
        if self.used == self.capacity:
            resize(self)
        place = place_at(self, self.used)
        place.entry = entry[0]
        place.tag = tag
        place.queue = <PyObject*>queue
        Py_INCREF(queue)
        place.consumer = NULL
        if consumer is not None:
            place.consumer = <PyObject*>consumer
            Py_INCREF(consumer)
            consumer.unacked += 1
            self.delivered += 1
        self.used += 1
        self.count += 1
        return 0

    @property
    def first_unsettled(self) -> int:
        """The tag of the oldest delivery; 0: there is none."""
        return self.first_tag()

    def gets(self):
        """What basic.get gave, by queue: how much of it is unsettled, and how much came back or was rejected."""
        cdef dict outstanding = {}
        cdef unacked_t* place
        cdef size_t index
        if self.count > self.delivered:
            for index in range(self.used):
                place = place_at(self, index)
                if place.queue != NULL and place.consumer == NULL:
                    name = (<Queue>place.queue).name
                    outstanding[name] = outstanding.get(name, 0) + 1
        return outstanding, self.gets_returned or {}

    def oldest_by_queue(self, uint64_t tag):
        """Of what was delivered up to `tag`: each queue with its oldest delivery's tag."""
        cdef dict found = {}
        cdef PyObject* last = NULL
        cdef unacked_t* place
        cdef size_t index
        for index in range(self.used):
            place = place_at(self, index)
            if place.tag > tag:
                break
            if place.queue != NULL and place.queue != last:
                last = place.queue
                found.setdefault(<object>last, place.tag)
        return found

    cdef Queue settle(self, uint64_t tag, int outcome):
        cdef unacked_t* place = find(self, tag)
        cdef Queue queue
        cdef entry_t entry
        if place == NULL:
            return None
        queue = <Queue>place.queue
        if outcome != COMPLETE:
            count_returned(self, place)
        take(self, place, &entry)
        queue.settle(&entry, outcome)
        return queue

    cdef dict settle_up_to(self, uint64_t tag, int outcome):
        cdef dict queues = {}
        cdef Queue queue, last = None
        cdef unacked_t* place
        cdef entry_t entry
        if outcome == REQUEUE:
            return requeue_up_to(self, tag)
        while self.count:
            place = place_at(self, 0)
            if place.tag > tag:
                break
            queue = <Queue>place.queue
            if queue is not last:
                queues[queue] = None
                last = queue
            if outcome != COMPLETE:
                count_returned(self, place)
            take(self, place, &entry)
            queue.settle(&entry, outcome)
        return queues

    cdef int redeliver(self, uint64_t tag, dict consumers) except -1:
        cdef PyObject* queue
        cdef PyObject* consumer
        cdef entry_t entry
        while self.count and self.first_tag() <= tag:
            count_returned(self, place_at(self, 0))
            entry = self.take_first(&queue, &consumer)
            entry.flags |= ENTRY_REDELIVERED
            if consumer == NULL or consumers.get((<Consumer>consumer).tag) is not <object>consumer:
                (<Queue>queue).settle(&entry, REQUEUE)
                (<Queue>queue).wake()
            else:
                (<Queue>queue).ledger.redelivered += 1
                (<Queue>queue).ledger.delivered += 1
                (<Consumer>consumer).deliver(&entry)
            Py_XDECREF(queue)
            Py_XDECREF(consumer)
        return 0

    def tags(self) -> list:
        """Every delivery tag that is here, in order."""
        return [place_at(self, index).tag for index in range(self.used) if place_at(self, index).queue != NULL]

    cdef uint64_t first_tag(self) noexcept:
        return place_at(self, 0).tag if self.count else 0

    cdef bint has(self, uint64_t tag) noexcept:
        return find(self, tag) != NULL

    cdef entry_t take_first(self, PyObject** queue, PyObject** consumer) except *:
        """`queue` and `consumer` become the caller's references; `consumer` may be NULL."""
        cdef unacked_t* place = place_at(self, 0)
        cdef entry_t entry
        queue[0] = place.queue
        consumer[0] = place.consumer
        Py_INCREF(<object>place.queue)
        if place.consumer != NULL:
            Py_INCREF(<object>place.consumer)
        take(self, place, &entry)
        return entry


cdef int count_returned(Unacked unacked, unacked_t* place) except -1:
    """It is given back, or rejected: no acknowledgement."""
    if place.consumer != NULL:
        (<Consumer>place.consumer).returned += 1
        return 0
    name = (<Queue>place.queue).name
    if unacked.gets_returned is None:
        unacked.gets_returned = {}
    if name in unacked.gets_returned or len(unacked.gets_returned) < NAMES_MAX:
        unacked.gets_returned[name] = unacked.gets_returned.get(name, 0) + 1
    return 0


cdef inline unacked_t* place_at(Unacked unacked, size_t index) noexcept:
    return &unacked.places[(unacked.head + index) & (unacked.capacity - 1)]


cdef unacked_t* find(Unacked unacked, uint64_t tag) noexcept:
    cdef size_t low = 0, high = unacked.used, middle
    cdef unacked_t* place
    if unacked.used == 0 or tag < place_at(unacked, 0).tag:
        return NULL
    middle = tag - place_at(unacked, 0).tag
    if middle < unacked.used:
        place = place_at(unacked, middle)
        if place.tag == tag:
            return place if place.queue != NULL else NULL
    while low < high:
        middle = (low + high) >> 1
        if place_at(unacked, middle).tag < tag:
            low = middle + 1
        else:
            high = middle
    if low < unacked.used:
        place = place_at(unacked, low)
        if place.tag == tag and place.queue != NULL:
            return place
    return NULL


cdef void take(Unacked unacked, unacked_t* place, entry_t* entry) noexcept:
    """Makes a hole of a place. The caller has its own reference to the queue."""
    cdef PyObject* queue = place.queue
    cdef PyObject* consumer = place.consumer
    entry[0] = place.entry
    if consumer != NULL:
        (<Consumer>consumer).unacked -= 1
        unacked.delivered -= 1
    place.queue = NULL
    place.consumer = NULL
    unacked.count -= 1
    if unacked.count == 0:
        unacked.head = unacked.used = 0
    else:
        while unacked.places[unacked.head].queue == NULL:
            unacked.head = (unacked.head + 1) & (unacked.capacity - 1)
            unacked.used -= 1
    Py_XDECREF(consumer)
    Py_XDECREF(queue)


cdef dict requeue_up_to(Unacked unacked, uint64_t tag):
    """Newest first: then each goes back to the very front of its queue.

    A message that came back too often is dead-lettered, perhaps to a consumer of this very channel: then `hold` moves
    the places while we walk them. So each is looked up by its tag.
    """
    cdef dict queues = {}
    cdef unacked_t* place = last_up_to(unacked, tag)
    cdef Queue queue
    cdef entry_t entry
    while place != NULL:
        tag = place.tag
        queue = <Queue>place.queue
        queues[queue] = None
        count_returned(unacked, place)
        take(unacked, place, &entry)
        queue.settle(&entry, REQUEUE)
        place = last_up_to(unacked, tag - 1)
    return queues


cdef unacked_t* last_up_to(Unacked unacked, uint64_t tag) noexcept:
    """The newest delivery whose tag is not above `tag`; NULL where there is none."""
    cdef size_t low = 0, high = unacked.used, middle
    while low < high:
        middle = (low + high) >> 1
        if place_at(unacked, middle).tag <= tag:
            low = middle + 1
        else:
            high = middle
    while low > 0:
        low -= 1
        if place_at(unacked, low).queue != NULL:
            return place_at(unacked, low)
    return NULL


cdef int resize(Unacked unacked) except -1:
    """Makes room: without its holes the ring may be half empty; else it doubles."""
    cdef size_t capacity = unacked.capacity, index, kept = 0
    cdef unacked_t* places
    if capacity == 0:
        capacity = CAPACITY_MIN
    elif unacked.used < HOLES_MIN or unacked.count * 2 > unacked.used:
        capacity *= 2
    places = <unacked_t*>malloc(capacity * sizeof(unacked_t))
    if places == NULL:
        raise MemoryError
    for index in range(unacked.used):
        if place_at(unacked, index).queue != NULL:
            places[kept] = place_at(unacked, index)[0]
            kept += 1
    free(unacked.places)
    unacked.places = places
    unacked.capacity = capacity
    unacked.head = 0
    unacked.used = kept
    return 0
