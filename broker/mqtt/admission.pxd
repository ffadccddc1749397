"""How many clients may connect per second."""

from broker.core.clock cimport Clock


cdef class ConnectRate:
    cdef Clock clock
    cdef readonly long long per_second_max      # 0: no limit
    cdef double room
    cdef long long filled_at_ms
    cdef readonly long long refused

    cpdef use(self, long long per_second_max)
    cpdef bint admit(self) except -1
