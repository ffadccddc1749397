"""Time, injected. The core never asks the operating system what time it is."""

import cython

from libc.stdint cimport int64_t


cdef class Timer:
    cdef readonly int64_t due_ms
    cdef readonly bint cancelled
    cdef object callback
    cdef Clock clock
    cpdef cancel(self)


cdef class Clock:
    cdef public int64_t now_ms                    # milliseconds since 1970, read once per turn of the loop
    cdef public object earlier                    # None, or called with due_ms when a timer is due before all others
    cdef list heap                                # (due_ms, number, Timer)
    cdef int64_t count                            # numbers timers, so that equal times fire in the order they were set
    cdef Py_ssize_t cancelled_count               # cancelled timers that are still in the heap
    cpdef Timer call_at(self, int64_t due_ms, object callback)

    @cython.locals(timer=Timer)
    cpdef int64_t advance(self, int64_t now_ms) except? -1
    cdef forget(self)


cdef class ManualClock(Clock):
    cpdef pass_ms(self, int64_t ms)
