"""When the garbage collector looks at what."""

from __future__ import annotations

import pytest

from broker.core.clock import ManualClock
from broker.garbage import LOOK_MS, NEW_INTERVAL_MS, NEW_MAX, SHARE, Garbage


class Collector:
    """Takes `takes_s` for everything, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.new = 0
        self.takes_s = 0.0
        self.now_s = 0.0

    def collect(self, generation: int = 2) -> None:
        self.asked.append(generation)
        self.new = 0
        if generation == 2:
            self.now_s += self.takes_s

    def get_count(self) -> tuple[int, int, int]:
        return self.new, 0, 0

    def freeze(self) -> None:
        self.asked.append("freeze")

    def unfreeze(self) -> None:
        self.asked.append("unfreeze")

    def disable(self) -> None:
        self.asked.append("disable")

    def enable(self) -> None:
        self.asked.append("enable")


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def clock(collector: Collector) -> ManualClock:
    clock = ManualClock()
    Garbage(clock, collector, lambda: collector.now_s).start()
    assert collector.asked == [2, "freeze", "disable"]
    collector.asked.clear()
    return clock


def pass_ms(clock: ManualClock, milliseconds: int) -> None:
    for _ in range(milliseconds // LOOK_MS):
        clock.advance(clock.now_ms + LOOK_MS)


def test_a_quiet_process_is_looked_at_once_a_minute(clock: ManualClock, collector: Collector) -> None:
    pass_ms(clock, 3 * NEW_INTERVAL_MS)

    assert collector.asked == [2, 2, 2]


def test_much_that_is_new_is_looked_at_soon(clock: ManualClock, collector: Collector) -> None:
    collector.new = NEW_MAX
    pass_ms(clock, LOOK_MS)
    collector.new = NEW_MAX - 1
    pass_ms(clock, 10 * LOOK_MS)

    assert collector.asked == [1]


def test_what_takes_long_is_done_rarely(clock: ManualClock, collector: Collector) -> None:
    collector.takes_s = 0.25
    pass_ms(clock, NEW_INTERVAL_MS)
    assert collector.asked == [2]
    pass_ms(clock, 250 * SHARE - LOOK_MS)
    assert set(collector.asked[1:]) == {1}
    pass_ms(clock, LOOK_MS)

    assert collector.asked[-1] == 2


def test_afterwards_python_collects_as_ever(collector: Collector) -> None:
    clock = ManualClock()
    garbage = Garbage(clock, collector, lambda: collector.now_s)
    garbage.start()
    garbage.stop()
    collector.asked.clear()
    pass_ms(clock, 2 * NEW_INTERVAL_MS)

    assert collector.asked == []
