# cython: annotation_typing=False
"""Time, injected. The core never asks the operating system what time it is.

Owns the timers of the core: one heap, however many connections and queues there are. Whoever drives the clock (the
edge's loop, or a test by hand) calls `advance`. Refuses to know asyncio and the wall clock.

Invariants: `now_ms` never goes back; a timer fires once, not before its time, and never after `cancel`.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable

log = logging.getLogger("hubbub.clock")


class Timer:
    """One call in the future. `due_ms`: milliseconds since 1970."""

    def __init__(self, clock: Clock, due_ms: int, callback: Callable[[], object]) -> None:
        self.clock = clock
        self.due_ms = due_ms
        self.callback: Callable[[], object] | None = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never fire. Harmless after the timer has fired."""
        if self.callback is not None:
            self.cancelled = True
            self.callback = None
            self.clock.forget()


class Clock:
    """The time, and what is to happen at a time."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.earlier: Callable[[int], object] | None = None
        self.heap: list[tuple[int, int, Timer]] = []
        self.count = 0
        self.cancelled_count = 0

    @property
    def pending_count(self) -> int:
        """How many timers are kept, those cancelled lately included."""
        return len(self.heap)

    def call_at(self, due_ms: int, callback: Callable[[], object]) -> Timer:
        """Call `callback()` at `due_ms`, or at the next advance if that has passed."""
        timer = Timer(self, due_ms, callback)
        self.count += 1
        heapq.heappush(self.heap, (due_ms, self.count, timer))
        if self.earlier is not None and self.heap[0][2] is timer:
            self.earlier(due_ms)
        return timer

    def advance(self, now_ms: int) -> int:
        """Move the time to `now_ms` and fire what is due; returns when the next timer is due, 0 if there is none.

        An exception in a callback is logged and does not keep the others from firing.
        """
        self.now_ms = max(self.now_ms, now_ms)
        # A timer set by a callback for a time that has passed waits for the next advance: no endless loop here.
        last = self.count
        kept: list[tuple[int, int, Timer]] = []
        while self.heap and self.heap[0][0] <= self.now_ms:
            entry = heapq.heappop(self.heap)
            timer = entry[2]
            if timer.cancelled:
                self.cancelled_count -= 1
                continue
            if entry[1] > last:
                kept.append(entry)
                continue
            callback = timer.callback
            timer.callback = None
            try:
                callback()  # type: ignore[misc]  # a timer in the heap that is not cancelled has its callback
            except Exception:
                log.exception("a timer's callback failed")
        for entry in kept:
            heapq.heappush(self.heap, entry)
        while self.heap and self.heap[0][2].cancelled:
            heapq.heappop(self.heap)
            self.cancelled_count -= 1
        return self.heap[0][0] if self.heap else 0

    def forget(self) -> None:
        """Count a cancelled timer, and throw them out once they are more than half of the heap."""
        self.cancelled_count += 1
        if self.cancelled_count > 64 and self.cancelled_count * 2 > len(self.heap):
            self.heap = [entry for entry in self.heap if not entry[2].cancelled]
            heapq.heapify(self.heap)
            self.cancelled_count = 0


class ManualClock(Clock):
    """A clock for tests: time passes only by `pass_ms`."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        super().__init__(now_ms)

    def pass_ms(self, ms: int) -> None:
        """Let `ms` milliseconds pass, firing each timer at its own time."""
        end_ms = self.now_ms + ms
        due_ms = self.advance(self.now_ms)
        while due_ms and due_ms <= end_ms:
            due_ms = self.advance(due_ms)
        self.advance(end_ms)
