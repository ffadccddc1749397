"""What a store must remember, in the plainest words: a dict of slots, copied whole at every commit."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

Place = tuple[int, int]


@dataclass(frozen=True)
class Slot:
    """One message in one queue."""

    queue_id: int
    position: int
    expires_at_ms: int
    priority: int
    flags: int
    body: bytes
    routing_key: bytes


@dataclass
class Contents:
    """The live slots by place, and one key-value database."""

    slots: dict[Place, Slot] = field(default_factory=dict)
    pairs: dict[bytes, bytes] = field(default_factory=dict)


class StoreOracle:
    """`now` is what the broker sees; `sealed` what the writer was given last; `committed` what a crash leaves."""

    def __init__(self) -> None:
        self.now = Contents()
        self.sealed = Contents()
        self.committed = Contents()

    def seal(self) -> None:
        self.sealed = copy.deepcopy(self.now)

    def commit(self) -> None:
        self.committed = self.sealed

    def crash(self, known_queue_ids: set[int]) -> None:
        """Only durable slots of queues that still exist are there afterwards."""
        survivors = {
            place: slot
            for place, slot in self.committed.slots.items()
            if slot.flags & 1 and slot.queue_id in known_queue_ids
        }
        self.now = Contents(survivors, dict(self.committed.pairs))

    def settle_from(self, segment: int, queue_id: int, first_slot: int) -> None:
        for place in [
            place
            for place, slot in self.now.slots.items()
            if place[0] == segment and place[1] >= first_slot and slot.queue_id == queue_id
        ]:
            del self.now.slots[place]

    def restored(self) -> list[tuple[int, int, int, int, int]]:
        """(queue_id, segment, first_slot, count, body_bytes), sorted."""
        lines: dict[tuple[int, int], list[Place]] = {}
        for place, slot in self.now.slots.items():
            lines.setdefault((slot.queue_id, place[0]), []).append(place)
        return sorted(
            (queue_id, segment, min(places)[1], len(places), sum(len(self.now.slots[place].body) for place in places))
            for (queue_id, segment), places in lines.items()
        )
