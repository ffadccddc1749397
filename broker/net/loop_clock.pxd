"""The operating system's time, and the one timer of the event loop that drives a clock."""

from libc.stdint cimport int64_t


cdef class LoopClock:
    cdef object loop
    cdef object advance                                 # moves the clock; returns when it wants to be moved again, or 0
    cdef object wake                                    # what timers do is to be committed and sent
    cdef object timer                                   # the loop's, or None
    cdef int64_t timer_due_ms
    cdef int64_t offset_ms                              # between the steady clock and 1970
    cdef int64_t corrected_ms                           # steady time when the offset was last compared
    cdef int64_t last_ms
    cdef int64_t read_ms(self) noexcept
