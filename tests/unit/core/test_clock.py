"""The injected clock and its timers."""

from __future__ import annotations

from functools import partial

import pytest

from broker.core.clock import Clock, ManualClock


def test_timers_fire_at_their_time_in_order() -> None:
    clock = ManualClock(1000)
    fired: list[tuple[str, int]] = []
    for name, due_ms in (("c", 1300), ("a", 1100), ("b", 1100)):
        clock.call_at(due_ms, partial(lambda each: fired.append((each, clock.now_ms)), name))
    clock.pass_ms(99)
    assert fired == []
    clock.pass_ms(1000)

    assert fired == [("a", 1100), ("b", 1100), ("c", 1300)]
    assert clock.now_ms == 2099


def test_a_cancelled_timer_never_fires() -> None:
    clock = ManualClock()
    fired: list[int] = []
    timer = clock.call_at(clock.now_ms + 10, lambda: fired.append(1))
    timer.cancel()
    timer.cancel()
    clock.pass_ms(100)

    assert fired == []
    assert timer.cancelled


def test_cancelling_after_firing_is_harmless() -> None:
    clock = ManualClock()
    timer = clock.call_at(clock.now_ms, lambda: None)
    clock.pass_ms(1)
    timer.cancel()

    assert not timer.cancelled


def test_a_timer_in_the_past_fires_at_the_next_advance() -> None:
    clock = ManualClock()
    fired: list[int] = []
    clock.call_at(5, lambda: fired.append(1))
    assert fired == []
    clock.pass_ms(0)
    assert fired == [1]


def test_a_timer_set_by_a_timer_for_now_waits_for_the_next_advance() -> None:
    clock = Clock(100)
    fired: list[int] = []

    def again() -> None:
        fired.append(len(fired))
        clock.call_at(0, again)

    clock.call_at(0, again)
    clock.advance(100)
    assert fired == [0]
    clock.advance(101)
    assert fired == [0, 1]


def test_time_never_goes_back() -> None:
    clock = Clock(100)
    clock.advance(50)

    assert clock.now_ms == 100


def test_advance_tells_when_the_next_timer_is_due() -> None:
    clock = Clock(0)
    assert clock.advance(1) == 0
    first = clock.call_at(10, lambda: None)
    clock.call_at(20, lambda: None)
    assert clock.advance(2) == 10
    first.cancel()
    assert clock.advance(3) == 20


def test_whoever_drives_the_clock_hears_of_an_earlier_timer() -> None:
    clock = Clock(0)
    heard: list[int] = []
    clock.earlier = heard.append
    clock.call_at(50, lambda: None)
    clock.call_at(60, lambda: None)
    clock.call_at(40, lambda: None)

    assert heard == [50, 40]


def test_a_failing_callback_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    fired: list[int] = []
    clock.call_at(1, lambda: 1 // 0)
    clock.call_at(2, lambda: fired.append(1))
    clock.pass_ms(0)

    assert fired == [1]
    assert "ZeroDivisionError" in caplog.text


def test_cancelled_timers_do_not_pile_up() -> None:
    clock = Clock(0)
    keep = clock.call_at(1_000_000, lambda: None)
    for index in range(10_000):
        clock.call_at(500_000 + index, lambda: None).cancel()

    assert clock.pending_count <= 200
    assert clock.advance(1) == keep.due_ms
