"""A store of plain dicts that commits when the test says so: for what the core keeps in key-value databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakeWaiter:
    """Stands in for storage.interface.CallbackWaiter, which only a compiled store can tell."""

    def __init__(self, on_committed: Callable[[int], None], on_refused: Callable[[int], None]) -> None:
        self.committed = on_committed
        self.refused = on_refused


class FakeStore:
    """put and delete go into the open batch; get and scan see what was committed."""

    def __init__(self) -> None:
        self.databases: dict[int, dict[bytes, bytes]] = {}
        self.pending: list[tuple[int, bytes, bytes | None]] = []
        self.waiters: list[FakeWaiter] = []
        self.open_batch = 1
        self.scans = 0

    def put(self, database: int, key: bytes, value: bytes) -> None:
        self.pending.append((database, key, value))

    def delete(self, database: int, key: bytes) -> None:
        self.pending.append((database, key, None))

    def get(self, database: int, key: bytes) -> bytes | None:
        return self.databases.get(database, {}).get(key)

    def scan(self, database: int, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        self.scans += 1
        pairs = sorted(self.databases.get(database, {}).items())
        return [(key, value) for key, value in pairs if key >= start and (end is None or key < end)][:limit]

    def join(self, waiter: Any) -> None:
        if waiter not in self.waiters:
            self.waiters.append(waiter)

    def commit(self) -> None:
        """The open batch is on disk; its waiters are told."""
        for database, key, value in self.pending:
            if value is None:
                self.databases.get(database, {}).pop(key, None)
            else:
                self.databases.setdefault(database, {})[key] = value
        self.end_batch("committed")

    def refuse(self) -> None:
        """The open batch is lost; its waiters are told."""
        self.end_batch("refused")

    def end_batch(self, outcome: str) -> None:
        batch, waiters = self.open_batch, self.waiters
        self.pending, self.waiters = [], []
        self.open_batch += 1
        for waiter in waiters:
            getattr(waiter, outcome)(batch)
