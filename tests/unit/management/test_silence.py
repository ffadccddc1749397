"""HTTP connections on which nothing is asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from broker.management.silence import FIRST_S, NEXT_S, Silence
from tests.unit.management.conftest import Client


class Connection:
    """With so many bytes that its client has not yet read."""

    def __init__(self, unread: int = 0) -> None:
        self.unread = unread
        self.transport = SimpleNamespace(get_write_buffer_size=lambda: self.unread)


async def test_the_first_request_has_to_come_soon_and_the_next_in_time() -> None:
    silence = Silence()
    never, asked = Connection(), Connection()

    async def answer(request: Any) -> web.StreamResponse:
        assert silence.silent([never, asked], now_s + FIRST_S) == [never]
        return web.Response()

    now_s = asyncio.get_running_loop().time()
    assert silence.silent([never, asked], now_s) == []
    request: Any = SimpleNamespace(protocol=asked)
    await silence.notice(request, answer)

    answered_s = silence.since_s[asked]
    assert silence.silent([asked], answered_s + NEXT_S - 1) == []
    assert silence.silent([asked], answered_s + NEXT_S) == [asked]


def test_who_still_reads_is_not_silent() -> None:
    silence = Silence()
    reader = Connection(unread=1)
    assert silence.silent([reader], 0) == []
    assert silence.silent([reader], 1000) == []
    reader.unread = 0

    assert silence.silent([reader], 1000 + FIRST_S) == [reader]


def test_of_too_many_the_longest_silent_end() -> None:
    silence = Silence(connections_max=2)
    first, second, third = Connection(), Connection(), Connection()
    silence.silent([first], 0)
    silence.silent([first, second], 1)

    assert silence.silent([first, second, third], 2) == [first]


def test_what_is_gone_is_forgotten() -> None:
    silence = Silence()
    silence.silent([Connection()], 0)
    silence.silent([], 1)

    assert not silence.since_s


async def test_a_compressed_request_is_refused_unread(client: Client) -> None:
    answer = await client.post("/api/definitions", data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    assert answer.status == 415
