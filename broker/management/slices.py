"""Long answers in slices of the loop's time: between two of them messages go on.

Owns how long a slice is, and answers that are made while they are sent: of 100,000 queues nobody holds all the rows,
neither as objects nor as text, however slowly a client reads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from broker.management.replies import AS_OF_NOW, ENCODER

SLICE_S = 0.005
ROWS_AT_ONCE = 20
"""So many are shaped and encoded between two looks at the time."""

T = TypeVar("T")


class Pace:
    """Of one answer."""

    def __init__(self) -> None:
        self.until_s = time.perf_counter() + SLICE_S

    @property
    def is_over(self) -> bool:
        """The slice is."""
        return time.perf_counter() >= self.until_s

    async def keep(self) -> None:
        """Let others go on, where the slice is over."""
        if self.is_over:
            await asyncio.sleep(0)
            self.until_s = time.perf_counter() + SLICE_S


async def sliced(rows: Iterable[T]) -> list[T]:
    """Makes the rows, and lets the messages go on in between."""
    pace = Pace()
    made: list[T] = []
    for row in rows:
        made.append(row)
        await pace.keep()
    return made


async def done(steps: Iterable[object]) -> None:
    """Takes all steps of some work of the core, and lets the messages go on in between."""
    pace = Pace()
    for _ in steps:
        await pace.keep()


async def pieces(rows: Iterable[Any]) -> AsyncIterator[bytes]:
    """A JSON list of the rows, in pieces."""
    pace = Pace()
    made: list[bytes] = []
    waiting: list[Any] = []
    opening = b"["
    for row in rows:
        waiting.append(row)
        if len(waiting) < ROWS_AT_ONCE:
            continue
        made.append(ENCODER.encode(waiting)[1:-1])
        waiting = []
        if pace.is_over:
            yield opening + b",".join(made)
            opening, made = b",", []
            await pace.keep()
    if waiting:
        made.append(ENCODER.encode(waiting)[1:-1])
    yield (opening if made or opening == b"[" else b"") + b",".join(made) + b"]"


async def answer_rows(rows: Iterable[Any]) -> web.Response:
    """A JSON list. What takes more than a slice is made while it is sent, and has no Content-Length."""
    making = pieces(rows)
    first = await anext(making)
    second = await anext(making, None)
    if second is None:
        return web.Response(body=first, headers=AS_OF_NOW, content_type="application/json")
    return web.Response(body=rejoined((first, second), making), headers=AS_OF_NOW, content_type="application/json")


def answer_object(small: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> web.Response:
    """A JSON object: some fields as they are, and lists that are made while they are sent."""
    return web.Response(body=object_pieces(small, lists), headers=AS_OF_NOW, content_type="application/json")


async def object_pieces(small: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> AsyncIterator[bytes]:
    """The same, in pieces. `small` has a field at least."""
    yield ENCODER.encode(small)[:-1]
    for name, rows in lists.items():
        yield b"," + ENCODER.encode(name) + b":"
        async for piece in pieces(rows):
            yield piece
    yield b"}"


async def rejoined(first: Iterable[bytes], following: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was looked at already, and the rest."""
    for each in first:
        yield each
    async for each in following:
        yield each
