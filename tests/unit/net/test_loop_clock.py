"""The operating system's time, driving a clock through one timer of the loop."""

from __future__ import annotations

import asyncio
import time

from broker.core.clock import Clock
from broker.net.loop_clock import LoopClock
from tests.unit.net.conftest import until


async def test_timers_fire_and_a_turn_follows() -> None:
    clock, woken = Clock(), [0]

    def wake() -> None:
        woken[0] += 1

    loop_clock = LoopClock(asyncio.get_running_loop(), clock.advance, wake)
    clock.now_ms = loop_clock.time_ms()
    clock.earlier = loop_clock.earlier
    fired: list[int] = []
    started_ms = clock.now_ms
    clock.call_at(started_ms + 60, lambda: fired.append(60))
    clock.call_at(started_ms + 20, lambda: fired.append(20))
    await until(lambda: len(fired) == 2)

    assert fired == [20, 60]
    assert clock.now_ms >= started_ms + 60
    assert woken[0] >= 2


async def test_a_stopped_clock_fires_no_more() -> None:
    clock = Clock()
    loop_clock = LoopClock(asyncio.get_running_loop(), clock.advance, lambda: None)
    clock.earlier = loop_clock.earlier
    fired: list[int] = []
    clock.call_at(loop_clock.time_ms() + 10, lambda: fired.append(1))
    loop_clock.stop()
    await asyncio.sleep(0.05)

    assert fired == []


async def test_the_time_is_the_wall_clock() -> None:
    loop_clock = LoopClock(asyncio.get_running_loop(), lambda now_ms: 0, lambda: None)

    assert abs(loop_clock.time_ms() - time.time() * 1000) < 1000
    readings = [loop_clock.time_ms() for _ in range(1000)]
    assert readings == sorted(readings)


async def test_waiting_costs_nothing() -> None:
    clock, woken = Clock(), [0]

    def wake() -> None:
        woken[0] += 1

    loop_clock = LoopClock(asyncio.get_running_loop(), clock.advance, wake)
    clock.earlier = loop_clock.earlier
    clock.call_at(loop_clock.time_ms() + 150, lambda: None)
    await asyncio.sleep(0.1)

    assert woken[0] == 0
    loop_clock.stop()
