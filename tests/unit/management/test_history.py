"""What the charts are drawn of: kept finely for minutes and coarsely for a day, bounded, and for whom it is."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.message import Message
from broker.management.history import POINTS_MAX, WATCHED_MAX, History, Seen, Series
from broker.management.resources.history import Slowest

START_S = 1_700_000_000.0 - 1_700_000_000.0 % 720


def noted(*looks: tuple[float, float, float], lowest: tuple[str, ...] = ()) -> Series:
    """(seconds after the start, a counter, a figure)."""
    series = Series(lowest)
    for at_s, counter, figure in looks:
        series.note(START_S + at_s, Seen({"publish": counter}, {"ready": figure}))
    return series


def test_counters_are_told_per_second_and_the_first_has_no_rate() -> None:
    shown = noted((0, 100, 1), (5, 150, 2), (10, 150, 0)).shown(600)

    assert shown == {
        "every_s": 5,
        "at": [START_S, START_S + 5, START_S + 10],
        "series": {"publish": [None, 10.0, 0.0], "ready": [1, 2, 0]},
    }


def test_a_minute_of_ten_is_shown_with_the_rate_of_its_first_interval() -> None:
    shown = noted(*((5.0 * n, 10.0 * n, n) for n in range(40))).shown(60)

    at: Any = shown["at"]
    assert at == [START_S + 5 * n for n in range(27, 40)]
    series: Any = shown["series"]
    assert series["publish"] == [2.0] * 13


@pytest.mark.parametrize(("lowest", "worst"), [((), 90), (("ready",), 3)])
def test_no_peak_is_lost_in_a_coarse_interval(lowest: tuple[str, ...], worst: int) -> None:
    looks = [(0, 0, 5), (5, 10, 90), (10, 20, 3), (30, 90, 7), (35, 95, 7)]
    shown = noted(*looks, lowest=lowest).shown(3600)

    assert shown["every_s"] == 30
    assert shown["at"] == [START_S + 10, START_S + 35]
    assert shown["series"] == {"publish": [None, 3.0], "ready": [worst, 7]}


@pytest.mark.parametrize(("age_s", "every_s"), [(60, 5), (600, 5), (3600, 30), (28_800, 240), (86_400, 720)])
def test_a_day_is_kept_in_bounded_memory(age_s: int, every_s: int) -> None:
    series = noted(*((5.0 * n, float(n), 1) for n in range(20_000)))
    shown = series.shown(age_s)

    at: Any = shown["at"]
    assert shown["every_s"] == every_s
    assert at[-1] - at[0] >= age_s - every_s
    assert all(len(points) <= POINTS_MAX for points in series.kept)


def test_a_counter_that_begins_anew_has_no_rate_below_zero() -> None:
    series: Any = noted((0, 100, 0), (5, 3, 0)).shown(60)["series"]

    assert series["publish"] == [None, 0.0]


def test_what_is_gone_is_forgotten_and_so_is_who_nobody_asked_for_the_longest() -> None:
    now = [START_S]
    there = {f"q{n}": 0 for n in range(WATCHED_MAX + 1)}
    history = History(lambda: now[0], lambda: None)
    for name in there:
        history.of(name, lambda name=name: Seen({}, {"ready": there[name]}) if name in there else None)  # type: ignore[misc]

    assert "q0" not in history.watched
    assert len(history.watched) == WATCHED_MAX
    del there["q1"]
    now[0] += 5
    history.look()
    assert "q1" not in history.watched
    assert history.watched["q2"][1].shown(60)["at"] == [START_S, START_S + 5]


def test_the_slowest_since_the_last_look_is_its_buckets_bound() -> None:
    slowest = Slowest()
    bounds = [0.001, 0.01, None]

    assert slowest.since(bounds, [5, 1, 0]) == 0.01
    assert slowest.since(bounds, [9, 1, 0]) == 0.001
    assert slowest.since(bounds, [9, 1, 0]) == 0.0
    assert slowest.since(bounds, [9, 1, 1]) == 0.02


@pytest.mark.asyncio(loop_scope="function")
async def test_the_broker_has_a_history_from_its_start(api: Any) -> None:
    found = await api.get("/api/hubbub/history?age=60")

    assert found["every_s"] == 5
    assert len(found["at"]) == 1
    assert found["series"]["ready"] == [0]
    assert found["series"]["slowest_commit"] == [0.02]
    assert {"publish", "disk_free", "slowest_beat", "cpu_seconds", "connections"} <= found["series"].keys()


@pytest.mark.asyncio(loop_scope="function")
async def test_a_queue_and_an_exchange_have_one_from_when_they_are_looked_at(api: Any, server: Any) -> None:
    server.core.vhost.declare_queue("q")
    server.core.vhost.exchanges[""].publish_message(Message(b"", b"q", b"\0\0", b"body"))
    queue = await api.get("/api/hubbub/history/queues/%2F/q?age=60")
    exchange = await api.get("/api/hubbub/history/exchanges/%2F/amq.default")

    assert queue["series"]["ready"] == [1]
    assert queue["series"]["bytes"] == [4]
    assert queue["series"]["publish"] == [None]
    assert exchange["series"]["published"] == [None]


@pytest.mark.asyncio(loop_scope="function")
async def test_what_is_not_there_or_not_for_this_user_has_none(api: Any) -> None:
    await api.get("/api/hubbub/history/queues/%2F/none", status=404)
    await api.get("/api/hubbub/history/exchanges/%2F/none", status=404)
    await api.get("/api/hubbub/history/queues/nowhere/q", status=404)
    assert "age" in (await api.get("/api/hubbub/history?age=0", status=400))["reason"]
    await api.get("/api/hubbub/history", user="manager", status=401)
