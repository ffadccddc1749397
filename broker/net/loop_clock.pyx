"""The operating system's time, and the one timer of the event loop that drives a clock.

Owns reading the time: steady, near the wall clock, never going back. A wall clock that is set by hand or jumps after
a leap must neither expire a million messages nor close every connection for want of heartbeats; so the time
follows the wall clock by at most half a second a minute. Refuses to know what the timers are for.
"""

from libc.stdint cimport int64_t

cdef extern from "<time.h>" nogil:
    ctypedef int clockid_t
    struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        CLOCK_REALTIME
    int clock_gettime(clockid_t clock, timespec* time)

cdef extern from *:
    """
    /* The steady clock that goes on while the machine sleeps, where there is one. */
    #ifdef CLOCK_BOOTTIME
    #define HUBBUB_STEADY CLOCK_BOOTTIME
    #else
    #define HUBBUB_STEADY CLOCK_MONOTONIC
    #endif
    """
    int HUBBUB_STEADY

cdef int64_t CORRECTION_INTERVAL_MS = 60_000
cdef int64_t CORRECTION_MAX_MS = 500


cdef int64_t clock_ms(clockid_t clock) noexcept:
    cdef timespec time
    clock_gettime(clock, &time)
    return <int64_t>time.tv_sec * 1000 + time.tv_nsec // 1_000_000


cdef class LoopClock:
    """Drives `advance(now_ms) -> due_ms`: calls it when the earliest timer is due, and then `wake()`."""

    def __cinit__(self, loop, advance, wake):
        self.loop = loop
        self.advance = advance
        self.wake = wake
        self.corrected_ms = clock_ms(HUBBUB_STEADY)
        self.offset_ms = clock_ms(CLOCK_REALTIME) - self.corrected_ms

    cdef int64_t read_ms(self) noexcept:
        cdef int64_t steady_ms = clock_ms(HUBBUB_STEADY)
        cdef int64_t error_ms
        if steady_ms - self.corrected_ms >= CORRECTION_INTERVAL_MS:
            error_ms = clock_ms(CLOCK_REALTIME) - steady_ms - self.offset_ms
            self.offset_ms += min(max(error_ms, -CORRECTION_MAX_MS), CORRECTION_MAX_MS)
            self.corrected_ms = steady_ms
        self.last_ms = max(self.last_ms, steady_ms + self.offset_ms)
        return self.last_ms

    def time_ms(self):
        """Milliseconds since 1970."""
        return self.read_ms()

    def earlier(self, int64_t due_ms):
        """A timer is due at `due_ms`, before all that were known."""
        if self.timer is not None:
            if self.timer_due_ms <= due_ms:
                return
            self.timer.cancel()
        self.timer_due_ms = due_ms
        self.timer = self.loop.call_later(max(due_ms - self.read_ms(), 0) / 1000.0, self.fire)

    def fire(self):
        """Move the clock, and set the loop's timer anew."""
        cdef int64_t due_ms
        self.timer = None
        due_ms = self.advance(self.read_ms())
        if due_ms:
            self.earlier(due_ms)
        self.wake()

    def stop(self):
        """Fire no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
