"""Reading a database from end to end: `Store.scan` gives a bounded list, and whoever reads all of it wants a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

SLICE = 1_000
"""Pairs in memory at a time."""


class Scannable(Protocol):
    """What is needed of `storage.interface.Store`."""

    def scan(self, database: int, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Committed pairs with start <= key < end, in key order."""


def every(
    store: Scannable, database: int, start: bytes = b"", end: bytes | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """All committed pairs between two keys. What is deleted meanwhile may be missing, nothing comes twice."""
    while True:
        found = store.scan(database, start, end, SLICE)
        yield from found
        if len(found) < SLICE:
            return
        start = found[-1][0] + b"\0"
