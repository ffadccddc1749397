"""The slow log of the event loop: who made it stand still, and how late it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from broker.net.stalls import LAG_BOUNDS_S, Stalls
from tests.unit.net.conftest import Edge, Recorder, until

MakeEdge = Callable[..., Edge]


class Slow(Recorder):
    """Takes 60 ms for each read, as a bad listing or a runaway match would."""

    def on_received(self, data: bytes) -> int:
        end = time.monotonic() + 0.06
        while time.monotonic() < end:
            pass
        return super().on_received(data)


class FakeLoop:
    """Its time is moved by hand; it never calls."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, call: Callable[..., object], *arguments: object) -> SimpleNamespace:
        self.called = (when, call, arguments)
        return SimpleNamespace(cancel=lambda: None)


def made(stall_ms: int = 100) -> tuple[Stalls, FakeLoop]:
    loop = FakeLoop()
    turn = SimpleNamespace(stall_us=0, on_stall=None)
    return Stalls(loop, turn, stall_ms), loop  # type: ignore[arg-type]


async def test_a_read_that_takes_too_long_is_told_with_its_connection(
    make_edge: MakeEdge, caplog: pytest.LogCaptureFixture
) -> None:
    edge = make_edge(Slow)
    stalls = Stalls(asyncio.get_running_loop(), edge.turn, 20)
    _, writer, connection = await edge.connect()
    with caplog.at_level(logging.WARNING):
        writer.write(b"x")
        await until(lambda: stalls.counts["reading"] > 0)
    (record,) = caplog.records
    assert record.getMessage() == "the event loop stood still"
    assert record.__dict__["part"] == "reading"
    assert record.__dict__["connection"] == connection.number
    assert record.__dict__["peer"] == connection.peer
    assert 40 <= record.__dict__["ms"] < 5000
    assert stalls.longest_s >= 0.04
    stalls.stop()
    assert edge.turn.stall_us == 0


async def test_a_quick_turn_is_no_stall(make_edge: MakeEdge) -> None:
    edge = make_edge(Recorder)
    stalls = Stalls(asyncio.get_running_loop(), edge.turn, 5000)
    _, writer, connection = await edge.connect()
    writer.write(b"x" * 1000)
    await until(lambda: len(connection.received) == 1000)
    assert stalls.counts == {"reading": 0, "committing": 0, "sending": 0, "elsewhere": 0}


def test_the_beat_measures_how_late_the_loop_is() -> None:
    stalls, loop = made()
    stalls.start()
    due, beat, arguments = loop.called
    loop.now_s = due + 0.003
    beat(*arguments)
    assert stalls.lag_counts[LAG_BOUNDS_S.index(0.005)] == 1
    assert stalls.lag_sum_s == pytest.approx(0.003)
    assert sum(stalls.counts.values()) == 0
    assert loop.called[0] == pytest.approx(loop.now_s + 0.1)


def test_what_was_not_in_a_turn_was_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    stalls, _ = made()
    with caplog.at_level(logging.WARNING):
        stalls.note_lag(0.5)
    assert stalls.counts["elsewhere"] == 1
    assert caplog.records[0].__dict__["part"] == "elsewhere"


def test_a_stall_is_counted_once_though_the_beat_was_late_for_it() -> None:
    stalls, _ = made()
    stalls.in_turn("committing", None, 0.48)
    stalls.note_lag(0.5)
    assert stalls.counts == {"reading": 0, "committing": 1, "sending": 0, "elsewhere": 0}
    stalls.note_lag(0.5)
    assert stalls.counts["elsewhere"] == 1


def test_the_log_has_one_a_second_and_says_what_it_left_out(caplog: pytest.LogCaptureFixture) -> None:
    stalls, loop = made()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            stalls.in_turn("sending", None, 0.2)
        loop.now_s = 1.5
        stalls.in_turn("sending", None, 0.2)
    assert [record.__dict__.get("left_out") for record in caplog.records] == [None, 2]
    assert stalls.counts["sending"] == 4


def test_without_a_threshold_the_turn_measures_nothing() -> None:
    stalls, _ = made(stall_ms=0)
    assert stalls.turn.stall_us == 0
    stalls.note_lag(5.0)
    assert sum(stalls.counts.values()) == 0
    assert stalls.lag_counts[-1] == 1
