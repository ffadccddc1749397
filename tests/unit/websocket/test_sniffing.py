"""Two protocols on one port, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from broker.core.clock import ManualClock
from broker.limits import Limits
from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.websocket.sniffing import sniffing
from broker.wire.connection import Connection
from tests.support.websocket_frames import BINARY, frame, read_frames, request
from tests.unit.net.conftest import Echo, Edge, until


class Port:
    """A poller with one port that speaks two protocols: both echo, and are told apart by `kinds`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.kinds: list[str] = []
        path = Path(lambda _listener, _subprotocol: self.make("websocket"), ("echo",), is_optional=True)
        self.endpoint = WebSocketEndpoint(self.clock, Limits(), {"/echo": path})
        self.edge = Edge(self.accept)  # type: ignore[arg-type]

    def make(self, kind: str) -> Echo:
        self.kinds.append(kind)
        return Echo()

    def accept(self) -> Connection:
        return sniffing(self.endpoint, lambda _listener: self.make("raw"))(None)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[Port]:
    made = Port()
    yield made
    made.edge.close()


@pytest.mark.parametrize("pieces", [1, 1000], ids=["octet by octet", "at once"])
async def test_an_http_request_becomes_a_websocket(port: Port, pieces: int) -> None:
    reader, writer, _ = await port.edge.connect()
    sent = request("/echo") + frame(BINARY, b"hello")
    for start in range(0, len(sent), pieces):
        writer.write(sent[start : start + pieces])
        await asyncio.sleep(0)
    response = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)

    assert response.startswith(b"HTTP/1.1 101 ")
    heard = b""
    while not heard.endswith(b"o"):
        heard += await asyncio.wait_for(reader.read(100), 5)
    assert b"".join(each.payload for each in read_frames(heard)) == b"hello"
    assert port.kinds == ["websocket"]


async def test_everything_else_is_what_the_port_is_for(port: Port) -> None:
    reader, writer, _ = await port.edge.connect()
    writer.write(b"AMQP\x00\x00\x09\x01")

    assert await asyncio.wait_for(reader.readexactly(8), 5) == b"AMQP\x00\x00\x09\x01"
    assert port.kinds == ["raw"]
    assert [type(each) for each in port.edge.poller.connections()] == [Echo]


async def test_who_says_nothing_is_cut(port: Port) -> None:
    reader, _, _ = await port.edge.connect()
    port.clock.pass_ms(Limits().handshake_timeout_ms)

    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert port.kinds == []


async def test_who_leaves_without_a_word_leaves_nothing(port: Port) -> None:
    _, writer, _ = await port.edge.connect()
    writer.close()
    await until(lambda: not port.edge.poller.connections())
    port.clock.pass_ms(1_000_000)

    assert port.endpoint.timed_out == {}
