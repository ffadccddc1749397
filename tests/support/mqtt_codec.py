"""MQTT packets in the tests' own words: bytes to objects and back, for 3.1, 3.1.1 and 5.

Written from the specifications and independent of the product's codec, so that a misreading there does not hide here.
Builders take nonsense on purpose (wrong flags, zero identifiers, ill-formed strings as bytes); the reader does not:
what a server sends is checked to the last byte, and anything odd is an AssertionError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
NAMES = ["reserved", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback"]
NAMES += ["unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth"]
MUST_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

V31, V311, V5 = 3, 4, 5

PROPERTIES: dict[str, tuple[int, str]] = {
    "payload_format": (0x01, "byte"),
    "message_expiry": (0x02, "four"),
    "content_type": (0x03, "string"),
    "response_topic": (0x08, "string"),
    "correlation_data": (0x09, "binary"),
    "subscription_identifier": (0x0B, "varint"),
    "session_expiry": (0x11, "four"),
    "assigned_client_id": (0x12, "string"),
    "server_keep_alive": (0x13, "two"),
    "authentication_method": (0x15, "string"),
    "authentication_data": (0x16, "binary"),
    "request_problem": (0x17, "byte"),
    "will_delay": (0x18, "four"),
    "request_response": (0x19, "byte"),
    "response_information": (0x1A, "string"),
    "server_reference": (0x1C, "string"),
    "reason_string": (0x1F, "string"),
    "receive_maximum": (0x21, "two"),
    "topic_alias_maximum": (0x22, "two"),
    "topic_alias": (0x23, "two"),
    "maximum_qos": (0x24, "byte"),
    "retain_available": (0x25, "byte"),
    "user": (0x26, "pair"),
    "maximum_packet_size": (0x27, "four"),
    "wildcard_available": (0x28, "byte"),
    "subscription_identifiers_available": (0x29, "byte"),
    "shared_available": (0x2A, "byte"),
}
BY_NUMBER = {number: (name, kind) for name, (number, kind) in PROPERTIES.items()}
SEVERAL = {"user", "subscription_identifier"}
SIZES = {"byte": 1, "two": 2, "four": 4}

Properties = dict[str, Any]
"""By the names above; `user` and `subscription_identifier` hold lists."""


def varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def string(value: str | bytes) -> bytes:
    """Length and bytes; bytes go out as they are."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def encode_property(name: str, value: Any) -> bytes:
    number, kind = PROPERTIES[name]
    if kind in SIZES:
        encoded = int(value).to_bytes(SIZES[kind], "big")
    elif kind == "varint":
        encoded = varint(value)
    elif kind == "pair":
        encoded = string(value[0]) + string(value[1])
    else:
        encoded = string(value)
    return bytes([number]) + encoded


def encode_properties(properties: Properties) -> bytes:
    encoded = b""
    for name, value in properties.items():
        for each in value if isinstance(value, list) else [value]:
            encoded += encode_property(name, each)
    return varint(len(encoded)) + encoded


def frame(kind: int, body: bytes = b"", flags: int | None = None) -> bytes:
    """A packet of any body; `flags` None means those that the specification demands."""
    return bytes([kind << 4 | (MUST_FLAGS.get(kind, 0) if flags is None else flags)]) + varint(len(body)) + body


def _properties(version: int, properties: Properties | None) -> bytes:
    return encode_properties(properties or {}) if version == V5 else b""


@dataclass
class Will:
    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


def connect(
    version: int,
    client_id: str | bytes = "",
    *,
    clean: bool = True,
    keep_alive: int = 0,
    will: Will | None = None,
    user: str | bytes | None = None,
    password: str | bytes | None = None,
    properties: Properties | None = None,
    name: str | bytes | None = None,
    level: int | None = None,
    flags: int | None = None,
) -> bytes:
    """`name`, `level`, `flags`: instead of what follows from the rest."""
    bits = clean << 1
    payload = string(client_id)
    if will is not None:
        bits |= 4 | will.qos << 3 | will.retain << 5
        payload += _properties(version, will.properties) + string(will.topic) + string(will.payload)
    if user is not None:
        bits |= 0x80
        payload += string(user)
    if password is not None:
        bits |= 0x40
        payload += string(password)
    head = string(name if name is not None else "MQIsdp" if version == V31 else "MQTT")
    head += bytes([version if level is None else level, bits if flags is None else flags])
    head += keep_alive.to_bytes(2, "big") + _properties(version, properties)
    return frame(CONNECT, head + payload)


def publish(
    version: int,
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    packet_id: int | None = None,
    retain: bool = False,
    dup: bool = False,
    properties: Properties | None = None,
) -> bytes:
    head = string(topic)
    if packet_id is not None:
        head += packet_id.to_bytes(2, "big")
    head += _properties(version, properties)
    return frame(PUBLISH, head + payload, dup << 3 | qos << 1 | retain)


def ack(kind: int, packet_id: int, reason: int = 0, properties: Properties | None = None) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP; the short form unless there is something to say."""
    body = packet_id.to_bytes(2, "big")
    if reason or properties:
        body += bytes([reason])
    if properties:
        body += encode_properties(properties)
    return frame(kind, body)


@dataclass(frozen=True)
class Filter:
    """One entry of SUBSCRIBE with its options; `bits` instead of what follows from the rest."""

    text: str | bytes
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    bits: int | None = None

    def encoded(self) -> bytes:
        options = self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.retain_handling << 4
        return string(self.text) + bytes([options if self.bits is None else self.bits])


def subscribe(
    version: int, packet_id: int, filters: Sequence[Filter], properties: Properties | None = None, flags: int = 2
) -> bytes:
    body = packet_id.to_bytes(2, "big") + _properties(version, properties)
    return frame(SUBSCRIBE, body + b"".join(each.encoded() for each in filters), flags)


def unsubscribe(
    version: int, packet_id: int, filters: Sequence[str | bytes], properties: Properties | None = None, flags: int = 2
) -> bytes:
    body = packet_id.to_bytes(2, "big") + _properties(version, properties)
    return frame(UNSUBSCRIBE, body + b"".join(string(each) for each in filters), flags)


def disconnect(version: int = V311, reason: int = 0, properties: Properties | None = None) -> bytes:
    if version != V5 or (reason == 0 and not properties):
        return frame(DISCONNECT)
    return frame(DISCONNECT, bytes([reason]) + encode_properties(properties or {}))


def auth(reason: int, properties: Properties | None = None) -> bytes:
    return frame(AUTH, bytes([reason]) + encode_properties(properties or {}))


PING = frame(PINGREQ)


@dataclass(frozen=True)
class Packet:
    """What a server sent. Fields that a kind does not have keep their defaults."""

    kind: int
    flags: int
    size: int
    packet_id: int | None = None
    reasons: tuple[int, ...] = ()
    session_present: bool = False
    topic: str = ""
    payload: bytes = b""
    properties: Properties = field(default_factory=dict)

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    @property
    def reason(self) -> int:
        """The reason (or return) code; an acknowledgement without one means 0."""
        return self.reasons[0] if self.reasons else 0

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)


class Body:
    """Takes a packet's body apart; running over its end is an AssertionError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        assert self.at + size <= len(self.data), f"the packet ends before its field: {self.data!r}"
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number(2)).decode("utf-8")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                assert not (byte == 0 and shift), "a variable byte integer longer than need be"
                return value
            shift += 7
            assert shift < 28, "a variable byte integer of more than four bytes"

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def properties(self) -> Properties:
        size = self.varint()
        end = self.at + size
        assert end <= len(self.data), "the properties end after the packet"
        found: Properties = {}
        while self.at < end:
            name, kind = BY_NUMBER[self.varint()]
            value: Any
            if kind in SIZES:
                value = self.number(SIZES[kind])
            elif kind == "varint":
                value = self.varint()
            elif kind == "binary":
                value = self.take(self.number(2))
            elif kind == "pair":
                value = (self.text(), self.text())
            else:
                value = self.text()
            if name in SEVERAL:
                found.setdefault(name, []).append(value)
            else:
                assert name not in found, f"{name} twice"
                found[name] = value
        assert self.at == end, "the last property ends after the properties"
        return found


def _read_publish(version: int, flags: int, body: Body) -> dict[str, Any]:
    topic = body.text()
    packet_id = body.number(2) if flags >> 1 & 3 else None
    properties = body.properties() if version == V5 else {}
    return {"topic": topic, "packet_id": packet_id, "properties": properties, "payload": body.take(body.left)}


def _read_connack(version: int, body: Body) -> dict[str, Any]:
    bits, reason = body.number(1), body.number(1)
    assert bits in (0, 1), f"reserved bits of CONNACK: {bits:#x}"
    properties = body.properties() if version == V5 else {}
    return {"session_present": bool(bits), "reasons": (reason,), "properties": properties}


def _read_answer(version: int, kind: int, body: Body) -> dict[str, Any]:
    """Every other packet: an identifier where it has one, then reasons and properties where they are given."""
    fields: dict[str, Any] = {}
    if kind not in (DISCONNECT, AUTH):
        fields["packet_id"] = body.number(2)
    if kind in (SUBACK, UNSUBACK):
        fields["properties"] = body.properties() if version == V5 else {}
        fields["reasons"] = tuple(body.take(body.left))
    elif version == V5 and body.left:
        fields["reasons"] = (body.number(1),)
        fields["properties"] = body.properties() if body.left else {}
    return fields


def read_packet(version: int, data: bytes) -> tuple[Packet, int] | None:
    """The first packet of `data` with its size, or None while it is not all there."""
    at, size, shift = 1, 0, 0
    while True:
        if at >= len(data):
            return None
        size |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
        shift += 7
        assert shift < 28, "a remaining length of more than four bytes"
    if len(data) < at + size:
        return None
    kind, flags = data[0] >> 4, data[0] & 15
    body = Body(data[at : at + size])
    assert kind == PUBLISH or flags == MUST_FLAGS.get(kind, 0), f"{NAMES[kind]} with flags {flags:#x}"
    if kind == PUBLISH:
        assert flags & 6 != 6, "a PUBLISH of QoS 3"
        fields = _read_publish(version, flags, body)
    elif kind == CONNACK:
        fields = _read_connack(version, body)
    elif kind == PINGRESP:
        fields = {}
    else:
        fields = _read_answer(version, kind, body)
    assert body.left == 0, f"{body.left} bytes too many in {NAMES[kind]}: {body.data!r}"
    return Packet(kind, flags, at + size, **fields), at + size
