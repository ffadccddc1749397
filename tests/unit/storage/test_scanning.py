"""A database is read from end to end, however many pairs one scan gives."""

from __future__ import annotations

import pytest

from storage import scanning
from tests.support.fake_store import FakeStore


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
def test_every_pair_comes_once_and_in_order(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(scanning, "SLICE", 3)
    store = FakeStore()
    pairs = [(b"%d" % number, b"v") for number in range(count)]
    for key, value in reversed(pairs):
        store.put(1, key, value)
    store.commit()

    assert list(scanning.every(store, 1)) == pairs
    assert store.scans == count // 3 + 1


def test_a_range_ends_before_its_end() -> None:
    store = FakeStore()
    for key in (b"a", b"b", b"b\0", b"c", b"d"):
        store.put(1, key, b"")
    store.commit()

    assert [key for key, _ in scanning.every(store, 1, b"b", b"d")] == [b"b", b"b\0", b"c"]
