"""Both ends of the core for whoever is in this process and written in Python: publishing, consuming, settling.

Owns the step from C to Python: what the core tells by calls in C becomes calls of functions that were handed in. Knows
nothing of who uses it (`broker.client`).

Invariants: a delivery is settled once; a function that fails is logged, and neither the queue nor another publisher
notices.
"""

from libc.stdint cimport uint32_t, uint64_t

from broker.core.entry cimport entry_t
from broker.core.publisher cimport Publisher
from broker.core.queue cimport Queue
from broker.core.target cimport Consumer


cdef class LocalPublisher(Publisher):
    cdef readonly uint64_t connection               # what no_local compares
    cdef object on_accepted                         # (number): every number up to it
    cdef object on_refused                          # (first, last)


cdef class LocalConsumer(Consumer):
    cdef readonly Queue queue
    cdef readonly uint32_t credit                   # deliveries that may be unsettled; 0: no limit
    cdef readonly bint held                         # by its user: no deliveries for now
    cdef readonly bint stopped
    cdef object on_delivery                         # (Delivery)
    cdef object on_cancelled                        # ()


cdef class Delivery:
    cdef entry_t entry                              # owned until it is settled
    cdef readonly LocalConsumer consumer
    cdef readonly bint settled
