"""Both stores behind one fixture: what is asked of a store is asked of each."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.batch_store import BatchStore
from storage.interface import CallbackWaiter
from storage.lmdb_store import LmdbStore
from storage.memory_store import MemoryStore
from storage.view import StoreView

OpenView = Callable[..., StoreView]


@pytest.fixture(params=["memory", "lmdb"])
def open_view(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenView]:
    """Opens the one store of a test, again and again: what was committed is there. Keywords are settings."""
    opened: list[BatchStore] = []

    def open_store(known: set[int] | None = None, **settings: Any) -> StoreView:
        store: BatchStore
        if request.param == "memory":
            states = [store.state for store in opened if isinstance(store, MemoryStore)]
            store = MemoryStore(state=states[-1] if states else None, **settings)
        else:
            store = LmdbStore(tmp_path / "data", disk_free_min_bytes=0, **settings)
        opened.append(store)
        if known is not None:
            store.restore(known)
        return StoreView(store)

    yield open_store
    for store in opened:
        store.abandon()


@pytest.fixture
def view(open_view: OpenView) -> StoreView:
    """A fresh store, ready for use."""
    return open_view(set())


def committed(store: Any) -> None:
    """Wait until the batch in flight is on disk, and collect it."""
    assert select.select([store.notify_fd], [], [], 10.0)[0], "no commit within 10 s"
    store.collect()


def wait_on(store: Any) -> list[int]:
    """Join the open batch; the list gets the number of the batch when it is committed, its negative when refused."""
    told: list[int] = []
    store.join(CallbackWaiter(told.append, lambda batch: told.append(-batch)))
    return told


def entries(store: Any, database: int) -> dict[bytes, bytes]:
    """All committed pairs of a database."""
    return dict(store.scan(database, b"", None, 1_000_000))
