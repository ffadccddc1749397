"""What publishers have begun to send and no queue has yet: memory that the budget counts (law 3)."""

from libc.stdint cimport uint64_t


cdef class Intake:
    cdef public uint64_t bytes              # memory of bodies that are not whole, and of what transactions hold back
    cdef readonly set holders               # connections that something of it belongs to
    cdef public bint must_flow              # only if it goes on can memory become free again: see memory_alarm
    cdef public uint64_t refused_count      # bodies and transactions above what one connection may have begun
    cdef public uint64_t stalled_count      # connections cut off because theirs did not go on
