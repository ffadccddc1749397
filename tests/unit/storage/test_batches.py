"""Batches, waiters and key-value operations: both stores, one suite."""

from __future__ import annotations

from typing import Any

import pytest

from storage import layout, replay
from storage.interface import CallbackWaiter, Waiter
from storage.layout import Database
from storage.view import StoredMessage, StoreView
from tests.unit.storage.conftest import OpenView, committed, entries, wait_on


def test_a_waiter_hears_only_after_the_commit_and_once_per_batch(view: StoreView) -> None:
    told: list[int] = []
    waiter = CallbackWaiter(told.append, lambda batch: told.append(-batch))
    batch = view.store.open_batch
    for _ in range(3):
        view.append(StoredMessage(b"x"), 1)
        view.store.join(waiter)
    assert view.store.seal()
    assert told == []
    assert view.store.committed_batch == batch - 1
    committed(view.store)
    assert told == [batch]
    assert view.store.committed_batch == batch
    view.append(StoredMessage(b"x"), 1)
    view.store.join(waiter)
    assert view.store.seal()
    committed(view.store)
    assert told == [batch, batch + 1]


def test_a_waiter_may_wait_for_two_batches_at_once(view: StoreView) -> None:
    told: list[int] = []
    waiter = CallbackWaiter(told.append, lambda batch: told.append(-batch))
    batch = view.store.open_batch
    view.append(StoredMessage(b"x"), 1)
    view.store.join(waiter)
    assert view.store.seal()
    view.append(StoredMessage(b"y"), 1)
    view.store.join(waiter)
    assert not view.store.seal()  # the writer has one
    committed(view.store)
    assert told == [batch]
    view.store.join(waiter)  # still the same open batch: not a second time
    assert view.store.seal()
    committed(view.store)
    assert told == [batch, batch + 1]


def test_with_nothing_to_commit_a_waiter_hears_at_the_end_of_the_turn(view: StoreView) -> None:
    view.append(StoredMessage(b"first"), 1)
    view.store.sync()
    told = wait_on(view.store)
    batch = view.store.open_batch
    view.settle(*view.append(StoredMessage(b"x"), 1))
    assert not view.store.seal()
    assert told == [batch]
    assert view.store.committed_batch == batch
    assert wait_on(view.store) == []
    assert view.store.open_batch == batch + 1


def test_batches_are_told_in_order_even_if_the_later_one_is_empty(view: StoreView) -> None:
    view.append(StoredMessage(b"x"), 1)
    first = wait_on(view.store)
    assert view.store.seal()
    second = wait_on(view.store)
    view.store.seal()
    assert second == []
    committed(view.store)
    assert len(first) == 1
    assert second == []
    view.store.seal()
    assert second == [first[0] + 1]


def test_a_waiter_may_use_the_store_while_it_is_told(view: StoreView) -> None:
    told: list[int] = []

    def again(batch: int) -> None:
        told.append(batch)
        if len(told) < 3:
            view.append(StoredMessage(b"again"), 1)
            view.store.join(CallbackWaiter(again, again))
            view.store.seal()

    view.append(StoredMessage(b"x"), 1)
    view.store.join(CallbackWaiter(again, again))
    assert view.store.seal()
    for _ in range(3):
        committed(view.store)
    assert told == [told[0], told[0] + 1, told[0] + 2]


def test_an_error_in_one_waiter_does_not_silence_the_next(view: StoreView, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)
    view.append(StoredMessage(b"x"), 1)
    view.store.join(CallbackWaiter(lambda batch: 1 // 0, lambda batch: None))
    told = wait_on(view.store)
    view.store.sync()
    assert len(told) == 1
    assert [report.exc_type for report in reported] == [ZeroDivisionError]


def test_interval_mode_answers_before_the_disk_and_commits_at_most_every_so_often(open_view: OpenView) -> None:
    view = open_view(set(), durability="interval", interval_ms=60_000)
    view.append(StoredMessage(b"first"), 1)
    view.store.seal()
    view.store.sync()
    view.append(StoredMessage(b"x"), 1)
    view.store.seal()  # the interval begins again with each commit
    view.store.sync()
    view.append(StoredMessage(b"y"), 1)
    told = wait_on(view.store)
    sealed_before = view.store.statistics()["batches_sealed"]
    if view.store.seal():
        committed(view.store)
        sealed_before = view.store.statistics()["batches_sealed"]
    assert len(told) == 1
    view.append(StoredMessage(b"z"), 1)
    assert wait_on(view.store) == []
    assert not view.store.seal()
    assert view.store.statistics()["batches_sealed"] == sealed_before
    assert 0 < view.store.next_seal_ms() <= 60_000
    again: list[int] = []
    waiter = CallbackWaiter(again.append, again.append)
    for _ in range(2):  # the same waiter, the same batch, two turns: each turn is answered
        view.append(StoredMessage(b"w"), 1)
        view.store.join(waiter)
        view.store.seal()
    assert len(again) == 2
    view.store.close()


def test_what_nobody_waits_for_gathers_until_somebody_does(open_view: OpenView) -> None:
    view = open_view(set(), linger_ms=60_000)
    view.append(StoredMessage(b"first"), 1)
    assert view.store.seal()  # long after the one before
    committed(view.store)
    view.append(StoredMessage(b"x"), 1)
    assert not view.store.seal()
    assert 0 < view.store.next_seal_ms() <= 60_000
    told = wait_on(view.store)
    assert view.store.next_seal_ms() == 0
    assert view.store.seal()
    committed(view.store)
    assert len(told) == 1
    view.append(StoredMessage(b"y"), 1)
    assert not view.store.seal()
    view.store.sync()  # asks for it
    assert view.store.statistics()["open_batch_bytes"] == 0
    view.store.close()


def test_what_to_wait_for_is_known(view: StoreView) -> None:
    assert view.store.next_seal_ms() == -1
    place = view.append(StoredMessage(b"x" * 70_000), 1)
    assert view.store.next_seal_ms() == 0
    assert view.store.seal()
    assert view.store.next_seal_ms() == -1
    committed(view.store)
    assert view.store.next_seal_ms() == -1
    view.settle(*place)
    assert view.store.next_seal_ms() == 0


def test_key_value_operations_take_effect_in_order_with_their_batch(view: StoreView) -> None:
    store = view.store
    store.put(Database.SESSIONS, b"a", b"1")
    store.put(Database.SESSIONS, b"b", b"2")
    store.delete(Database.SESSIONS, b"a")
    store.put(Database.SESSIONS, b"b", b"3")
    store.delete(Database.SESSIONS, b"never there")
    store.put(Database.RETAINED, b"a", b"")
    assert store.get(Database.SESSIONS, b"b") is None  # not committed yet
    store.sync()
    assert entries(store, Database.SESSIONS) == {b"b": b"3"}
    assert store.get(Database.RETAINED, b"a") == b""
    assert store.get(Database.RETAINED, b"x") is None


def test_scan_goes_in_key_order_between_bounds(view: StoreView) -> None:
    for key in (b"c", b"a", b"bb", b"b", b"d"):
        view.store.put(Database.DELAYED, key, key * 2)
    view.store.sync()
    assert view.store.scan(Database.DELAYED, b"", None, 10) == [
        (key, key * 2) for key in (b"a", b"b", b"bb", b"c", b"d")
    ]
    assert [key for key, _ in view.store.scan(Database.DELAYED, b"b", b"c", 10)] == [b"b", b"bb"]
    assert [key for key, _ in view.store.scan(Database.DELAYED, b"b\x00", None, 2)] == [b"bb", b"c"]
    assert view.store.scan(Database.DELAYED, b"x", None, 10) == []
    assert view.store.scan(Database.DELAYED, b"", None, 0) == []
    assert view.store.scan(Database.SESSIONS, b"", None, 10) == []


def test_a_key_or_database_that_cannot_be_is_refused(view: StoreView) -> None:
    for key in (b"", b"k" * 512):
        with pytest.raises(ValueError, match="1 to 511 bytes"):
            view.store.put(Database.SESSIONS, key, b"")
    with pytest.raises(ValueError, match="store's own"):
        view.store.put(Database.SEGMENTS, b"k", b"")
    with pytest.raises(ValueError, match="99"):
        view.store.delete(99, b"k")
    view.store.put(Database.SESSIONS, b"k" * 511, b"fits")
    view.store.sync()
    assert view.store.get(Database.SESSIONS, b"k" * 511) == b"fits"


def test_replaying_the_batches_gives_the_state(view: StoreView) -> None:
    state = {int(database): entries(view.store, database) for database in Database}
    batches: list[bytes] = []
    view.store.journal = batches.append  # type: ignore[attr-defined]
    places = [view.append(StoredMessage(b"%d" % index * 100), index % 3, index) for index in range(100)]
    large = view.append(StoredMessage(b"L" * 1_500_000), 1)
    view.store.put(Database.SESSIONS, b"k", b"v")
    view.store.sync()
    for place in places[::2]:
        view.settle(*place)
    view.settle(*large)
    view.store.sync()
    assert len(batches) == 2
    for batch in batches:
        replay.replay(batch, state)
    assert state == {int(database): entries(view.store, database) for database in Database}


@pytest.mark.parametrize("size", [0, 10, 23, 40])
def test_half_a_batch_is_not_replayed(view: StoreView, size: int) -> None:
    batches: list[bytes] = []
    view.store.journal = batches.append  # type: ignore[attr-defined]
    view.append(StoredMessage(b"x"), 1)
    view.store.sync()
    with pytest.raises(ValueError, match="batch"):
        replay.replay(batches[0][:size], replay.empty_state())


def test_keys_keep_texts_apart_and_sort_as_numbers() -> None:
    assert layout.definition_key("queue", "a", "bc") != layout.definition_key("queue", "ab", "c")
    start, end = layout.definition_prefix("queue", "a")
    assert end is not None
    assert start <= layout.definition_key("queue", "a", "q") < end
    assert not start <= layout.definition_key("queue", "aa", "q") < end
    assert not start <= layout.definition_key("exchange", "a", "q") < end
    assert layout.definition_kind(layout.definition_key("queue", "a", "q")) == "queue"
    long = [layout.definition_key("binding", "v", "s" * 255, "d" * 255, "r" * 254 + last) for last in "xy"]
    assert len(set(long)) == 2
    assert {len(key) for key in long} == {layout.KEY_BYTES_MAX}
    assert layout.delayed_key(255, 2**40) < layout.delayed_key(256, 0)
    assert layout.delayed_parts(layout.delayed_key(1_700_000_000_000, 7)) == (1_700_000_000_000, 7)
    assert layout.prefix_end(b"a\xff\xff") == b"b"
    assert layout.prefix_end(b"\xff") is None


def test_a_plain_waiter_can_be_joined(view: StoreView) -> None:
    view.append(StoredMessage(b"x"), 1)
    view.store.join(Waiter())
    view.store.sync()
    assert view.store.committed_batch == view.store.open_batch - 1
