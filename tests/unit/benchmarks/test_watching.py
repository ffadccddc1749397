"""The comparison of watched and unwatched brokers: ratios within a round, medians over rounds."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.row import PER_CPU_SECOND, RATE
from benchmarks.rows import ROWS
from benchmarks.watching import MODES, OFF, ON, SCRAPED, compare, cost_of


class FakeBench:
    """Measures what it is told to, in the order in which it is asked."""

    def __init__(self, rates: dict[str, list[float]]) -> None:
        self.rates = rates
        self.asked: list[str] = []

    def measure(self, row: Any, mode: str) -> dict[str, Any]:
        rate = self.rates[mode][self.asked.count(mode)]
        self.asked.append(mode)
        return {RATE: rate, PER_CPU_SECOND: 2 * rate}


def test_costs_are_medians_of_each_rounds_ratio() -> None:
    bench = FakeBench({OFF: [100, 200, 1000], ON: [98, 190, 990], SCRAPED: [95, 198, 500]})
    off, costs = compare(bench, ROWS[0], 3)  # type: ignore[arg-type]
    assert off[RATE] == 200
    assert costs[ON][RATE].median == pytest.approx(2.0)
    assert costs[SCRAPED][RATE].median == pytest.approx(5.0)
    assert costs[ON][PER_CPU_SECOND].median == pytest.approx(2.0)


def test_the_interval_of_a_median_is_that_of_its_order_statistics() -> None:
    """Of 20 rounds the 6th and the 15th (binomial: 2.07 % lie outside on each side)."""
    cost = cost_of([1 - number / 100 for number in range(20)])
    assert cost.median == pytest.approx(9.5)
    assert [cost.low, cost.high] == pytest.approx([5.0, 14.0])
    assert cost_of([0.98, 0.97]).low == pytest.approx(2.0)


def test_no_mode_is_always_the_first() -> None:
    bench = FakeBench({mode: [1, 1, 1] for mode in MODES})
    compare(bench, ROWS[0], 3)  # type: ignore[arg-type]
    assert [bench.asked[index] for index in (0, 3, 6)] == [OFF, ON, SCRAPED]


def test_a_measurement_that_fails_ends_it() -> None:
    class Failing(FakeBench):
        def measure(self, row: Any, mode: str) -> dict[str, Any]:
            return {"error": "no end"}

    with pytest.raises(SystemExit, match="no end"):
        compare(Failing({}), ROWS[0], 1)  # type: ignore[arg-type]
