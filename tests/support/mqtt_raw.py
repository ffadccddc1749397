"""A raw MQTT client over a blocking socket: says exactly what it is told, and returns exactly what it hears.

For protocol errors, odd orders of packets, and claims about single bytes. Refuses to be clever: it acknowledges nothing
by itself, sends no PINGREQ by itself, does not reconnect. "Nothing came" is proven by a PINGREQ and its PINGRESP:
servers answer in order, so what was on its way is there before it. Reading is bounded by `timeout_s`.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter, Packet, Properties, Will

TIMEOUT_S = 5.0
_names = itertools.count(1)


def unique(prefix: str = "t") -> str:
    """A name that no other test of this run uses."""
    return f"{prefix}{next(_names)}x{time.monotonic_ns() % 1_000_000}"


class PeerClosedError(Exception):
    """The server ended the TCP connection."""


class MqttRaw:
    """One TCP connection; `connect` performs CONNECT and takes CONNACK, the constructor does not."""

    def __init__(
        self,
        address: tuple[str, int],
        version: int = V311,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.version = version
        self.client_id = ""
        self.socket = socket.create_connection(address, timeout=timeout_s)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.waiting: list[Packet] = []
        self.next_id = 0
        self._buffer = bytearray()

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(packets))

    def connect(self, client_id: str | None = None, **settings: Any) -> Packet:
        """CONNECT (see `codec.connect`) and its CONNACK."""
        self.client_id = unique("client") if client_id is None else client_id
        self.send(codec.connect(self.version, self.client_id, **settings))
        return self.expect(codec.CONNACK)

    def packet_id(self) -> int:
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def publish(self, topic: str | bytes, payload: bytes = b"", *, qos: int = 0, **settings: Any) -> int | None:
        """PUBLISH without waiting; the packet identifier."""
        packet_id = settings.pop("packet_id", None) or (self.packet_id() if qos else None)
        self.send(codec.publish(self.version, topic, payload, qos=qos, packet_id=packet_id, **settings))
        return packet_id

    def deliver(self, topic: str | bytes, payload: bytes = b"", *, qos: int = 0, **settings: Any) -> Packet | None:
        """PUBLISH and the whole exchange that its QoS asks for; the PUBACK or PUBREC."""
        packet_id = self.publish(topic, payload, qos=qos, **settings)
        if packet_id is None:
            return None
        answer = self.expect(codec.PUBACK if qos == 1 else codec.PUBREC)
        assert answer.packet_id == packet_id
        if qos == 2 and answer.reason < 0x80:
            self.send(codec.ack(codec.PUBREL, packet_id))
            assert self.expect(codec.PUBCOMP).packet_id == packet_id
        return answer

    def subscribe(self, *filters: str | Filter, qos: int = 0, properties: Properties | None = None) -> Packet:
        """SUBSCRIBE and its SUBACK, with what came before it kept for later."""
        entries = [each if isinstance(each, Filter) else Filter(each, qos) for each in filters]
        packet_id = self.packet_id()
        self.send(codec.subscribe(self.version, packet_id, entries, properties))
        answer = self.expect(codec.SUBACK)
        assert answer.packet_id == packet_id
        return answer

    def unsubscribe(self, *filters: str) -> Packet:
        packet_id = self.packet_id()
        self.send(codec.unsubscribe(self.version, packet_id, filters))
        answer = self.expect(codec.UNSUBACK)
        assert answer.packet_id == packet_id
        return answer

    def disconnect(self, reason: int = 0, properties: Properties | None = None) -> None:
        """DISCONNECT, and wait until the server has closed too."""
        self.send(codec.disconnect(self.version, reason, properties))
        self.until_closed()

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise PeerClosedError from error
        if not data:
            raise PeerClosedError
        self._buffer += data

    def receive(self) -> Packet:
        """The next packet from the network."""
        while True:
            found = codec.read_packet(self.version, bytes(self._buffer))
            if found is not None:
                del self._buffer[: found[1]]
                return found[0]
            self._read()

    def expect(self, kind: int) -> Packet:
        """The next packet of this kind; PUBLISHes that come before it wait, any other is an error."""
        for at, packet in enumerate(self.waiting):
            if packet.kind == kind:
                return self.waiting.pop(at)
        while (packet := self.receive()).kind != kind:
            assert packet.kind == codec.PUBLISH, f"{packet} instead of {codec.NAMES[kind]}"
            self.waiting.append(packet)
        return packet

    def message(self, *, acknowledge: bool = True) -> Packet:
        """The next PUBLISH; acknowledged to its end unless told not to."""
        packet = self.expect(codec.PUBLISH)
        if acknowledge:
            self.acknowledge(packet)
        return packet

    def acknowledge(self, packet: Packet) -> None:
        """All that the receiver of this PUBLISH owes."""
        if packet.qos == 0:
            return
        assert packet.packet_id is not None
        self.send(codec.ack(codec.PUBACK if packet.qos == 1 else codec.PUBREC, packet.packet_id))
        if packet.qos == 2:
            assert self.expect(codec.PUBREL).packet_id == packet.packet_id
            self.send(codec.ack(codec.PUBCOMP, packet.packet_id))

    def messages(self, count: int) -> list[Packet]:
        return [self.message() for _ in range(count)]

    def ping(self) -> None:
        """The barrier: what the server had sent before is received and waits."""
        self.send(codec.PING)
        self.expect(codec.PINGRESP)

    def nothing(self) -> None:
        """No message is there or on its way."""
        self.ping()
        assert not self.waiting, f"came: {self.waiting}"

    def until_closed(self) -> list[Packet]:
        """Everything up to the end of the connection, which must come."""
        packets, self.waiting = self.waiting, []
        with contextlib.suppress(PeerClosedError):
            while True:
                packets.append(self.receive())
        return packets

    def rest(self) -> bytes:
        """All bytes up to the end of the connection, as they are."""
        with contextlib.suppress(PeerClosedError):
            while True:
                self._read()
        return bytes(self._buffer)

    def refused(self, *reasons: int) -> Packet | None:
        """The server closes; in MQTT 5 it may say why before, and if it does then with one of these reasons."""
        packets = [each for each in self.until_closed() if each.kind in (codec.CONNACK, codec.DISCONNECT)]
        if self.version != V5:
            assert all(each.kind == codec.CONNACK and each.reason for each in packets), packets
        elif packets:
            assert packets[-1].reason in (reasons or range(0x80, 0x100)), packets
        return packets[-1] if packets else None

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """End the TCP connection without DISCONNECT."""
        self.socket.close()

    def reset(self) -> None:
        """The same with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Client = Callable[..., MqttRaw]


@contextlib.contextmanager
def clients(address: tuple[str, int]) -> Iterator[Client]:
    """Makes connected clients and closes them at the end. `version` as ever; `raw=True`: without CONNECT."""
    made: list[MqttRaw] = []

    def client(version: int = V311, client_id: str | None = None, *, raw: bool = False, **settings: Any) -> MqttRaw:
        connection = MqttRaw(address, version)
        made.append(connection)
        if not raw:
            answer = connection.connect(client_id, **settings)
            assert answer.reason == 0, answer
        return connection

    try:
        yield client
    finally:
        for connection in made:
            connection.close()


__all__ = ["Client", "Filter", "MqttRaw", "Packet", "PeerClosedError", "Will", "clients", "unique"]
