"""A poller on a real loop with a listener on the loopback interface."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from broker.net.listener import listen
from broker.net.poller import Poller
from broker.net.stream import StreamEdge
from broker.net.turn import Turn
from broker.wire.buffers import BufferPool
from broker.wire.connection import PythonConnection


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Recorder(PythonConnection):
    """Takes what comes, in units of `unit` bytes, and remembers everything that it was told."""

    unit = 1
    bites_max = 1 << 30  # how much of one feed it takes

    def __init__(self) -> None:
        self.received = bytearray()
        self.feeds: list[int] = []
        self.was_opened = False
        self.lost_reasons: list[str] = []
        self.writable_count = 0

    def opened(self) -> None:
        self.was_opened = True

    def on_received(self, data: bytes) -> int:
        self.feeds.append(len(data))
        taken = min(len(data), self.bites_max) // self.unit * self.unit
        self.received += data[:taken]
        return taken

    def on_writable(self) -> None:
        self.writable_count += 1

    def lost(self, reason: str) -> None:
        self.lost_reasons.append(reason)


class Echo(Recorder):
    """Sends back what it takes."""

    def on_received(self, data: bytes) -> int:
        taken = super().on_received(data)
        self.send(data[:taken])
        return taken


class Edge:
    """A turn, its poller and one listener; `made` holds the connections in the order in which they came."""

    def __init__(self, factory: Callable[[], PythonConnection] = Recorder, hooks: Any = None, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn = Turn(self.loop, hooks)
        self.pool = BufferPool()
        self.poller = Poller(self.loop, self.turn, self.pool, **settings)
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listening.setblocking(False)
        self.address: tuple[str, int] = self.listening.getsockname()
        self.made: list[Any] = []
        self.clients: list[asyncio.StreamWriter] = []

        def make(listener: object) -> PythonConnection:
            connection = factory()
            self.made.append(connection)
            return connection

        self.poller.listen(self.listening.fileno(), f"127.0.0.1:{self.address[1]}", make)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
        """A client, and the connection that the edge made of it."""
        before = len(self.made)
        reader, writer = await asyncio.open_connection(*self.address)
        await until(lambda: len(self.made) > before)
        self.clients.append(writer)  # the garbage collector would close it
        return reader, writer, self.made[-1]

    def close(self) -> None:
        self.poller.close()
        self.listening.close()


class StreamsEdge:
    """The same over the loop's transports, with or without TLS."""

    def __init__(self, factory: Callable[[], PythonConnection], **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn = Turn(self.loop)
        self.pool = BufferPool()
        self.streams = StreamEdge(self.loop, self.turn, self.pool, **settings)
        self.factory = factory
        self.made: list[Any] = []
        self.clients: list[asyncio.StreamWriter] = []

    async def listen(self, tls: ssl.SSLContext | None) -> None:
        self.listener = listen("test", "127.0.0.1", 0, backlog=64, tls=tls)
        self.server = await self.streams.listen(self.listener, self.make)

    def make(self, listener: object) -> PythonConnection:
        connection = self.factory()
        self.made.append(connection)
        return connection

    async def connect(
        self, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
        before = len(self.made)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port, ssl=tls)
        await until(lambda: len(self.made) > before)
        self.clients.append(writer)
        return reader, writer, self.made[-1]

    def close(self) -> None:
        self.server.close()
        self.streams.close()


async def until(probe: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Let the loop run until `probe()` is true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not probe():
        assert asyncio.get_running_loop().time() < deadline, "did not happen in time"
        await asyncio.sleep(0.002)


@pytest_asyncio.fixture
async def make_streams() -> AsyncIterator[Callable[..., Awaitable[StreamsEdge]]]:
    edges: list[StreamsEdge] = []

    async def make(
        factory: Callable[[], PythonConnection] = Recorder, tls: ssl.SSLContext | None = None, **settings: Any
    ) -> StreamsEdge:
        edges.append(StreamsEdge(factory, **settings))
        await edges[-1].listen(tls)
        return edges[-1]

    yield make
    for edge in edges:
        edge.close()


@pytest_asyncio.fixture
async def make_edge() -> AsyncIterator[Callable[..., Edge]]:
    edges: list[Edge] = []

    def make(*args: Any, **settings: Any) -> Edge:
        edges.append(Edge(*args, **settings))
        return edges[-1]

    yield make
    for edge in edges:
        edge.close()
