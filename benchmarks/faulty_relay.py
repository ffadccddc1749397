"""A relay that makes known mistakes: what the load generator's integrity check is tested against.

Owns one publisher and one consumer connection, which are greeted as by `relay.c`: 'P' or 'C', then the number of the
pair. It turns each basic.publish into a basic.deliver and confirms it, as a broker without queues would, except for the
messages named in `faults`, which are counted from 0. It is plain and slow, and a limit for nothing.
"""

from __future__ import annotations

import enum
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self

METHOD, HEADER, BODY = 1, 2, 3
DELIVER = struct.pack(">HH", 60, 60)
ACK = struct.pack(">HH", 60, 80)
NACK = struct.pack(">HH", 60, 120)


class Fault(enum.Enum):
    """What is done wrong to a message."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    SWAP = "swap"  # with the message behind it
    CORRUPT = "corrupt"  # the last byte of the body
    SHORTEN = "shorten"  # the body by one byte, with a header and frame that agree
    MISROUTE = "misroute"  # the body's stream number becomes another's
    REDELIVER = "redeliver"  # the redelivered flag is set
    NACK = "nack"  # it is delivered all the same
    WITHHOLD_CONFIRM = "withhold confirm"
    CONFIRM_TWICE = "confirm twice"


def encode_frame(frame_type: int, channel: int, payload: bytes) -> bytes:
    """type:8 channel:16 size:32 payload end:8."""
    return struct.pack(">BHI", frame_type, channel, len(payload)) + payload + b"\xce"


class FrameReader:
    """Cuts a stream of bytes into (type, payload)."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._unread = b""

    def feed(self, received: bytes) -> list[tuple[int, bytes]]:
        """The frames that are now complete."""
        unread = self._unread + received
        frames = []
        offset = 0
        while len(unread) - offset >= 8:
            frame_type, _channel, size = struct.unpack_from(">BHI", unread, offset)
            if len(unread) - offset < size + 8:
                break
            frames.append((frame_type, unread[offset + 7 : offset + 7 + size]))
            offset += size + 8
        self._unread = unread[offset:]
        return frames


def spoil(body: bytes, fault: Fault | None) -> bytes:
    """The body with what is done wrong to bodies."""
    if fault is Fault.CORRUPT:
        return body[:-1] + bytes([body[-1] ^ 1])
    if fault is Fault.SHORTEN:
        return body[:-1]
    if fault is Fault.MISROUTE:
        key, rest = int.from_bytes(body[:8], "little"), body[8:]
        return (key ^ (7 << 48)).to_bytes(8, "little") + rest
    return body


class Relay(ABC):
    """Serves one publisher and one consumer in a thread, on a port of its own; a subclass knows what they speak."""

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        """Listens at once."""
        self._faults = faults
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Serves from now on."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until both connections have ended."""
        self._thread.join(timeout=10)
        self._listener.close()

    def _serve(self) -> None:
        roles = {}
        for _ in range(2):
            connection, _address = self._listener.accept()
            roles[connection.recv(2, socket.MSG_WAITALL)[:1]] = connection
        publisher, consumer = roles[b"P"], roles[b"C"]
        acknowledgements = threading.Thread(target=self._read_acknowledgements, args=(consumer,), daemon=True)
        acknowledgements.start()
        with publisher, consumer:
            self._relay(publisher, consumer)
            acknowledgements.join(timeout=5)

    @abstractmethod
    def _read_acknowledgements(self, consumer: socket.socket) -> None: ...

    @abstractmethod
    def _relay(self, publisher: socket.socket, consumer: socket.socket) -> None: ...


class FaultyRelay(Relay):
    """For AMQP."""

    def __init__(self, faults: Mapping[int, Fault], *, confirms: bool) -> None:
        """Listens at once; `confirms`: the publisher wants them."""
        super().__init__(faults)
        self._confirms = confirms
        self.acknowledged_up_to = 0  # the highest delivery tag that the consumer has acknowledged

    def _read_acknowledgements(self, consumer: socket.socket) -> None:
        reader = FrameReader()
        while received := consumer.recv(65536):
            for _type, payload in reader.feed(received):
                assert payload[:4] == ACK, payload
                self.acknowledged_up_to = int.from_bytes(payload[4:12], "big")

    def _relay(self, publisher: socket.socket, consumer: socket.socket) -> None:
        reader = FrameReader()
        number = 0
        held: bytes | None = None
        header = b""
        while received := publisher.recv(1 << 18):
            deliveries, confirms = [], []
            for frame_type, payload in reader.feed(received):
                if frame_type == HEADER:
                    header = payload
                if frame_type != BODY:
                    continue
                fault = self._faults.get(number)
                delivery = self._encode_delivery(number + 1, header, payload, fault)
                if fault is Fault.SWAP:
                    held = delivery
                elif fault is not Fault.DROP:
                    deliveries += [delivery] * (2 if fault is Fault.DUPLICATE else 1)
                    if held is not None:
                        deliveries.append(held)
                        held = None
                confirms.append(self._encode_confirms(number + 1, fault))
                number += 1
            consumer.sendall(b"".join(deliveries))
            if self._confirms:
                publisher.sendall(b"".join(confirms))

    @staticmethod
    def _encode_delivery(delivery_tag: int, header: bytes, body: bytes, fault: Fault | None) -> bytes:
        body = spoil(body, fault)
        header = header[:4] + struct.pack(">Q", len(body)) + header[12:]
        redelivered = fault is Fault.REDELIVER
        deliver = DELIVER + b"\x01c" + struct.pack(">Q?", delivery_tag, redelivered) + b"\x00\x01q"
        return encode_frame(METHOD, 1, deliver) + encode_frame(HEADER, 1, header) + encode_frame(BODY, 1, body)

    @staticmethod
    def _encode_confirms(delivery_tag: int, fault: Fault | None) -> bytes:
        if fault is Fault.WITHHOLD_CONFIRM:
            return b""
        method = NACK if fault is Fault.NACK else ACK
        confirm = encode_frame(METHOD, 1, method + struct.pack(">QB", delivery_tag, 0))
        return confirm * (2 if fault is Fault.CONFIRM_TWICE else 1)
