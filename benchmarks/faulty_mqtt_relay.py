"""The faulty relay for MQTT: what the load generator's integrity check of MQTT is tested against.

As `faulty_relay.py`: one publisher and one consumer, greeted as by `relay.c`; each PUBLISH goes on to the consumer as
it came and is acknowledged, except for the messages named in `faults`, which are counted from 0. QoS 2 is answered in
all its steps. It is plain and slow, and a limit for nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from .faulty_relay import Fault, Relay, spoil

PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 3, 4, 5, 6, 7
DUP = 8
QUOTA_EXCEEDED = 0x97


class PacketReader:
    """Cuts a stream of bytes into (first byte, what remains)."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._unread = b""

    def feed(self, received: bytes) -> Iterator[tuple[int, bytes]]:
        """The packets that are now complete."""
        self._unread += received
        while len(self._unread) >= 2:
            remaining, header = 0, 1
            while True:
                if header >= len(self._unread):
                    return
                octet = self._unread[header]
                remaining |= (octet & 0x7F) << 7 * (header - 1)
                header += 1
                if octet < 0x80:
                    break
            if len(self._unread) < header + remaining:
                return
            first, variable = self._unread[0], self._unread[header : header + remaining]
            self._unread = self._unread[header + remaining :]
            yield first, variable


def encode_packet(first: int, variable: bytes) -> bytes:
    """type:4 flags:4 remaining_length:varint variable_header payload."""
    remaining, length = len(variable), b""
    while remaining > 0x7F:
        length += bytes([remaining & 0x7F | 0x80])
        remaining >>= 7
    return bytes([first]) + length + bytes([remaining]) + variable


class FaultyMqttRelay(Relay):
    """For MQTT."""

    def __init__(self, faults: Mapping[int, Fault], *, qos: int, version: int = 4) -> None:
        """Listens at once; all messages have that QoS."""
        super().__init__(faults)
        self._qos = qos
        self._version = version
        self.acknowledged = dict.fromkeys((PUBACK, PUBREC, PUBCOMP), 0)  # how often the consumer said so

    def _read_acknowledgements(self, consumer: socket.socket) -> None:
        reader = PacketReader()
        while received := consumer.recv(65536):
            releases = b""
            for first, variable in reader.feed(received):
                self.acknowledged[first >> 4] += 1
                if first >> 4 == PUBREC:
                    releases += encode_packet(PUBREL << 4 | 2, variable)
            consumer.sendall(releases)

    def _relay(self, publisher: socket.socket, consumer: socket.socket) -> None:
        reader = PacketReader()
        number = 0
        held = b""
        while received := publisher.recv(1 << 18):
            deliveries, answers = b"", b""
            for first, variable in reader.feed(received):
                if first >> 4 == PUBREL:
                    assert first & 0xF == 2, "[MQTT-3.6.1-1]"
                    answers += encode_packet(PUBCOMP << 4, variable)
                    continue
                fault = self._faults.get(number)
                delivery = self._encode_delivery(first, variable, fault)
                if fault is Fault.SWAP:
                    held = delivery
                elif fault is not Fault.DROP:
                    deliveries += delivery * (2 if fault is Fault.DUPLICATE else 1) + held
                    held = b""
                answers += self._encode_answer(variable, fault)
                number += 1
            consumer.sendall(deliveries)
            publisher.sendall(answers)

    @staticmethod
    def _topic_bytes(variable: bytes) -> int:
        return 2 + int.from_bytes(variable[:2], "big")

    def _encode_delivery(self, first: int, variable: bytes, fault: Fault | None) -> bytes:
        body_at = self._topic_bytes(variable) + (2 if self._qos else 0) + (1 if self._version == 5 else 0)
        head, body = variable[:body_at], variable[body_at:]
        return encode_packet(first | (DUP if fault is Fault.REDELIVER else 0), head + spoil(body, fault))

    def _encode_answer(self, variable: bytes, fault: Fault | None) -> bytes:
        if not self._qos or fault is Fault.WITHHOLD_CONFIRM:
            return b""
        packet_type = PUBACK if self._qos == 1 else PUBREC
        topic_bytes = self._topic_bytes(variable)
        packet_id = variable[topic_bytes : topic_bytes + 2]
        reason = bytes([QUOTA_EXCEEDED]) if fault is Fault.NACK else b""
        return encode_packet(packet_type << 4, packet_id + reason) * (2 if fault is Fault.CONFIRM_TWICE else 1)
