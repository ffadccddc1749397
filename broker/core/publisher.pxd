"""Whoever publishes and is told "yes" only when the store has it (law 1): an AMQP channel, an MQTT session, a client.

Numbers what is published 1, 2, 3 … and remembers, per batch, the last number that waits for it, so that one commit
costs one call however many messages it carries.
"""

from libc.stdint cimport uint32_t, uint64_t

from storage.interface cimport Contributor, Store, Waiter     # what the dialects may know of the store

ctypedef struct awaited_t:
    uint64_t batch
    uint64_t last                   # every number up to this one is accepted when `batch` is on disk

cdef class Publisher(Waiter):
    cdef Store store
    cdef readonly uint64_t published            # the number given last
    cdef readonly uint64_t accepted_up_to       # … told last
    cdef awaited_t* awaited
    cdef uint32_t awaited_head, awaited_count, awaited_capacity

    # Gives the next number to what was published with `outcome` (target.pxd). True if it is accepted already:
    # then `accepted(accepted_now)` follows when the dialect calls `tell_accepted`, once per read, not per message.
    cdef bint count_published(self, int outcome) except -1
    cdef int tell_accepted(self) except -1
    cdef uint64_t untold                        # accepted, and not yet told; 0: none

    # The dialect tells its peer. Every number up to `number` that was not told before.
    cdef int accepted(self, uint64_t number) except -1
    cdef int refused(self, uint64_t first, uint64_t last) except -1
    cdef void forget_awaited(self) noexcept


cdef inline awaited_t* last_awaited(Publisher publisher) noexcept:
    """The batch that the newest publication waits for; NULL: nothing waits."""
    if publisher.awaited_count == 0:
        return NULL
    return &publisher.awaited[(publisher.awaited_head + publisher.awaited_count - 1) & (publisher.awaited_capacity - 1)]
