"""What an exchange routes to, and what a queue delivers to. The two ends of routing, without either's insides."""

from libc.stdint cimport uint32_t, uint64_t

from broker.core.entry cimport entry_t
from storage.records cimport message_t

cdef enum:
    ROUTED = 1                      # somebody took it
    STORED = 2                      # somebody will have it only when the open batch is on disk: confirm then
    REFUSED = 4                     # somebody refused it (overflow): a publisher who asked gets a nack


cdef class Target:
    """Takes a message that a binding selected. A queue, or a subscriber without one."""
    # Takes its own reference if it keeps the message. Returns ROUTED, STORED, REFUSED or'ed.
    cdef int accept(self, message_t* message) except -1


cdef class Consumer:
    """Receives messages of one queue as its credit allows. Dialects subclass it."""
    cdef readonly str tag
    cdef readonly int priority
    cdef readonly bint no_ack
    cdef readonly bint exclusive
    cdef readonly bint no_local
    cdef readonly bint is_active            # single active consumer: the one that is served
    cdef readonly uint64_t publisher        # number of its connection: what no_local compares
    cdef readonly uint32_t unacked          # messages delivered and not settled
    cdef readonly uint64_t delivered        # … ever; where the dialect counts them
    cdef readonly uint64_t redelivered      # … of these, for the second time or more
    cdef readonly uint64_t returned         # … and of these given back or rejected
    cdef readonly dict arguments

    cdef bint has_credit(self) noexcept
    # Sends the message. Where the consumer acknowledges, it takes over the entry and later gives it to `Queue.settle`.
    cdef int deliver(self, entry_t* entry) except -1
    # The queue is gone or gives the consumer up: tell the peer, return nothing to the queue.
    cpdef cancelled_by_queue(self)
