"""A client of the native dialect without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack

from broker.websocket.connection import WebSocketConnection
from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.websocket.native import SUBPROTOCOLS, NativeEndpoint
from tests.support.peer import Core
from tests.support.websocket_frames import BINARY, CLOSE, TEXT, Frame, frame, read_frames, request
from tests.unit.websocket.conftest import SocketlessOutput

MakeNative = Callable[..., "Native"]


class Native:
    """A client of the native dialect on a broker of the test's own."""

    def __init__(self, core: Core, subprotocol: str = "", *, high_bytes: int = 1 << 20, **settings: Any) -> None:
        self.core = core
        self.is_binary = subprotocol.endswith("msgpack")
        self.native = NativeEndpoint(core.broker, core.limits, **settings)
        path = Path(
            self.native.make,
            tuple(filter(None, SUBPROTOCOLS)),
            is_optional=True,
            by_message=True,
            in_text=frozenset(("", "hubbub.json")),
        )
        endpoint = WebSocketEndpoint(core.clock, core.limits, {"/hubbub": path}, ping_interval_s=0)
        self.connection = WebSocketConnection(endpoint)
        self.output = SocketlessOutput(None, high_bytes)
        self.connection.attach(self.output)
        self.connection.peer = "127.0.0.1:4000"
        self.connection.opened()
        headers = {"Sec_WebSocket_Protocol": subprotocol} if subprotocol else {}
        self.kept = bytearray()
        self.feed(request("/hubbub", **headers))
        assert self.output.take().startswith(b"HTTP/1.1 101")

    def feed(self, data: bytes = b"") -> None:
        self.kept += data
        if self.kept and not self.output.paused and not self.output.is_closed:
            self.kept = self.kept[self.connection.feed(self.kept) :]

    def say(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Say something; what is answered at once."""
        for each in messages:
            encoded = msgpack.packb(each) if self.is_binary else json.dumps(each).encode()
            self.feed(frame(BINARY if self.is_binary else TEXT, encoded))
        return self.heard()

    def say_only(self, *messages: dict[str, Any]) -> None:
        """Say something to a broker whose output is not read."""
        for each in messages:
            self.feed(frame(TEXT, json.dumps(each).encode()))

    def read(self) -> list[dict[str, Any]]:
        """What is there to read; then the socket has room."""
        heard = self.heard()
        self.connection.carried.on_writable()  # type: ignore[union-attr]
        self.core.pass_ms(0)
        self.feed()
        return heard

    def frames(self) -> list[Frame]:
        return read_frames(self.output.take())

    def heard(self) -> list[dict[str, Any]]:
        frames = [each for each in self.frames() if each.opcode != CLOSE]
        assert all(each.opcode == (BINARY if self.is_binary else TEXT) for each in frames)
        return [msgpack.unpackb(each.payload) if self.is_binary else json.loads(each.payload) for each in frames]

    def hello(self, **changes: Any) -> list[dict[str, Any]]:
        return self.say({"type": "hello", "user": "guest", "password": "guest", **changes})
