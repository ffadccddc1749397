"""When a broker that is told to go goes."""

from __future__ import annotations

import asyncio

from broker.draining import Draining


async def test_it_is_begun_at_once_and_over_when_its_time_has_come() -> None:
    draining = Draining(lambda: 0.01)
    assert not draining.is_begun
    draining.begin()

    assert draining.is_begun
    assert not draining.over.is_set()
    await asyncio.wait_for(draining.over.wait(), 5)


async def test_the_earlier_of_two_times_counts() -> None:
    draining = Draining(lambda: 600)
    assert 0 < draining.begin(0.01) <= 0.01
    assert draining.begin(600) <= 0.01

    await asyncio.wait_for(draining.over.wait(), 5)


async def test_a_second_signal_does_not_wait() -> None:
    draining = Draining(lambda: 600)
    draining.on_signal()
    assert draining.begin(599) <= 599
    draining.on_signal()

    await asyncio.wait_for(draining.over.wait(), 5)
