"""How long messages for several targets have kept this turn of the loop: see fan_out.py."""

from libc.stdint cimport int64_t, uint64_t

from broker.core.clock cimport Clock


cdef class FanOut:
    cdef readonly int64_t ms_per_turn_max
    cdef readonly int64_t left              # targets until the time is looked at; below 0: publishers should rest
    cdef readonly uint64_t rested_count     # how often one had to
    cdef public object time_ms              # what time it is now, where `clock` has the time of the turn
    cdef Clock clock
    cdef list resting                       # what to call when the next turn comes

    cpdef int spend(self, int64_t targets) except -1
    cpdef rest(self, object go_on)
    cpdef renew(self)
