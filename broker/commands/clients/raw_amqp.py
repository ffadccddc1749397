"""AMQP 0-9-1 as fast as Python lets it be, for `hubbub perf`: publications made once and sent in blocks.

Owns one blocking socket. Knows of the protocol what a load needs, and uses the broker's own codec. Each message's body
begins with when it was sent (nanoseconds of the monotonic clock, which the processes of one machine share).
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import NamedTuple

from broker.amqp.codec import arguments_of, frame, method_frame
from broker.amqp.methods import BY_NAME, METHODS
from broker.commands.api import context_of

HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, CONTENT_HEADER, BODY = 1, 2, 3
HEAD = struct.Struct(">BHI")
STAMP = struct.Struct(">Q")
CONNECTION_CLOSE, CHANNEL_CLOSE, ACK, NACK, DELIVER = (10, 50), (20, 40), (60, 80), (60, 120), (60, 60)
CLOSE_OK = struct.pack(">HH", 10, 51)
BLOCK = 50
"""Publications that are sent together."""
READ_BYTES = 1 << 18
TIMEOUT_S = 30.0


class Where(NamedTuple):
    """A broker, for the processes that load it."""

    host: str
    port: int
    tls: bool
    ca: str
    certificate: str
    key: str
    user: str
    password: str
    vhost: str


class Refused(Exception):  # noqa: N818 (not an error of ours)
    """The broker's words."""


class Wire:
    """One connection with one channel."""

    def __init__(self, where: Where) -> None:
        """Connect, log in, open. Raises OSError, Refused."""
        plain = socket.create_connection((where.host, where.port), TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = context_of(where.ca, where.certificate, where.key) if where.tls else None
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname=where.host)
        self.rest = b""
        self.socket.sendall(HEADER)
        self.wait("connection.start")
        response = f"\0{where.user}\0{where.password}".encode()
        self.socket.sendall(method_frame(0, "connection.start-ok", {}, "PLAIN", response, "en_US"))
        channel_max, frame_max, _ = arguments_of(self.wait("connection.tune"), BY_NAME["connection.tune"].signature)
        self.frame_max = frame_max
        self.socket.sendall(method_frame(0, "connection.tune-ok", channel_max, frame_max, 0))
        self.call(0, "connection.open", where.vhost, "", False)
        self.call(1, "channel.open", "")

    def call(self, channel: int, name: str, *arguments: object) -> bytes:
        """A method and its `-ok`."""
        self.socket.sendall(method_frame(channel, name, *arguments))
        return self.wait(f"{name}-ok")

    def wait(self, name: str) -> bytes:
        """The arguments of the next method, which is this one."""
        while True:
            for kind, payload in self.frames():
                if kind == METHOD:
                    (number,) = struct.unpack_from(">I", payload)
                    if METHODS[number].name != name:
                        raise Refused(f"expected {name}, got {METHODS[number].name}")
                    return payload

    def frames(self) -> list[tuple[int, bytes]]:
        """What one read brings, whole frames: (type, payload). Raises Refused, OSError, TimeoutError."""
        more = self.socket.recv(READ_BYTES)
        if not more:
            raise Refused("the broker has closed the connection")
        data = self.rest + more
        found = []
        at, end = 0, len(data)
        while end - at >= HEAD.size:
            kind, _, size = HEAD.unpack_from(data, at)
            if end - at < HEAD.size + size + 1:
                break
            payload = data[at + HEAD.size : at + HEAD.size + size]
            at += HEAD.size + size + 1
            if kind == METHOD and struct.unpack_from(">HH", payload) in (CONNECTION_CLOSE, CHANNEL_CLOSE):
                _, text, *_ = arguments_of(payload, BY_NAME["channel.close"].signature)
                raise Refused(str(text))
            found.append((kind, payload))
        self.rest = data[at:]
        return found

    def close(self) -> None:
        """Say farewell, and read what is on its way until it is answered."""
        with suppress(OSError, Refused):
            self.socket.settimeout(TIMEOUT_S)
            self.socket.sendall(method_frame(0, "connection.close", 200, "", 0, 0))
            while not any(kind == METHOD and payload == CLOSE_OK for kind, payload in self.frames()):
                pass
        self.socket.close()


def publish_for(
    where: Where, queue: str, body_bytes: int, persistent: bool, window: int, begins_at: float, ends_at: float
) -> tuple[int, float]:
    """Publish between two times (monotonic), at most `window` not yet confirmed. How many were, in how many seconds."""
    wire = Wire(where)
    wire.call(1, "confirm.select", False)
    size = max(body_bytes, STAMP.size)
    flags, properties = (0x1000, b"\x02") if persistent else (0, b"")
    header = struct.pack(">HHQH", 60, 0, size, flags) + properties
    begin = method_frame(1, "basic.publish", 0, "", queue, False, False) + frame(CONTENT_HEADER, 1, header)
    padding = bytes(size - STAMP.size)
    pieces = [padding[at : at + wire.frame_max - 8] for at in range(0, len(padding), wire.frame_max - 8)]
    rest = b"".join(frame(BODY, 1, piece) for piece in pieces)
    block = min(BLOCK, window)
    sent = confirmed = 0
    time.sleep(max(0.0, begins_at - time.monotonic()))
    begun_at = time.monotonic()
    try:
        while time.monotonic() < ends_at:
            stamp = frame(BODY, 1, STAMP.pack(time.monotonic_ns()))
            wire.socket.sendall((begin + stamp + rest) * block)
            sent += block
            while sent - confirmed > window - block:
                confirmed = confirmed_up_to(wire, confirmed)
        while confirmed < sent:
            confirmed = confirmed_up_to(wire, confirmed)
    finally:
        wire.close()
    return confirmed, time.monotonic() - begun_at


def confirmed_up_to(wire: Wire, confirmed: int) -> int:
    """Wait for confirms. Raises Refused where a publication was."""
    several = 0
    for kind, payload in wire.frames():
        if kind != METHOD:
            continue
        method = struct.unpack_from(">HH", payload)
        if method == NACK:
            raise Refused("the broker did not accept a message (basic.nack)")
        if method == ACK:
            tag, multiple = struct.unpack_from(">QB", payload, 4)
            confirmed, several = (max(confirmed, tag), 0) if multiple else (confirmed, several + 1)
    return confirmed + several


def consume_for(where: Where, queue: str, prefetch: int, ends_at: float) -> tuple[int, float, list[int]]:
    """Consume until then, and acknowledge. How many, in how many seconds, and a latency of each read, in ns."""
    wire = Wire(where)
    wire.call(1, "basic.qos", 0, prefetch, False)
    wire.socket.sendall(method_frame(1, "basic.consume", 0, queue, "", False, False, False, True, {}))
    count, first_s, last_s = 0, 0.0, 0.0
    latencies = []
    try:
        while (left_s := ends_at - time.monotonic()) > 0:
            wire.socket.settimeout(left_s)
            tag, stamp, begins = 0, 0, False
            try:
                for kind, payload in wire.frames():
                    if kind == METHOD:
                        (tag,) = struct.unpack_from(">Q", payload, 5 + payload[4])
                        count += 1
                    elif kind == BODY and begins:
                        (stamp,) = STAMP.unpack_from(payload)
                    begins = kind == CONTENT_HEADER
            except TimeoutError:
                break
            last_s = time.monotonic()
            first_s = first_s or last_s
            if stamp:
                latencies.append(time.monotonic_ns() - stamp)
            wire.socket.settimeout(TIMEOUT_S)
            if tag:
                wire.socket.sendall(method_frame(1, "basic.ack", tag, True))
    finally:
        wire.close()
    return count, last_s - first_s, latencies
