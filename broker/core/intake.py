# cython: annotation_typing=False
"""What publishers have begun to send and no queue has yet: memory that the budget counts (law 3).

Owns the sum over all connections, and who they are. Whoever takes a message in pieces, or holds messages back until a
commit, counts their memory here while it has them. Refuses to know frames and packets.

While memory is short nothing new is begun, and what was begun goes on: when it is whole it belongs to a queue, which
can put it to disk.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A connection that has begun something."""

    def read_on(self, now_ms: int, stalled_after_ms: int) -> None:
        """Go on although memory is short; or end, where nothing came for so long."""


class Intake:
    """One per broker."""

    def __init__(self) -> None:
        self.bytes = 0
        self.holders: set[Holder] = set()
        self.must_flow = False
        self.refused_count = 0
        self.stalled_count = 0
