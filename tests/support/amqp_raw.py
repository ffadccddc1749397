"""A raw AMQP 0-9-1 client over a blocking socket: says exactly what it is told, and returns exactly what it hears.

For protocol errors, odd orders of frames, and load without a client library's cost. Refuses to be clever: no reconnect,
no automatic heartbeat, no dispatch. Reading is bounded by `timeout_s`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support import amqp_codec as codec
from tests.support.amqp_codec import Fields

TIMEOUT_S = 10.0
CAPABILITIES = {
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
    "authentication_failure_close": True,
    "exchange_exchange_bindings": True,
}


class Frame(NamedTuple):
    type: int
    channel: int
    payload: bytes


class Method(NamedTuple):
    """A method and, where it carries content, that content."""

    channel: int
    name: str
    fields: Fields
    properties: Fields
    body: bytes


class PeerClosedError(Exception):
    """The server ended the TCP connection."""


CARRIES_CONTENT = {"basic.return", "basic.deliver", "basic.get-ok"}


@dataclass
class RawConnection:
    """One TCP connection; `open` performs the handshake, the constructor does not."""

    address: tuple[str, int]
    timeout_s: float = TIMEOUT_S
    frame_max: int = 131072
    server_properties: Fields = field(default_factory=dict)
    tune: Fields = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(self.address, timeout=self.timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    # ---- sending

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_frame(self, frame_type: int, channel: int, payload: bytes, end: int = codec.FRAME_END) -> None:
        self.send_bytes(codec.encode_frame(frame_type, channel, payload, end))

    def send(self, name: str, channel: int = 1, **fields: Any) -> None:
        """Send one method; connection.* always goes on channel 0."""
        number = 0 if name.startswith("connection.") else channel
        self.send_frame(codec.FRAME_METHOD, number, codec.encode_method(name, **fields))

    def encode_publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Fields | None = None,
        channel: int = 1,
        **fields: Any,
    ) -> bytes:
        """basic.publish, header and body frames, cut at frame_max."""
        method = codec.encode_method("basic.publish", exchange=exchange, routing_key=routing_key, **fields)
        out = codec.encode_frame(codec.FRAME_METHOD, channel, method)
        out += codec.encode_frame(codec.FRAME_HEADER, channel, codec.encode_header(len(body), properties))
        room = self.frame_max - 8
        for start in range(0, len(body), room):
            out += codec.encode_frame(codec.FRAME_BODY, channel, body[start : start + room])
        return out

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Fields | None = None,
        channel: int = 1,
        **fields: Any,
    ) -> None:
        self.send_bytes(self.encode_publish(exchange, routing_key, body, properties, channel, **fields))

    # ---- receiving

    def _fill(self) -> None:
        received = self.socket.recv(1 << 16)
        if not received:
            raise PeerClosedError
        self._buffer += received

    def read_frame(self) -> Frame:
        while len(self._buffer) < 7:
            self._fill()
        frame_type, channel, size = struct.unpack_from(">BHI", self._buffer)
        while len(self._buffer) < size + 8:
            self._fill()
        payload = bytes(self._buffer[7 : 7 + size])
        end = self._buffer[7 + size]
        del self._buffer[: size + 8]
        assert end == codec.FRAME_END, f"frame end is {end:#x}"
        return Frame(frame_type, channel, payload)

    def read_method(self) -> Method:
        """The next method with its content; heartbeats are passed over."""
        frame = self.read_frame()
        while frame.type == codec.FRAME_HEARTBEAT:
            frame = self.read_frame()
        assert frame.type == codec.FRAME_METHOD, f"expected a method, got {frame}"
        name, fields = codec.decode_method(frame.payload)
        if name not in CARRIES_CONTENT:
            return Method(frame.channel, name, fields, {}, b"")
        header = self.read_frame()
        assert (header.type, header.channel) == (codec.FRAME_HEADER, frame.channel), f"expected a header, got {header}"
        size, properties = codec.decode_header(header.payload)
        body = bytearray()
        while len(body) < size:
            part = self.read_frame()
            assert (part.type, part.channel) == (codec.FRAME_BODY, frame.channel), f"expected a body, got {part}"
            body += part.payload
        return Method(frame.channel, name, fields, properties, bytes(body))

    def expect(self, name: str) -> Method:
        """The next method, which must be `name`."""
        method = self.read_method()
        assert method.name == name, f"expected {name}, got {method}"
        return method

    def rpc(self, name: str, channel: int = 1, **fields: Any) -> Method:
        """Send `name` and return its `-ok`."""
        self.send(name, channel, **fields)
        return self.expect(f"{name}-ok")

    def read_raw(self, count: int) -> bytes:
        """Exactly `count` octets, or fewer when the server closes first."""
        with contextlib.suppress(PeerClosedError, ConnectionResetError):
            while len(self._buffer) < count:
                self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def wait_closed(self) -> None:
        """Return once the server has ended the TCP connection; TimeoutError when it does not."""
        with contextlib.suppress(PeerClosedError, ConnectionResetError):
            while True:
                self._buffer.clear()
                self._fill()

    # ---- the handshake

    def start(self) -> Method:
        self.send_bytes(codec.PROTOCOL_HEADER)
        start = self.expect("connection.start")
        self.server_properties = start.fields["server_properties"]
        return start

    def start_ok(
        self,
        user: str = "guest",
        password: str = "guest",
        mechanism: str = "PLAIN",
        response: bytes | None = None,
        capabilities: Fields | None = None,
    ) -> None:
        self.send(
            "connection.start-ok",
            client_properties={"capabilities": CAPABILITIES if capabilities is None else capabilities},
            mechanism=mechanism,
            response=f"\0{user}\0{password}" if response is None else response,
            locale="en_US",
        )

    def tune_ok(self, channel_max: int | None = None, frame_max: int | None = None, heartbeat: int = 0) -> None:
        """Read connection.tune and answer; None takes what the server offered."""
        self.tune = self.expect("connection.tune").fields
        self.frame_max = self.tune["frame_max"] if frame_max is None else frame_max
        channels = self.tune["channel_max"] if channel_max is None else channel_max
        self.send("connection.tune-ok", channel_max=channels, frame_max=self.frame_max, heartbeat=heartbeat)

    def open(
        self,
        virtual_host: str = "/",
        channel_max: int | None = None,
        frame_max: int | None = None,
        heartbeat: int = 0,
        capabilities: Fields | None = None,
    ) -> RawConnection:
        """The whole handshake; returns itself."""
        self.start()
        self.start_ok(capabilities=capabilities)
        self.tune_ok(channel_max, frame_max, heartbeat)
        self.rpc("connection.open", virtual_host=virtual_host)
        return self

    def open_channel(self, channel: int = 1) -> RawConnection:
        self.rpc("channel.open", channel)
        return self

    def close(self) -> None:
        """End the TCP connection without a word."""
        self.socket.close()


@contextlib.contextmanager
def raw_connection(address: tuple[str, int], timeout_s: float = TIMEOUT_S) -> Iterator[RawConnection]:
    """A connected socket before its handshake, closed at the end."""
    connection = RawConnection(address, timeout_s)
    try:
        yield connection
    finally:
        connection.close()
