"""Long answers in slices: what they hold, and that others come to their turn meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterable, Iterator
from typing import Any

import pytest
from aiohttp import web

from broker.management.slices import SLICE_S, answer_object, answer_rows, done, sliced


async def text_of(answered: web.Response) -> str:
    """The whole body, of either kind."""
    body: Any = answered.body
    if isinstance(body, bytes):
        return body.decode()
    pieces: AsyncIterable[bytes] = body._value
    return b"".join([piece async for piece in pieces]).decode()


def slowly(count: int) -> Iterator[dict[str, int]]:
    """Rows, each of which takes half a slice."""
    for number in range(count):
        until_s = time.perf_counter() + SLICE_S / 2
        while time.perf_counter() < until_s:
            pass
        yield {"number": number}


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 40, 41])
async def test_few_rows_are_answered_at_once(count: int) -> None:
    answered = await answer_rows({"number": number} for number in range(count))

    assert isinstance(answered.body, bytes)
    assert json.loads(await text_of(answered)) == [{"number": number} for number in range(count)]


@pytest.mark.parametrize("count", [20, 21, 40, 59, 60])
async def test_many_rows_are_made_while_they_are_sent(count: int) -> None:
    answered = await answer_rows(slowly(count))

    assert json.loads(await text_of(answered)) == list(slowly(count))


async def test_an_object_holds_its_fields_and_its_lists() -> None:
    answered = answer_object({"version": "1"}, {"empty": iter(()), "some": slowly(45)})

    assert json.loads(await text_of(answered)) == {"version": "1", "empty": [], "some": list(slowly(45))}


@pytest.mark.parametrize("work", [sliced, done])
async def test_others_come_to_their_turn(work: Any) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    await work(slowly(20))
    other.cancel()

    assert turns >= 8
