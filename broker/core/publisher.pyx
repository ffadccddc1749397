"""Waiting for acceptance: see publisher.pxd."""

from libc.stdlib cimport free, malloc

from broker.core.target cimport REFUSED, STORED
from storage.interface cimport Waiter


cdef class Publisher(Waiter):
    """Numbers publications and tells its peer when the store has them."""

    def __dealloc__(self):
        free(self.awaited)

    cdef bint count_published(self, int outcome) except -1:
        cdef awaited_t* last
        self.published += 1
        if outcome & REFUSED:
            self.tell_accepted()
            self.refused(self.published, self.published)
            if self.awaited_count == 0:
                self.accepted_up_to = self.published
            return False
        if outcome & STORED:
            last = last_awaited(self)
            if last == NULL or last.batch != self.store.open_batch:
                last = await_batch(self, self.store.open_batch)
                self.store.wait(self)
            last.last = self.published
            return False
        if self.awaited_count:
            last_awaited(self).last = self.published        # in order: after those before it
            return False
        self.untold = self.published
        return True

    cdef int tell_accepted(self) except -1:
        cdef uint64_t number = self.untold
        if number:
            self.untold = 0
            self.accepted(number)
            self.accepted_up_to = number
        return 0

    cdef void on_committed(self, uint64_t batch) noexcept:
        cdef uint64_t number = 0
        cdef awaited_t* first
        while self.awaited_count:
            first = &self.awaited[self.awaited_head]
            if first.batch > batch:
                break
            number = first.last
            self.awaited_head = (self.awaited_head + 1) & (self.awaited_capacity - 1)
            self.awaited_count -= 1
        if number:
            self.tell_committed(number)

    cdef void on_refused(self, uint64_t batch) noexcept:
        cdef awaited_t* last = last_awaited(self)
        cdef uint64_t number = last.last if last != NULL else 0
        self.forget_awaited()
        if number:
            self.tell_refused(number)

    def tell_committed(self, uint64_t number):
        """Tells the peer that everything up to `number` is on disk."""
        self.accepted(number)
        self.accepted_up_to = number

    def tell_refused(self, uint64_t number):
        """Tells the peer that what it waits for will never be on disk."""
        self.refused(self.accepted_up_to + 1, number)
        self.accepted_up_to = number

    cdef int accepted(self, uint64_t number) except -1:
        raise NotImplementedError

    cdef int refused(self, uint64_t first, uint64_t last) except -1:
        raise NotImplementedError

    cdef void forget_awaited(self) noexcept:
        self.awaited_head = self.awaited_count = 0
        self.untold = 0


cdef awaited_t* await_batch(Publisher publisher, uint64_t batch) except NULL:
    """A new place for a batch. At most two are in flight, but a full disk may let them wait for long."""
    cdef uint32_t capacity, index
    cdef awaited_t* awaited
    cdef awaited_t* place
    if publisher.awaited_count == publisher.awaited_capacity:
        capacity = publisher.awaited_capacity * 2 if publisher.awaited_capacity else 4
        awaited = <awaited_t*>malloc(capacity * sizeof(awaited_t))
        if awaited == NULL:
            raise MemoryError
        for index in range(publisher.awaited_count):
            awaited[index] = publisher.awaited[(publisher.awaited_head + index) & (publisher.awaited_capacity - 1)]
        free(publisher.awaited)
        publisher.awaited = awaited
        publisher.awaited_capacity = capacity
        publisher.awaited_head = 0
    place = &publisher.awaited[(publisher.awaited_head + publisher.awaited_count) & (publisher.awaited_capacity - 1)]
    place.batch = batch
    place.last = 0
    publisher.awaited_count += 1
    return place
