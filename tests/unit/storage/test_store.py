"""What every store does with messages: both stores, one suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.layout import Database
from storage.segment import describe
from storage.view import StoredMessage, StoreView
from tests.unit.storage.conftest import OpenView, committed, entries

QUEUE, OTHER = 7, 3


def test_a_message_comes_back_with_every_field(view: StoreView) -> None:
    message = StoredMessage(
        b"body" * 50, exchange=b"ex", routing_key=b"a.b.c", properties=b"\x10\x00\x02", flags=3, priority=9,
        expiration_ms=60_000,
    )  # fmt: skip
    segment, slot = view.append(message, QUEUE, 2**63 + 5, expires_at_ms=123_456, priority=4, flags=3)
    view.store.sync()
    [(loaded_slot, position, expires_at_ms, priority, flags, loaded)] = view.load(segment, QUEUE)
    assert (loaded_slot, position, expires_at_ms, priority, flags) == (slot, 2**63 + 5, 123_456, 4, 3)
    assert (loaded.body, loaded.exchange, loaded.routing_key) == (b"body" * 50, b"ex", b"a.b.c")
    assert (loaded.properties, loaded.flags, loaded.priority) == (b"\x10\x00\x02", 3, 9)
    assert (loaded.expiration_ms, loaded.publisher, loaded.references) == (60_000, 0, 1)


def test_an_empty_message_comes_back(view: StoreView) -> None:
    segment, _ = view.append(StoredMessage(), QUEUE)
    view.store.sync()
    [(*_, loaded)] = view.load(segment, QUEUE)
    assert (loaded.body, loaded.exchange, loaded.routing_key, loaded.properties) == (b"", b"", b"", b"")
    assert loaded.expiration_ms == -1


def test_a_message_for_many_queues_is_stored_once(view: StoreView) -> None:
    message = StoredMessage(b"x" * 1000)
    places = [view.append(message, queue) for queue in range(50)]
    view.store.sync()
    assert len({segment for segment, _ in places}) == 1
    [value] = entries(view.store, Database.SEGMENTS).values()
    assert describe(value)["records"] == 1
    assert len(value) < 1000 + 50 * 80 + 200
    assert [view.load(places[0][0], queue)[0][5].body for queue in range(50)] == [b"x" * 1000] * 50


def test_the_open_batch_holds_a_reference_until_it_is_committed(view: StoreView) -> None:
    message = StoredMessage(b"x")
    view.append(message, QUEUE)
    view.append(message, OTHER)
    assert message.references == 2
    assert view.store.seal()
    assert message.references == 2
    committed(view.store)
    assert message.references == 1


def test_settled_before_sealing_is_never_written(view: StoreView) -> None:
    messages = [StoredMessage(b"x" * 100) for _ in range(100)]
    places = [view.append(message, QUEUE) for message in messages]
    for place in places:
        view.settle(*place)
    assert {message.references for message in messages} == {1}  # and does not stay in memory either
    view.store.sync()
    assert entries(view.store, Database.SEGMENTS) == {}
    statistics = view.store.statistics()
    assert (statistics["slots_elided"], statistics["slots_written"]) == (100, 0)


def test_a_record_whose_slots_are_partly_settled_before_sealing_is_written_for_the_rest(view: StoreView) -> None:
    message, gone = StoredMessage(b"keep"), StoredMessage(b"gone" * 100)
    segment, slot = view.append(message, QUEUE)
    elided = view.append(gone, QUEUE)
    _, other_slot = view.append(message, OTHER)
    view.settle(segment, slot)
    view.settle(*elided)
    view.store.sync()
    assert view.load(segment, QUEUE) == []
    [(found_slot, *_, loaded)] = view.load(segment, OTHER)
    assert (found_slot, loaded.body) == (other_slot, b"keep")
    [value] = entries(view.store, Database.SEGMENTS).values()
    assert b"gone" not in value


def test_a_message_that_was_elided_may_be_appended_again(view: StoreView) -> None:
    message = StoredMessage(b"again")
    view.settle(*view.append(message, QUEUE))
    segment, slot = view.append(message, OTHER)
    view.store.sync()
    assert [(line[0], line[5].body) for line in view.load(segment, OTHER)] == [(slot, b"again")]
    segment, slot = view.append(message, QUEUE)  # and once more, in a later batch
    view.store.sync()
    assert [(line[0], line[5].body) for line in view.load(segment, QUEUE)] == [(slot, b"again")]


def test_load_gives_live_slots_in_order_and_from_a_slot_on(view: StoreView) -> None:
    places = [view.append(StoredMessage(b"%d" % index), index % 2, index) for index in range(20)]
    view.store.sync()
    segment = places[0][0]
    view.settle(*places[4])  # not even sealed: gone at once for whoever loads
    assert [line[0] for line in view.load(segment, 0)] == [0, 2, 6, 8, 10, 12, 14, 16, 18]
    assert [line[1] for line in view.load(segment, 0, 7)] == [8, 10, 12, 14, 16, 18]
    assert [line[5].body for line in view.load(segment, 1, 17)] == [b"17", b"19"]
    assert view.load(segment, 0, 19) == []
    assert view.load(segment, 99) == []
    assert view.load(segment + 1, 0) == []


def test_load_stops_at_its_limits_but_reads_at_least_one(view: StoreView) -> None:
    places = [view.append(StoredMessage(b"x" * 100), QUEUE) for _ in range(10)]
    view.store.sync()
    assert len(view.load(places[0][0], QUEUE, loaded_max=3)) == 3
    assert len(view.load(places[0][0], QUEUE, bytes_max=250)) == 3
    assert len(view.load(places[0][0], QUEUE, bytes_max=1)) == 1
    assert view.load(places[0][0], QUEUE, loaded_max=0) == []


@pytest.mark.parametrize("size", [2**20, 2**20 + 1, 2 * 2**20, 3 * 2**20 + 5])
def test_a_large_body_comes_back_and_leaves_nothing_behind(view: StoreView, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    small = StoredMessage(b"small")
    view.append(small, QUEUE)
    segment, slot = view.append(large := StoredMessage(body), QUEUE)
    _, other_slot = view.append(large, OTHER)
    after, _ = view.append(small, OTHER)
    view.store.sync()
    assert bool(entries(view.store, Database.CHUNKS)) == (size > 2**20)
    if size > 2**20:
        assert segment != after  # alone in its segment: it pins nobody and nobody pins it
    assert next(line[5].body for line in view.load(segment, OTHER) if line[0] == other_slot) == body
    view.settle(segment, slot)
    view.store.sync()
    view.settle(segment, other_slot)
    view.store.sync()
    assert entries(view.store, Database.CHUNKS) == {}


def test_settling_twice_is_harmless_and_a_slot_that_never_was_is_an_error(view: StoreView) -> None:
    place = view.append(StoredMessage(b"1"), QUEUE)
    kept = view.append(StoredMessage(b"2"), QUEUE)
    view.store.sync()
    view.settle(*place)
    view.settle(*place)
    view.store.sync()
    view.settle(*place)
    assert [line[0] for line in view.load(place[0], QUEUE)] == [kept[1]]
    with pytest.raises(IndexError, match="no slot 2"):
        view.settle(place[0], 2)
    view.settle(*kept)
    view.store.sync()
    view.settle(*kept)  # its segment is gone
    assert view.store.statistics()["slots_settled"] == 2


def test_everything_settled_leaves_nothing_on_disk(view: StoreView) -> None:
    places = [view.append(StoredMessage(b"x" * 50), index % 3) for index in range(300)]
    view.store.sync()
    for place in places[:150]:
        view.settle(*place)
    view.store.sync()
    assert entries(view.store, Database.SETTLED) != {}
    for place in places[150:]:
        view.settle(*place)
    view.store.sync()
    for database in (Database.SEGMENTS, Database.SETTLED, Database.CHUNKS):
        assert entries(view.store, database) == {}
    assert view.store.statistics()["live_bytes"] == 0


@pytest.mark.parametrize("queues", [1, 2])
@pytest.mark.parametrize("when", ["open", "in flight", "stored", "restored"])
def test_settle_from_settles_one_queue_from_a_slot_on(open_view: OpenView, queues: int, when: str) -> None:
    view = open_view(set())
    places = [view.append(StoredMessage(b"x"), index % queues) for index in range(10)]
    segment = places[0][0]
    view.settle(*places[8])
    if when == "in flight":
        assert view.store.seal()
    elif when != "open":
        view.store.sync()
    if when == "restored":
        view.store.abandon()
        view = open_view({0, 1})
    view.settle_from(segment, 0, 4)
    view.store.sync()
    expected = {index for index in range(10) if index < 4 or index % queues} - {8}
    assert {line[0] for queue in range(queues) for line in view.load(segment, queue)} == expected
    view.settle_from(segment, 0)
    if queues == 2:
        view.settle_from(segment, 1)
    view.store.sync()
    assert entries(view.store, Database.SEGMENTS) == {}


def test_settle_from_knows_slots_of_every_part_of_a_segment(view: StoreView) -> None:
    segments = set()
    for _ in range(3):
        for queue in (QUEUE, OTHER):
            segments.add(view.append(StoredMessage(b"x"), queue)[0])
        assert view.store.seal()
        committed(view.store)
    assert len(segments) == 1
    segment = segments.pop()
    view.append(StoredMessage(b"open"), QUEUE)
    view.settle_from(segment, QUEUE, 2)
    view.store.sync()
    assert [line[0] for line in view.load(segment, QUEUE)] == [0]
    assert [line[0] for line in view.load(segment, OTHER)] == [1, 3, 5]


def test_a_large_batch_makes_several_segments(open_view: OpenView) -> None:
    view = open_view(set(), segment_bytes_max=10_000)
    places = [view.append(StoredMessage(b"%04d" % index + b"x" * 996), QUEUE, index) for index in range(100)]
    view.store.sync()
    segments = sorted({segment for segment, _ in places})
    assert 9 <= len(segments) <= 12
    assert segments == list(range(segments[0], segments[-1] + 1))
    assert all(view.is_stored(segment) for segment in segments[:-1])  # the last one still takes more
    assert [line[1] for segment in segments for line in view.load(segment, QUEUE)] == list(range(100))


def test_a_message_may_leave_memory_only_when_its_segment_is_complete_and_on_disk(view: StoreView) -> None:
    segment, _ = view.append(StoredMessage(b"x" * 100_000), QUEUE)
    assert not view.is_stored(segment)
    assert view.store.seal()
    assert not view.is_stored(segment)
    committed(view.store)
    assert view.is_stored(segment)
    assert not view.is_stored(segment + 1)


def test_small_batches_share_a_segment_until_it_is_worth_closing(open_view: OpenView) -> None:
    view = open_view(set(), tidy_ms=3_600_000)
    segments = []
    for index in range(300):
        segments.append(view.append(StoredMessage(b"%d" % index), QUEUE, index)[0])
        view.store.sync()
    assert len(set(segments)) == 2
    assert segments.count(segments[0]) == 256
    assert view.is_stored(segments[0])
    assert not view.is_stored(segments[-1])
    assert [line[1] for segment in sorted(set(segments)) for line in view.load(segment, QUEUE)] == list(range(300))


def test_the_parts_of_a_closed_segment_become_one_value(open_view: OpenView) -> None:
    view = open_view(set(), tidy_ms=0)
    places = []
    for index in range(256):
        places.append(view.append(StoredMessage(b"%d" % index), index % 2, index))
        if index == 255:
            for settled in range(0, 255, 3):
                view.settle(*places[settled])
        view.store.sync()
    for _ in range(4):
        view.store.put(Database.SESSIONS, b"k", b"v")
        view.store.sync()
    assert len(entries(view.store, Database.SEGMENTS)) == 1
    assert entries(view.store, Database.SETTLED) == {}
    segment = places[0][0]
    assert view.is_stored(segment)
    found = {line[0]: (line[1], line[5].body) for queue in (0, 1) for line in view.load(segment, queue)}
    assert found == {slot: (slot, b"%d" % slot) for slot in range(256) if slot % 3 or slot == 255}
    for index in range(256):
        view.settle(*places[index])
    view.store.sync()
    assert entries(view.store, Database.SEGMENTS) == {}


def test_a_straggler_does_not_pin_its_segment(open_view: OpenView) -> None:
    view = open_view(set(), tidy_ms=0)
    places = [view.append(StoredMessage(b"%03d" % index * 300), index % 4, index) for index in range(200)]
    view.store.sync()
    before = view.store.statistics()["live_bytes"]
    kept = {17, 99, 150}
    for index, place in enumerate(places):
        if index not in kept:
            view.settle(*place)
    for _ in range(4):
        view.store.put(Database.SESSIONS, b"k", b"v")
        view.store.sync()
    assert view.store.statistics()["segments_compacted"] == 1
    assert view.store.statistics()["live_bytes"] < 5_000 < before
    [value] = entries(view.store, Database.SEGMENTS).values()
    assert len(value) < 5_000
    segment = places[0][0]
    found = {line[0]: line[5].body for queue in range(4) for line in view.load(segment, queue)}
    assert found == {index: b"%03d" % index * 300 for index in kept}
    view.settle(segment, 17)
    view.store.sync()
    view.store.abandon()
    again = open_view()
    assert [line[0:4:3] for line in again.store.restore({0, 1, 2, 3})] == [(2, 1), (3, 1)]
    assert {line[0] for queue in range(4) for line in again.load(segment, queue)} == {99, 150}


def test_a_segment_that_is_just_being_drained_is_not_rewritten(open_view: OpenView) -> None:
    view = open_view(set(), tidy_ms=1000)
    places = [view.append(StoredMessage(b"x" * 1000), QUEUE) for _ in range(200)]
    view.store.sync()
    for place in places:
        view.settle(*place)
        view.store.sync()
    assert view.store.statistics()["segments_compacted"] == 0
    assert entries(view.store, Database.SEGMENTS) == {}


def test_restore_gives_what_lives_by_segment_and_queue(open_view: OpenView) -> None:
    view = open_view(set(), segment_bytes_max=3_000)
    places = [view.append(StoredMessage(b"x" * 100), index % 2, 1000 + index) for index in range(40)]
    view.store.sync()
    for index in (0, 2, 39):
        view.settle(*places[index])
    view.store.sync()
    view.store.abandon()
    restored = open_view().store.restore({0, 1})
    live: dict[tuple[int, int], list[int]] = {}
    last: dict[tuple[int, int], int] = {}
    for index, (segment, slot) in enumerate(places):
        last[index % 2, segment] = 1000 + index
        if index not in (0, 2, 39):
            live.setdefault((index % 2, segment), []).append(slot)
    expected = [
        (queue, segment, min(slots), len(slots), 100 * len(slots), last[queue, segment])
        for (queue, segment), slots in live.items()
    ]
    assert sorted(restored) == sorted(expected)
    assert [line[1] for line in restored] == sorted(line[1] for line in restored)


def test_restore_forgets_unknown_queues_and_transient_slots(open_view: OpenView) -> None:
    view = open_view(set())
    durable = view.append(StoredMessage(b"durable"), QUEUE, 1, flags=1)
    view.append(StoredMessage(b"transient"), QUEUE, 2, flags=0)
    view.append(StoredMessage(b"unknown"), OTHER, 3, flags=1)
    view.store.sync()
    view.store.abandon()
    view = open_view()
    assert view.store.restore({QUEUE}) == [(QUEUE, durable[0], durable[1], 1, 7, 2)]
    assert [line[5].body for line in view.load(durable[0], QUEUE)] == [b"durable"]
    assert view.load(durable[0], OTHER) == []
    view.store.sync()
    view.settle(*durable)
    view.store.sync()
    assert entries(view.store, Database.SEGMENTS) == {}


def test_what_nobody_knows_is_removed_with_the_first_batch(open_view: OpenView) -> None:
    view = open_view(set())
    view.append(StoredMessage(b"x" * 2_000_000), QUEUE)
    view.append(StoredMessage(b"x"), OTHER)
    view.store.sync()
    view.store.abandon()
    view = open_view()
    assert view.store.restore(set()) == []
    assert view.store.next_seal_ms() == 0
    view.store.sync()
    for database in (Database.SEGMENTS, Database.SETTLED, Database.CHUNKS):
        assert entries(view.store, database) == {}


def test_numbers_are_never_used_again(open_view: OpenView) -> None:
    view = open_view(set())
    first = view.append(StoredMessage(b"x"), QUEUE)
    view.store.sync()
    view.settle(*first)
    view.store.sync()
    assert entries(view.store, Database.SEGMENTS) == {}
    view.store.abandon()
    view = open_view(set())
    assert view.append(StoredMessage(b"x"), QUEUE)[0] > first[0]


def test_what_was_not_committed_is_gone_after_a_crash_and_the_rest_is_there(open_view: OpenView) -> None:
    view = open_view(set())
    kept = view.append(StoredMessage(b"kept"), QUEUE)
    view.store.sync()
    view.append(StoredMessage(b"lost"), QUEUE)
    view.settle(*kept)
    view.store.abandon()
    view = open_view()
    assert view.store.restore({QUEUE}) == [(QUEUE, kept[0], kept[1], 1, 4, 0)]


def test_closing_commits_what_is_open(open_view: OpenView) -> None:
    view = open_view(set())
    segment, slot = view.append(StoredMessage(b"last"), QUEUE, 9)
    view.store.close()
    assert open_view().store.restore({QUEUE}) == [(QUEUE, segment, slot, 1, 4, 9)]


def test_restore_comes_first(open_view: OpenView) -> None:
    view = open_view(set())
    view.append(StoredMessage(b"x"), QUEUE)
    with pytest.raises(RuntimeError, match="comes first"):
        view.store.restore(set())


def test_thousands_of_segments_come_and_go_in_any_order(open_view: OpenView) -> None:
    view = open_view(set(), segment_bytes_max=1)
    places = [view.append(StoredMessage(b"%d" % index), QUEUE, index) for index in range(3000)]
    view.store.sync()
    assert view.store.statistics()["segments"] == 3000
    order = sorted(range(3000), key=lambda index: (index * 2654435761) % 3001)
    for index in order[:2000]:
        view.settle(*places[index])
    view.store.sync()
    assert view.store.statistics()["segments"] == 1000
    for index in order[2000:]:
        assert [line[5].body for line in view.load(places[index][0], QUEUE)] == [b"%d" % index]
    for index in order[:2000]:
        assert view.load(places[index][0], QUEUE) == []


def test_fan_out_to_very_many_queues_sorts_its_tables(view: StoreView) -> None:
    message = StoredMessage(b"fan")
    queues = [(index * 7919) % 70_001 for index in range(70_000)]
    places = [view.append(message, queue, index) for index, queue in enumerate(queues)]
    view.store.sync()
    assert len({segment for segment, _ in places}) == 2  # a segment's slots are bounded
    for index in (0, 1, 65_535, 65_536, 69_999):
        [(slot, position, *_, loaded)] = view.load(places[index][0], queues[index])
        assert (slot, position, loaded.body) == (places[index][1], index, b"fan")


def test_a_wrong_setting_is_refused(open_view: OpenView, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval_ms"):
        open_view(durability="interval")
    with pytest.raises(ValueError, match="sometimes"):
        open_view(durability="sometimes")
    with pytest.raises(ValueError, match="segment_bytes_max"):
        open_view(segment_bytes_max=0)
