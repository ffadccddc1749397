"""How late the event loop is: a slow log of its stalls, and a histogram of its lag.

Owns the beat (a timer that notes how late it comes) and what is said of a turn's part that took too long, which `turn`
tells. Refuses to know what the parts do.

Invariants: a stall is counted once, by the part of the turn in which it was (`reading`, `committing`, `sending`), or as
`elsewhere` (a timer, an HTTP request, the garbage collector, another process on the CPU); of more than one a second the
log has the first, and how many it left out.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
from typing import Any

from broker.net.turn import Turn

log = logging.getLogger("hubbub.stalls")

BEAT_S = 0.1
LOG_INTERVAL_S = 1.0
LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
PARTS = ("reading", "committing", "sending", "elsewhere")


class Stalls:
    """Of one loop, from `start` to `stop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turn: Turn, stall_ms: int) -> None:
        """`stall_ms`: what takes longer is a stall; 0: none is, and only the lag is measured."""
        self.loop = loop
        self.turn = turn
        self.stall_s = stall_ms / 1000
        self.counts = dict.fromkeys(PARTS, 0)
        self.lag_counts = [0] * (len(LAG_BOUNDS_S) + 1)
        self.lag_sum_s = 0.0
        self.longest_s = 0.0
        self.left_out = 0
        self.logged_at_s = -LOG_INTERVAL_S
        self.told_s = 0.0
        self.timer: asyncio.TimerHandle | None = None
        if stall_ms:
            turn.on_stall = self.in_turn
            turn.stall_us = stall_ms * 1000

    def start(self) -> None:
        """The first beat."""
        self.beat_at(self.loop.time() + BEAT_S)

    def stop(self) -> None:
        """No more beats; the turn tells nobody."""
        self.turn.stall_us = 0
        self.turn.on_stall = None
        if self.timer is not None:
            self.timer.cancel()

    def beat_at(self, due_s: float) -> None:
        """`due_s`: of the loop's clock."""
        self.timer = self.loop.call_at(due_s, self.beat, due_s)

    def beat(self, due_s: float) -> None:
        """How late is it?"""
        now_s = self.loop.time()
        self.note_lag(max(0.0, now_s - due_s))
        self.beat_at(now_s + BEAT_S)

    def note_lag(self, late_s: float) -> None:
        """The beat came so late. What the turn has told of meanwhile is told."""
        self.lag_counts[bisect.bisect_left(LAG_BOUNDS_S, late_s)] += 1
        self.lag_sum_s += late_s
        told_s, self.told_s = self.told_s, 0.0
        if self.stall_s and late_s - told_s > self.stall_s:
            self.tell("elsewhere", None, late_s - told_s)

    def in_turn(self, part: str, connection: Any, seconds: float) -> None:
        """A part of a turn took so long; `connection`: whose bytes were read, where it was that."""
        self.told_s += seconds
        self.tell(part, connection, seconds)

    def tell(self, part: str, connection: Any, seconds: float) -> None:
        """Count it, and log it, unless there was one within the last second."""
        self.counts[part] += 1
        self.longest_s = max(self.longest_s, seconds)
        now_s = self.loop.time()
        if now_s - self.logged_at_s < LOG_INTERVAL_S:
            self.left_out += 1
            return
        self.logged_at_s = now_s
        extra: dict[str, Any] = {"part": part, "ms": round(seconds * 1000)}
        if connection is not None:
            extra |= {"connection": connection.number, "peer": connection.peer, "listener": connection.listener}
        if self.left_out:
            extra["left_out"], self.left_out = self.left_out, 0
        log.warning("the event loop stood still", extra=extra)
