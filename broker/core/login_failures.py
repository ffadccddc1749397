"""How often logins failed, and how long the next has to wait.

Owns counting by user and peer, and the waits. Refuses to know passwords and protocols.

Invariant: what is remembered is bounded; the oldest is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

FAILURES_MAX = 10_000
ANY_NAME = "\0"
FAILURES_FREE = 5
FAILURES_FREE_PEER = 50
WAIT_MS_FIRST = 1_000
WAIT_MS_MAX = 60_000


class Clock(Protocol):
    """What is needed of core.clock.Clock."""

    now_ms: int


class Failures:
    """How often logins failed, by user and peer. Forgets the oldest when there are too many."""

    def __init__(self, clock: Clock) -> None:
        """`clock`: now_ms."""
        self.clock = clock
        self.by_pair: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def wait_ms(self, name: str, peer: str) -> int:
        """How long until this user may try again from there; 0: now."""
        _, until_ms = self.by_pair.get((name, peer), (0, 0))
        _, peer_until_ms = self.by_pair.get((ANY_NAME, peer), (0, 0))
        return max(0, until_ms - self.clock.now_ms, peer_until_ms - self.clock.now_ms)

    def count(self, name: str, peer: str) -> None:
        """One more. The first few are free, then the wait doubles each time."""
        for pair, free in (((name, peer), FAILURES_FREE), ((ANY_NAME, peer), FAILURES_FREE_PEER)):
            failed = self.by_pair.pop(pair, (0, 0))[0] + 1
            wait_ms = min(WAIT_MS_MAX, WAIT_MS_FIRST << min(failed - free, 20)) if failed >= free else 0
            self.by_pair[pair] = (failed, self.clock.now_ms + wait_ms)
        while len(self.by_pair) > FAILURES_MAX:
            self.by_pair.popitem(last=False)

    def forget(self, name: str, peer: str) -> None:
        """The password was right."""
        self.by_pair.pop((name, peer), None)
