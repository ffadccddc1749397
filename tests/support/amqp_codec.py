"""A small, slow, obvious AMQP 0-9-1 codec for tests: what client libraries refuse to send, this sends.

Owns frames, methods, properties and field tables as RabbitMQ speaks them. Independent of the broker's own codec on
purpose: two codecs written from the specification check each other.
Frame: type(1) channel(2) size(4) payload end(0xCE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
BASIC = 60

Fields = dict[str, Any]

# One line per method: class id, method id, name, fields. Field types: o octet, h short, l long, L longlong,
# s shortstr, S longstr, t bit (adjacent bits share an octet), F table, T timestamp.
_METHODS = """
10 10 connection.start version_major:o version_minor:o server_properties:F mechanisms:S locales:S
10 11 connection.start-ok client_properties:F mechanism:s response:S locale:s
10 20 connection.secure challenge:S
10 21 connection.secure-ok response:S
10 30 connection.tune channel_max:h frame_max:l heartbeat:h
10 31 connection.tune-ok channel_max:h frame_max:l heartbeat:h
10 40 connection.open virtual_host:s reserved_1:s reserved_2:t
10 41 connection.open-ok reserved_1:s
10 50 connection.close reply_code:h reply_text:s class_id:h method_id:h
10 51 connection.close-ok
10 60 connection.blocked reason:s
10 61 connection.unblocked
10 70 connection.update-secret new_secret:S reason:s
10 71 connection.update-secret-ok
20 10 channel.open reserved_1:s
20 11 channel.open-ok reserved_1:S
20 20 channel.flow active:t
20 21 channel.flow-ok active:t
20 40 channel.close reply_code:h reply_text:s class_id:h method_id:h
20 41 channel.close-ok
40 10 exchange.declare reserved_1:h exchange:s type:s passive:t durable:t auto_delete:t internal:t no_wait:t arguments:F
40 11 exchange.declare-ok
40 20 exchange.delete reserved_1:h exchange:s if_unused:t no_wait:t
40 21 exchange.delete-ok
40 30 exchange.bind reserved_1:h destination:s source:s routing_key:s no_wait:t arguments:F
40 31 exchange.bind-ok
40 40 exchange.unbind reserved_1:h destination:s source:s routing_key:s no_wait:t arguments:F
40 51 exchange.unbind-ok
50 10 queue.declare reserved_1:h queue:s passive:t durable:t exclusive:t auto_delete:t no_wait:t arguments:F
50 11 queue.declare-ok queue:s message_count:l consumer_count:l
50 20 queue.bind reserved_1:h queue:s exchange:s routing_key:s no_wait:t arguments:F
50 21 queue.bind-ok
50 30 queue.purge reserved_1:h queue:s no_wait:t
50 31 queue.purge-ok message_count:l
50 40 queue.delete reserved_1:h queue:s if_unused:t if_empty:t no_wait:t
50 41 queue.delete-ok message_count:l
50 50 queue.unbind reserved_1:h queue:s exchange:s routing_key:s arguments:F
50 51 queue.unbind-ok
60 10 basic.qos prefetch_size:l prefetch_count:h global_:t
60 11 basic.qos-ok
60 20 basic.consume reserved_1:h queue:s consumer_tag:s no_local:t no_ack:t exclusive:t no_wait:t arguments:F
60 21 basic.consume-ok consumer_tag:s
60 30 basic.cancel consumer_tag:s no_wait:t
60 31 basic.cancel-ok consumer_tag:s
60 40 basic.publish reserved_1:h exchange:s routing_key:s mandatory:t immediate:t
60 50 basic.return reply_code:h reply_text:s exchange:s routing_key:s
60 60 basic.deliver consumer_tag:s delivery_tag:L redelivered:t exchange:s routing_key:s
60 70 basic.get reserved_1:h queue:s no_ack:t
60 71 basic.get-ok delivery_tag:L redelivered:t exchange:s routing_key:s message_count:l
60 72 basic.get-empty reserved_1:s
60 80 basic.ack delivery_tag:L multiple:t
60 90 basic.reject delivery_tag:L requeue:t
60 100 basic.recover-async requeue:t
60 110 basic.recover requeue:t
60 111 basic.recover-ok
60 120 basic.nack delivery_tag:L multiple:t requeue:t
85 10 confirm.select no_wait:t
85 11 confirm.select-ok
90 10 tx.select
90 11 tx.select-ok
90 20 tx.commit
90 21 tx.commit-ok
90 30 tx.rollback
90 31 tx.rollback-ok
"""

PROPERTIES: tuple[tuple[str, str], ...] = (
    ("content_type", "s"),
    ("content_encoding", "s"),
    ("headers", "F"),
    ("delivery_mode", "o"),
    ("priority", "o"),
    ("correlation_id", "s"),
    ("reply_to", "s"),
    ("expiration", "s"),
    ("message_id", "s"),
    ("timestamp", "T"),
    ("type", "s"),
    ("user_id", "s"),
    ("app_id", "s"),
    ("cluster_id", "s"),
)
"""The 14 properties in the order of their flags, the highest bit first."""

_EMPTY: dict[str, Any] = {"o": 0, "h": 0, "l": 0, "L": 0, "s": "", "S": b"", "t": False, "F": {}, "T": 0}
_FIXED = {"o": ">B", "h": ">H", "l": ">I", "L": ">Q", "T": ">Q"}


@dataclass(frozen=True)
class MethodSpec:
    class_id: int
    method_id: int
    name: str
    fields: tuple[tuple[str, str], ...]


def _parse(line: str) -> MethodSpec:
    class_id, method_id, name, *fields = line.split()
    pairs = [field.split(":") for field in fields]
    return MethodSpec(int(class_id), int(method_id), name, tuple((pair[0], pair[1]) for pair in pairs))


SPECS = [_parse(line) for line in _METHODS.strip().splitlines()]
BY_NAME = {spec.name: spec for spec in SPECS}
BY_ID = {(spec.class_id, spec.method_id): spec for spec in SPECS}


@dataclass(frozen=True)
class TypedValue:
    """A table value with an explicit type octet and encoded bytes, for what Python's types cannot say."""

    tag: bytes
    payload: bytes


def encode_value(value: Any) -> bytes:
    """One field-table value; RabbitMQ's dialect of the type octets."""
    if isinstance(value, TypedValue):
        return value.tag + value.payload
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value) if abs(value) >= 1 << 31 else b"I" + struct.pack(">i", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + encode_longstr(value.encode())
    if isinstance(value, bytes):
        return b"x" + encode_longstr(value)
    if isinstance(value, dict):
        return b"F" + encode_table(value)
    if isinstance(value, list):
        return b"A" + encode_longstr(b"".join(encode_value(item) for item in value))
    if value is None:
        return b"V"
    raise TypeError(f"no field-table type for {value!r}")


def encode_longstr(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def encode_shortstr(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return bytes([len(raw)]) + raw


def encode_table(table: dict[str, Any]) -> bytes:
    return encode_longstr(b"".join(encode_shortstr(name) + encode_value(value) for name, value in table.items()))


def _encode_field(kind: str, value: Any) -> bytes:
    if kind == "s":
        return encode_shortstr(value)
    if kind == "S":
        return encode_longstr(value.encode() if isinstance(value, str) else value)
    if kind == "F":
        return value if isinstance(value, bytes) else encode_table(value)
    return struct.pack(_FIXED[kind], value)


def encode_method(name: str, **values: Any) -> bytes:
    """The payload of a method frame; fields that are not given are zero, empty or false."""
    spec = BY_NAME[name]
    unknown = set(values) - {field for field, _ in spec.fields}
    assert not unknown, f"{name} has no field {unknown}"
    out = bytearray(struct.pack(">HH", spec.class_id, spec.method_id))
    bits: list[bool] = []
    for field, kind in spec.fields:
        value = values.get(field, _EMPTY[kind])
        if kind == "t":
            bits.append(bool(value))
            continue
        out += _pack_bits(bits)
        bits = []
        out += _encode_field(kind, value)
    return bytes(out + _pack_bits(bits))


def _pack_bits(bits: list[bool]) -> bytes:
    return bytes([sum(bit << index for index, bit in enumerate(bits))]) if bits else b""


def encode_frame(frame_type: int, channel: int, payload: bytes, end: int = FRAME_END) -> bytes:
    return struct.pack(">BHI", frame_type, channel, len(payload)) + payload + bytes([end])


def encode_header(body_size: int, properties: Fields | None = None, class_id: int = BASIC) -> bytes:
    """The payload of a content header frame: class, weight 0, body size, property flags, properties."""
    given = properties or {}
    unknown = set(given) - {name for name, _ in PROPERTIES}
    assert not unknown, f"no property {unknown}"
    flags, encoded = 0, b""
    for index, (name, kind) in enumerate(PROPERTIES):
        if name in given:
            flags |= 1 << (15 - index)
            encoded += _encode_field(kind, given[name])
    return struct.pack(">HHQH", class_id, 0, body_size, flags) + encoded


class Reader:
    """A cursor over one payload."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.payload):
            raise ValueError(f"payload ends early: {count} octets wanted at {self.position} of {len(self.payload)}")
        taken = self.payload[self.position : end]
        self.position = end
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def field(self, kind: str) -> Any:
        if kind == "s":
            return self.take(self.number(">B")).decode("utf-8", "surrogateescape")
        if kind == "S":
            return self.take(self.number(">I"))
        if kind == "F":
            return self.table()
        return self.number(_FIXED[kind])

    def table(self) -> Fields:
        inner = Reader(self.take(self.number(">I")))
        table: Fields = {}
        while inner.position < len(inner.payload):
            name = inner.field("s")
            table[name] = inner.value()
        return table

    def value(self) -> Any:
        tag = self.take(1)
        if tag == b"S":
            return self.field("S").decode("utf-8", "surrogateescape")
        if tag == b"x":
            return self.field("S")
        if tag == b"F":
            return self.table()
        if tag == b"A":
            inner = Reader(self.take(self.number(">I")))
            items = []
            while inner.position < len(inner.payload):
                items.append(inner.value())
            return items
        if tag == b"V":
            return None
        if tag == b"t":
            return bool(self.number(">B"))
        if tag == b"D":
            return TypedValue(tag, self.take(5))
        if tag == b"T":
            return TypedValue(tag, self.take(8))
        forms = {
            b"b": ">b",
            b"B": ">B",
            b"s": ">h",
            b"u": ">H",
            b"I": ">i",
            b"i": ">I",
            b"l": ">q",
            b"f": ">f",
            b"d": ">d",
        }
        return self.number(forms[tag])


def decode_method(payload: bytes) -> tuple[str, Fields]:
    reader = Reader(payload)
    class_id, method_id = reader.number(">H"), reader.number(">H")
    spec = BY_ID[class_id, method_id]
    values: Fields = {}
    bit, octet = 8, 0
    for field, kind in spec.fields:
        if kind != "t":
            bit = 8
            values[field] = reader.field(kind)
            continue
        if bit == 8:
            octet, bit = reader.number(">B"), 0
        values[field] = bool(octet >> bit & 1)
        bit += 1
    return spec.name, values


def decode_header(payload: bytes) -> tuple[int, Fields]:
    """(body size, properties) of a content header."""
    reader = Reader(payload)
    reader.number(">H")
    reader.number(">H")
    size: int = reader.number(">Q")
    flags = reader.number(">H")
    properties = {
        name: reader.field(kind) for index, (name, kind) in enumerate(PROPERTIES) if flags & 1 << (15 - index)
    }
    return size, properties
