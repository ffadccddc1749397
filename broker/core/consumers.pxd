"""Whose turn it is: the consumers of one queue.

Owns the order in which consumers are served: the highest priority first, round-robin within it; or one alone (single
active consumer, exclusive). Knows neither the queue's messages nor what a delivery is.

Invariant: `ordered` is by priority, highest first, and among equals by arrival.
"""

from libc.stddef cimport size_t

from broker.core.target cimport Consumer
from storage.records cimport message_t

cdef class Consumers:
    cdef readonly list ordered
    cdef readonly size_t count
    cdef size_t cursor                      # whose turn it is within a priority
    cdef readonly bint has_no_local
    cdef readonly bint single_active
    cdef readonly Consumer active           # single active consumer: who it is
    cdef bint active_leaves                 # … it was cancelled, and has not settled all it got

    # Who gets this message; None where nobody has credit, or nobody who has it may get this message.
    cdef Consumer next(self, message_t* message)
    cdef bint all_refuse(self, message_t* message) noexcept     # no-local: every consumer is its publisher's own
    cdef int refresh(self) except -1                            # a consumer has settled something
