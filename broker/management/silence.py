"""HTTP connections on which nothing is asked: they end, so that nobody holds the broker's descriptors by saying little.

Owns how long one may take for its first request, and between two, and how many there may be. Refuses to know what is
asked; whoever is answered, or has not yet read all of its answer, is not silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

FIRST_S = 10.0
"""From the connection to the end of the first request's head."""
NEXT_S = 75.0
"""From an answer to the end of the next request's head."""
CONNECTIONS_MAX = 10_000
"""Of one port; above it the longest silent ones end."""
LOOK_S = 1.0

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Silence:
    """Of one port."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX) -> None:
        self.connections_max = connections_max
        self.asking: set[Any] = set()
        self.answered: set[Any] = set()
        self.since_s: dict[Any, float] = {}
        self.timer: asyncio.TimerHandle | None = None

    @web.middleware
    async def notice(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """A request is there, until it has an answer."""
        connection = request.protocol
        self.asking.add(connection)
        try:
            return await handler(request)
        finally:
            self.asking.discard(connection)
            self.answered.add(connection)
            self.since_s[connection] = asyncio.get_running_loop().time()

    def watch(self, served: Any) -> None:
        """Look at the connections of an aiohttp.web.Server, again and again."""
        loop = asyncio.get_running_loop()
        for each in self.silent(served.connections, loop.time()):
            each.force_close()
        self.timer = loop.call_later(LOOK_S, self.watch, served)

    def stop(self) -> None:
        """No more."""
        if self.timer is not None:
            self.timer.cancel()

    def silent(self, connections: Iterable[Any], now_s: float) -> list[Any]:
        """Those that have been silent for too long, or the longest where there are too many."""
        there = set(connections)
        for each in there:
            transport = each.transport
            if each in self.asking or (transport is not None and transport.get_write_buffer_size()):
                self.since_s[each] = now_s
        self.since_s = {each: self.since_s.get(each, now_s) for each in there}
        self.answered &= there
        over = max(0, len(there) - self.connections_max)
        longest = sorted(there - self.asking, key=lambda each: self.since_s[each])
        late = [each for each in longest[over:] if now_s - self.since_s[each] >= self.patience_s(each)]
        return longest[:over] + late

    def patience_s(self, connection: Any) -> float:
        """How long this one may say nothing."""
        return NEXT_S if connection in self.answered else FIRST_S
