"""A WebSocket without a socket: what a client sends goes in, what it would read comes out, time is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from broker.core.clock import ManualClock
from broker.limits import Limits
from broker.websocket.connection import CarriedOutput, WebSocketConnection
from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.wire.connection import PythonConnection
from broker.wire.output import Output
from tests.support.peer import Core
from tests.support.websocket_frames import Frame, read_frames, request

if TYPE_CHECKING:
    from tests.unit.websocket.native_peer import MakeNative, Native


class Recorder(PythonConnection):
    """Takes what comes in units of `unit` octets, and remembers what it was told."""

    unit = 1

    def __init__(self, subprotocol: str = "") -> None:
        self.subprotocol = subprotocol
        self.feeds: list[bytes] = []
        self.lost_reasons: list[str] = []
        self.writable_count = 0
        self.answer = b""
        self.pauses = False

    @property
    def received(self) -> bytes:
        return b"".join(self.feeds)

    def on_received(self, data: bytes) -> int:
        if self.pauses:
            self.output.pause_reading()
            return 0
        taken = len(data) // self.unit * self.unit
        if taken:
            self.feeds.append(data[:taken])
            self.send(self.answer)
        return taken

    def on_writable(self) -> None:
        self.writable_count += 1

    def lost(self, reason: str) -> None:
        self.lost_reasons.append(reason)

    def shut_down(self, text: str) -> None:
        self.send(b"bye")
        self.output.close()


class SocketlessOutput(Output):
    """The edge's output; knows whether it reads."""

    paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Harness:
    """A client and the edge in one."""

    def __init__(
        self,
        dialect: Callable[[], Recorder] = Recorder,
        *,
        high_bytes: int = 1 << 20,
        limits: Any = None,
        **settings: Any,
    ) -> None:
        self.clock = ManualClock()
        self.dialects: list[Recorder] = []

        def make(_listener: object, subprotocol: str) -> Recorder:
            self.dialects.append(dialect())
            self.dialects[-1].subprotocol = subprotocol
            return self.dialects[-1]

        paths = {
            "/stream": Path(make, ("stream", "stream.old"), is_optional=True),
            "/named": Path(make, ("named",)),
            "/messages": Path(
                make, ("in.text", "in.octets"), is_optional=True, by_message=True, in_text=frozenset(("", "in.text"))
            ),
        }
        self.endpoint = WebSocketEndpoint(self.clock, Limits(**(limits or {})), paths, **settings)
        self.connection = WebSocketConnection(self.endpoint)
        self.output = SocketlessOutput(None, high_bytes)
        self.connection.attach(self.output)
        self.connection.peer = "10.0.0.9:4000"
        self.connection.opened()
        self.kept = bytearray()

    @property
    def dialect(self) -> Recorder:
        return self.dialects[-1]

    @property
    def carried_output(self) -> CarriedOutput:
        output = self.dialect.output
        assert isinstance(output, CarriedOutput)
        return output

    def feed(self, *data: bytes) -> None:
        """What one read brings, as an edge gives it: behind what was kept, and not at all after the end."""
        self.kept += b"".join(data)
        if self.kept and not self.output.is_closed and not self.output.paused:
            taken = self.connection.feed(self.kept)
            assert 0 <= taken <= len(self.kept)
            self.kept = self.kept[taken:]

    def said(self) -> bytes:
        """What the edge sends."""
        self.connection.before_sending()
        return self.output.take()

    def frames(self) -> list[Frame]:
        return read_frames(self.said())

    def upgrade(self, path: str = "/stream", **headers: str) -> str:
        """The response to the request."""
        self.feed(request(path, **headers))
        return self.said().decode()


@pytest.fixture
def make_harness() -> Callable[..., Harness]:
    return Harness


@pytest.fixture
def stream() -> Harness:
    """An open WebSocket that carries a stream."""
    harness = Harness()
    assert harness.upgrade().startswith("HTTP/1.1 101 ")
    return harness


@pytest.fixture
def messages() -> Harness:
    """An open WebSocket that carries text messages."""
    harness = Harness()
    assert harness.upgrade("/messages").startswith("HTTP/1.1 101 ")
    return harness


@pytest.fixture
def make_native(core: Core) -> MakeNative:
    from tests.unit.websocket.native_peer import Native

    def make(subprotocol: str = "", **settings: Any) -> Native:
        made = Native(core, subprotocol, **settings)
        assert [each["type"] for each in made.hello()] == ["welcome"]
        return made

    return make


@pytest.fixture
def native(make_native: MakeNative) -> Native:
    return make_native()
