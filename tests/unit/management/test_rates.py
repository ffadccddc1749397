"""Rates and the samples that UI tools draw their charts of: made of looks, bounded."""

from __future__ import annotations

from broker.management.rates import HISTORIES_MAX, LENGTHS, LOOKS_MAX, OBJECTS_MAX, AskedRates, Rates, Window

SINCE_1970_S = 1_000_000.0


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def looking() -> tuple[Clock, Rates]:
    clock = Clock()
    return clock, Rates(clock, lambda: SINCE_1970_S + clock.now)


def test_samples_lie_on_the_line_between_looks_and_the_newest_is_first() -> None:
    clock, rates = looking()
    rates.with_rates("q", {"publish": 0}, Window(60, 5))
    clock.now += 10
    rates.with_rates("q", {"publish": 100}, Window(60, 5))
    clock.now += 10
    details = rates.with_rates("q", {"publish": 140}, Window(15, 5))["publish_details"]

    now_ms = int((SINCE_1970_S + clock.now) * 1000)
    assert details == {
        "rate": 4.0,
        "samples": [
            {"sample": sample, "timestamp": now_ms - 5000 * step} for step, sample in enumerate((140, 120, 100, 50))
        ],
        "avg": 102.5,
        "avg_rate": 6.0,
    }


def test_a_history_begins_when_it_is_first_asked_for() -> None:
    clock, rates = looking()
    rates.with_rates("q", {"publish": 0})
    clock.now += 10
    details = rates.with_rates("q", {"publish": 50}, Window(60, 5))["publish_details"]

    assert isinstance(details, dict)
    assert details["rate"] == 5.0
    assert [each["sample"] for each in details["samples"]] == [50]


def test_looks_without_a_window_add_to_a_history_that_is_kept() -> None:
    clock, rates = looking()
    rates.with_rates("q", {"publish": 0}, Window(60, 5))
    clock.now += 5
    rates.with_rates("q", {"publish": 7})
    clock.now += 5
    details = rates.with_rates("q", {"publish": 9}, Window(60, 5))["publish_details"]

    assert isinstance(details, dict)
    assert [each["sample"] for each in details["samples"]] == [9, 7, 0]


def test_a_length_may_fall_and_a_counter_that_does_began_anew() -> None:
    clock, rates = looking()
    asked = AskedRates(rates, {})
    asked.with_rates("depth", {"messages": 50}, LENGTHS)
    asked.with_rates("stats", {"publish": 50})
    clock.now += 10

    assert asked.with_rates("depth", {"messages": 0}, LENGTHS)["messages_details"] == {"rate": -5.0}
    assert asked.with_rates("stats", {"publish": 0})["publish_details"] == {"rate": 0.0}


def test_looks_and_histories_are_bounded() -> None:
    clock, rates = looking()
    for index in range(OBJECTS_MAX + 10):
        rates.with_rates(index, {"n": 1})
    for index in range(HISTORIES_MAX + 10):
        rates.with_rates(index, {"n": 1}, Window(60, 5))
    for _ in range(LOOKS_MAX + 10):
        clock.now += 1
        rates.with_rates("one", {"n": 1}, Window(60, 5))

    assert len(rates.looks) == OBJECTS_MAX
    assert len(rates.histories) == HISTORIES_MAX
    assert len(rates.histories["one"]) == LOOKS_MAX
