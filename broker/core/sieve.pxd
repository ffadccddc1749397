"""Which of the things that happen to messages a listener wants to hear of, decided before any object is made.

    exchange, queue ──▶ Sieves.lets(event, message, …) ──False──▶ on, as if nobody watched
                                                       ──True───▶ watch.Watch: an event, told to the listeners

Owns what can be told in C of a message and of where it is: exchange, queue, binding key, who publishes or gets it, a
sampled trace context. Refuses to know what listeners do. A sieve may let too much through, since who listens looks
again; it never holds back what its listener wants.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from storage.records cimport message_t

cdef enum:                              # what happens, as bits; `watch.py` has the words
    PUBLISHED = 1
    ENQUEUED = 2
    DELIVERED = 4
    REQUEUED = 8
    LEFT = 16
    TURNED_AWAY = 32
    EVERYTHING = 63


cdef class Sieve:
    cdef readonly uint32_t events       # others never pass

    # `queue`: where it is, or None; `targets`: of PUBLISHED, what it is routed to; `taker`: of DELIVERED, who gets it.
    cdef bint passes(self, uint32_t event, message_t* message, bytes queue, list targets, object taker) except -1


cdef class Sieves:
    cdef readonly list sieves           # one for each listener
    cdef uint32_t events                # those of all of them
    cdef public dict positions          # marks of messages that may be on disk, by (store id of the queue, position)

    # `position`: in that queue, 0 where it has none.
    cdef bint lets(self, uint32_t event, message_t* message, bytes queue, uint32_t store_id, uint64_t position,
                   list targets, object taker) except -1
