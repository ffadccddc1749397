"""Typed public signatures of `stream.pyx`."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from broker.net.listener import Listener
from broker.net.turn import Link, Turn
from broker.wire.buffers import BufferPool
from broker.wire.connection import Connection

class StreamEdge:
    read_bytes_max: int
    connections_max: int
    accepted_count: int
    refused_count: int
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
        pool: BufferPool | None = None,
        *,
        read_bytes_max: int = ...,
        high_bytes: int = ...,
        bytes_max: int = ...,
        connections_max: int = ...,
        linger_s: float = ...,
    ) -> None: ...
    @property
    def connection_count(self) -> int: ...
    def connections(self) -> list[Connection]: ...
    def adopt(
        self,
        transport: asyncio.BaseTransport,
        listener: object,
        factory: Callable[[Any], Connection],
        received: bytearray,
        peer: str = "",
    ) -> asyncio.Future[None]: ...
    def stop_listening(self) -> None: ...
    async def listen(
        self, listener: Listener, factory: Callable[[Listener], Connection], handshake_timeout_s: float = ...
    ) -> asyncio.Server: ...
    async def take(
        self,
        accepted: socket.socket,
        peer: str,
        listener: Listener,
        factory: Callable[[Listener], Connection],
        handshake_timeout_s: float = ...,
    ) -> None: ...
    def close(self) -> None: ...

class StreamLink(Link): ...
class StreamProtocol(StreamLink, asyncio.BufferedProtocol): ...
