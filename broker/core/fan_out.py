# cython: annotation_typing=False
"""How long messages for several targets have kept this turn of the loop (law 3: a turn is bounded).

A read of 256 KiB may hold thousands of small messages, and each may be for thousands of queues: without a limit one
publisher would keep everybody else waiting for seconds. Owns the budget of a turn, and who rests until the next one.
Refuses to know connections: whoever publishes looks at `left` behind each message, and stops reading where it is
below 0.

A message for one target costs nothing here: how many of them there are is bounded by what is read. Invariant: who rests
is called once, in the next turn; so each publisher gets through with at least one message per turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.clock import Clock

STEP = 4096
"""Targets between two looks at the time."""


class FanOut:
    """One per broker."""

    def __init__(self, clock: Clock, ms_per_turn_max: int) -> None:
        """`ms_per_turn_max`: since the turn began. `time_ms` is for whoever has a real clock to set."""
        self.clock = clock
        self.ms_per_turn_max = ms_per_turn_max
        self.left = STEP
        self.rested_count = 0
        self.time_ms: Callable[[], int] = lambda: clock.now_ms
        self.resting: list[Callable[[], object]] = []

    def spend(self, targets: int) -> int:
        """A message is handed to so many."""
        self.left -= targets
        if self.left < 0 and self.time_ms() - self.clock.now_ms < self.ms_per_turn_max:
            self.left = STEP
        return 0

    def rest(self, go_on: Callable[[], object]) -> None:
        """Call `go_on` in the next turn."""
        self.rested_count += 1
        if not self.resting:
            self.clock.call_at(self.clock.now_ms, self.renew)
        self.resting.append(go_on)

    def renew(self) -> None:
        """A turn begins: those who rested read on."""
        self.left = STEP
        resting, self.resting = self.resting, []
        for go_on in resting:
            go_on()
