"""Typed public signatures of `poller.pyx`."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from broker.net.turn import Link, Source, Turn
from broker.wire.buffers import BufferPool
from broker.wire.connection import Connection

L = TypeVar("L")

class Poller(Source):
    read_bytes_max: int
    connections_max: int
    connection_count: int
    accepted_count: int
    refused_count: int
    accept_pause_count: int
    accepting: bool
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
        pool: BufferPool | None = None,
        *,
        read_bytes_max: int = ...,
        high_bytes: int = ...,
        bytes_max: int = ...,
        accepts_max: int = ...,
        connections_max: int = ...,
        linger_s: float = ...,
        accept_pause_s: float = ...,
    ) -> None: ...
    def listen(self, fd: int, listener: L, factory: Callable[[L], Connection]) -> None: ...
    def watch(self, fd: int) -> None: ...
    def connections(self) -> list[Connection]: ...
    @property
    def lingering_count(self) -> int: ...
    def stop_listening(self) -> None: ...
    def close(self) -> None: ...

class SocketLink(Link): ...
