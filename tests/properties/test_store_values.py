"""A segment's value may be anything after the disk had it: it is refused or read, never believed blindly."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from storage.compaction import compact
from storage.layout import Database
from storage.memory_store import MemoryStore
from storage.segment import describe
from storage.view import StoredMessage, StoreView


def part_values(bodies: list[bytes], queues: int) -> list[bytes]:
    """The values that a store makes of these bodies."""
    store = MemoryStore()
    view = StoreView(store)
    for index, body in enumerate(bodies):
        view.append(StoredMessage(body, routing_key=b"key"), index % queues, index)
    store.sync()
    values = [value for _, value in store.scan(Database.SEGMENTS, b"", None, 100)]
    store.close()
    return values


VALUES = part_values([b"a" * size for size in (0, 1, 100, 5, 0, 31)], 3)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(value: bytes) -> None:
    for read in (lambda: describe(value), lambda: compact([value], b"")):
        try:
            read()
        except ValueError:
            continue
        raise AssertionError("random bytes were taken for a segment value")


@given(st.integers(0, len(VALUES[0]) - 1), st.integers(1, 255), st.binary(max_size=3))
def test_one_changed_byte_is_refused_or_harmless(at: int, change: int, settled: bytes) -> None:
    value = bytearray(VALUES[0])
    value[at] ^= change
    tables = 64 + 3 * 40 + 6 * 32
    for read in (lambda: describe(bytes(value), b"\x00"), lambda: compact([bytes(value)], settled)):
        if at < tables:
            try:
                read()
            except ValueError:
                continue
            raise AssertionError(f"a changed byte {at} of the tables went unnoticed")
        with contextlib.suppress(ValueError):
            read()


@given(st.integers(0, len(VALUES[0]) - 1))
def test_a_cut_value_is_refused(size: int) -> None:
    for read in (lambda: describe(VALUES[0][:size]), lambda: compact([VALUES[0][:size]], b"")):
        try:
            read()
        except ValueError:
            continue
        raise AssertionError("half a value was read")


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sets(st.integers(0, 39)),
)
def test_compaction_keeps_exactly_the_live_slots(bodies: list[bytes], queues: int, settled: set[int]) -> None:
    bits = bytearray(5)
    for slot in settled:
        bits[slot // 8] |= 1 << slot % 8
    [value] = part_values(bodies, queues)
    compacted = compact([value], bytes(bits))
    live = [slot for slot in range(len(bodies)) if slot not in settled]
    found = describe(compacted)
    assert found["slots"] == found["live"] == found["records"] == len(live)
    assert {queue: share["slots"] for queue, share in found["queues"].items()} == {
        queue: count for queue in range(queues) if (count := sum(slot % queues == queue for slot in live))
    }
    assert compact([compacted], b"") == compacted
    assert compact([compacted], bytes(bits)) == compacted
