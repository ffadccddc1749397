"""MQTT 3.1.1 as fast as Python lets it be, for `hubbub perf --protocol mqtt`: packets made once and sent in blocks.

Owns one blocking socket. Knows of the protocol what a load needs. Each payload begins with when it was sent
(nanoseconds of the monotonic clock, which the processes of one machine share), as in `raw_amqp`.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

from broker.commands.api import context_of
from broker.commands.clients.raw_amqp import BLOCK, READ_BYTES, STAMP, TIMEOUT_S, Refused, Where

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90, 0xE0
TYPE = 0xF0
SUBACK_REFUSED = 0x80
PACKET_IDS = 65_535


def text(words: str) -> bytes:
    """MQTT 3.1.1 §1.5.3."""
    encoded = words.encode()
    return struct.pack(">H", len(encoded)) + encoded


def packet(head: int, body: bytes) -> bytes:
    """§2.2: the type and its flags, the length in groups of seven bits, the rest."""
    size, length = len(body), bytearray()
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes((head,)) + bytes(length) + body


class Wire:
    """One connection, logged in."""

    def __init__(self, where: Where, client_id: str) -> None:
        """Connect and log in. Raises OSError, Refused."""
        plain = socket.create_connection((where.host, where.port), TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = context_of(where.ca, where.certificate, where.key) if where.tls else None
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname=where.host)
        self.rest = b""
        user = where.user if where.vhost == "/" else f"{where.vhost}:{where.user}"
        head = text("MQTT") + bytes((4, 0b1100_0010)) + struct.pack(">H", 0)  # clean session, user name, password
        self.socket.sendall(packet(CONNECT, head + text(client_id) + text(user) + text(where.password)))
        answer = self.wait(CONNACK)
        if answer[1]:
            raise Refused(f"CONNACK {answer[1]}")

    def wait(self, kind: int) -> bytes:
        """The body of the next packet, which is of this type."""
        while True:
            for head, body in self.packets():
                if head & TYPE != kind & TYPE:
                    raise Refused(f"expected packet type {kind >> 4}, got {head >> 4}")
                return body

    def packets(self) -> list[tuple[int, bytes]]:
        """What one read brings, whole packets: (first octet, body). Raises Refused, OSError, TimeoutError."""
        more = self.socket.recv(READ_BYTES)
        if not more:
            raise Refused("the broker has closed the connection")
        data = self.rest + more
        found, at, end = [], 0, len(data)
        while True:
            size = shift = 0
            begin = at + 1
            while begin < end and data[begin] & 0x80:
                size |= (data[begin] & 0x7F) << shift
                shift += 7
                begin += 1
            if begin >= end:
                break
            size |= data[begin] << shift
            begin += 1
            if end - begin < size:
                break
            found.append((data[at], data[begin : begin + size]))
            at = begin + size
        self.rest = data[at:]
        return found

    def close(self) -> None:
        """Say farewell."""
        with suppress(OSError):
            self.socket.sendall(bytes((DISCONNECT, 0)))
        self.socket.close()


def publish_for(
    where: Where, topic: str, body_bytes: int, qos: int, window: int, begins_at: float, ends_at: float
) -> tuple[int, float]:
    """Publish between two times (monotonic). How many the broker has acknowledged (QoS 0: were sent), in what time.

    `window`: how many are not yet acknowledged at most.
    """
    wire = Wire(where, "")
    padding = bytes(max(body_bytes, STAMP.size) - STAMP.size)
    window = min(window, PACKET_IDS)
    block = min(BLOCK, window)
    sent = acknowledged = 0
    time.sleep(max(0.0, begins_at - time.monotonic()))
    begun_at = time.monotonic()
    try:
        while time.monotonic() < ends_at:
            payload = STAMP.pack(time.monotonic_ns()) + padding
            if qos == 0:
                wire.socket.sendall(packet(PUBLISH, text(topic) + payload) * block)
            else:
                ids = (struct.pack(">H", number % PACKET_IDS + 1) for number in range(sent, sent + block))
                wire.socket.sendall(b"".join(packet(PUBLISH | 0x02, text(topic) + each + payload) for each in ids))
            sent += block
            while qos and sent - acknowledged > window - block:
                acknowledged += count_of(wire, PUBACK)
        while qos and acknowledged < sent:
            acknowledged += count_of(wire, PUBACK)
    finally:
        wire.close()
    return (acknowledged if qos else sent), time.monotonic() - begun_at


def count_of(wire: Wire, kind: int) -> int:
    """Packets of this type in one read."""
    return sum(head & TYPE == kind for head, _ in wire.packets())


def subscribe_for(where: Where, topic: str, qos: int, ends_at: float) -> tuple[int, float, list[int]]:
    """Receive until then. How many, in how many seconds, and a latency of each read, in ns."""
    wire = Wire(where, "")
    wire.socket.sendall(packet(SUBSCRIBE, struct.pack(">H", 1) + text(topic) + bytes((qos,))))
    if wire.wait(SUBACK)[2] == SUBACK_REFUSED:
        raise Refused(f"SUBACK 0x80 for {topic}")
    count, first_s, last_s = 0, 0.0, 0.0
    latencies = []
    try:
        while (left_s := ends_at - time.monotonic()) > 0:
            wire.socket.settimeout(left_s)
            try:
                came = [(head, body) for head, body in wire.packets() if head & TYPE == PUBLISH]
            except TimeoutError:
                break
            if not came:
                continue
            last_s = time.monotonic()
            first_s = first_s or last_s
            count += len(came)
            wire.socket.settimeout(TIMEOUT_S)
            acknowledgements = []
            for head, body in came:
                (size,) = struct.unpack_from(">H", body)
                if head & 0x06:
                    acknowledgements.append(packet(PUBACK, body[2 + size : 4 + size]))
            size += 4 if came[-1][0] & 0x06 else 2
            latencies.append(time.monotonic_ns() - STAMP.unpack_from(came[-1][1], size)[0])
            if acknowledgements:
                wire.socket.sendall(b"".join(acknowledgements))
    finally:
        wire.close()
    return count, last_s - first_s, latencies
