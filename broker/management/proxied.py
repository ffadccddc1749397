"""HTTP behind load balancers that say who the client is before the first request.

Owns giving that address to whoever asks a request for its peer. Refuses to know how the proxy has said it: the
composition root accepts, and hands each socket over with its client.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.management.request_log import request_log

Through = Callable[[Callable[[socket.socket, str], Awaitable[None]]], None]
"""Is given what serves a socket, and the client's `192.0.2.1:50000`."""

CONNECTION: dict[str, Any] = {"access_log": None, "auto_decompress": False}
"""How every connection of a port is served. Nothing is unpacked: 300 KB may be 300 MB."""


class ProxiedRequests(web.RequestHandler):
    """The requests of one connection."""

    __slots__ = ("client",)

    def __init__(self, served: Any, client: str) -> None:
        """`served`: the runner's server."""
        super().__init__(served, loop=asyncio.get_running_loop(), logger=request_log(), **CONNECTION)
        host, _, port = client.rpartition(":")
        self.client = (host.strip("[]"), int(port))

    @property
    def peername(self) -> tuple[str, int]:
        """The client, and not who stands in front of it."""
        return self.client


async def serve_proxied(runner: web.AppRunner, tls: Any, accepted: socket.socket, client: str) -> None:
    """Serve a socket that somebody else has accepted. `tls`: the context of an HTTPS port, or None. Raises OSError."""
    served, loop = runner.server, asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: ProxiedRequests(served, client), accepted, ssl=tls)
