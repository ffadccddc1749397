"""Taking messages out of a queue by hand, as an operator does: for a look, or for good. Cold."""

from broker.core.entry cimport entry_t
from broker.core.message cimport Message

cdef class Taken:
    cdef readonly Message message
    cdef readonly bint redelivered
    cdef readonly object left           # messages that were ready behind it

cdef class Held:
    cdef entry_t entry
