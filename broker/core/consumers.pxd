"""Whose turn it is: the consumers of one queue.

Owns the order in which consumers are served: the highest priority first, and within it by strategy: in turn, the same
one as long as it can, or whom a hash of the message names; or one alone (single active consumer, exclusive). Knows
neither the queue's messages nor what a delivery is.

Invariant: `ordered` is by priority, highest first, and among equals by arrival.
"""

from libc.stddef cimport size_t

from broker.core.target cimport Consumer
from storage.records cimport message_t

cdef enum:
    ROUND_ROBIN = 0
    STICKY = 1                              # the last one served, while it has credit
    HASH_TOPIC = 2                          # the same topic to the same consumer, while it has credit
    HASH_PUBLISHER = 3                      # the same publisher's to the same consumer, likewise


cdef class Consumers:
    cdef readonly list ordered
    cdef readonly size_t count
    cdef size_t cursor                      # whose turn it is within a priority
    cdef int strategy
    cdef readonly bint has_no_local
    cdef readonly bint single_active
    cdef readonly Consumer active           # single active consumer: who it is
    cdef bint active_leaves                 # … it was cancelled, and has not settled all it got

    # Who gets this message; None where nobody has credit, or nobody who has it may get this message.
    cdef Consumer next(self, message_t* message)
    cdef bint any_may_take(self, message_t* message) noexcept   # now; nobody's turn is used up by asking
    cdef bint all_refuse(self, message_t* message) noexcept     # no-local: every consumer is its publisher's own
    cdef int refresh(self) except -1                            # a consumer has settled something
