"""The hot path does not get slower unnoticed: instructions per message beside the baseline, as `make gate` has them."""

from __future__ import annotations

import pytest

from benchmarks.micro import counting, gate
from benchmarks.micro.all_paths import PATHS
from benchmarks.micro.watched_paths import format_costs, watching_costs
from tests.support.skipping import skip_unless_ci

GATED = {"transient-16": 10_000, "durable-256": 5_120}
"""What most messages meet."""


@pytest.mark.timeout(400)  # valgrind is 50 times slower, and much more so on a busy machine
def test_the_hot_path_needs_no_more_than_1_3_times_its_baseline() -> None:
    if not counting.is_installed():
        skip_unless_ci("valgrind is not installed (the package is called valgrind)")

    verdicts = gate.judge(counting.count(GATED), gate.read_baseline())

    assert [verdict.path for verdict in verdicts] == list(GATED)
    assert all(verdict.passes for verdict in verdicts), "\n" + gate.format_verdicts(verdicts)


def test_every_path_has_a_baseline_and_no_other() -> None:
    assert set(gate.read_baseline()) == set(PATHS)


@pytest.mark.parametrize("name", PATHS)
def test_every_path_moves_what_it_says(name: str) -> None:
    work = PATHS[name].work()

    for messages in (1, 1500):
        assert work.prepare(messages) >= messages
        work.run()
        work.check()


@pytest.mark.parametrize(
    "name", ["transient-16", "fanout-10", "durable-256", "backlog-16", "connect", "mqtt-qos0-16", "mqtt-qos2-16"]
)
def test_a_path_that_loses_something_fails_its_check(name: str) -> None:
    work = PATHS[name].work()
    work.prepare(1500)
    with pytest.raises(AssertionError):
        work.check()


@pytest.mark.parametrize(
    ("instructions", "baseline", "passes"),
    [(100.0, 100.0, True), (130.0, 100.0, True), (130.2, 100.0, False), (20.0, 100.0, True), (100.0, None, False)],
)
def test_the_gate_is_shut_above_1_3_times_the_baseline_and_without_one(
    instructions: float, baseline: float | None, passes: bool
) -> None:
    (verdict,) = gate.judge({"a path": instructions}, {} if baseline is None else {"a path": baseline})

    assert verdict.passes is passes
    assert ("FAILS" in gate.format_verdicts([verdict]) or baseline is None) is not passes


def test_a_stale_baseline_is_pointed_out() -> None:
    assert "renew" in gate.format_verdicts(gate.judge({"a path": 50.0}, {"a path": 100.0}))


def test_a_part_without_a_total_is_an_error() -> None:
    assert counting.total_of("events: Ir\nsummary: 12\n\ntotals: 12\n") == 12
    with pytest.raises(counting.CountingError):
        counting.total_of("events: Ir\n")


def test_what_watching_costs_is_held_against_the_same_runs_plain_path() -> None:
    costs = watching_costs({"transient-16": 1000.0, "managed-16": 1029.0, "scraped-16": 1051.0})

    assert [(cost.path, cost.passes) for cost in costs] == [("managed-16", True), ("scraped-16", False)]
    assert "scraped-16" in format_costs(costs)
    assert format_costs(costs).count("FAILS") == 1
    assert watching_costs({"managed-16": 1000.0}) == []
