"""Field tables the slow and obvious way: `struct`, recursion, one branch per type. Judges `broker.core.properties`."""

import struct
from decimal import Decimal
from typing import Any

FIXED = {
    "t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q", "f": ">f",
    "d": ">d", "T": ">Q",
}  # fmt: skip


class MalformedError(Exception):
    pass


class Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.content):
            raise MalformedError
        taken = self.content[self.at : self.at + size]
        self.at += size
        return taken

    @property
    def done(self) -> bool:
        return self.at == len(self.content)


def text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def read_value(reader: Reader, depth: int = 1) -> tuple[str, Any]:
    """The value's type and what it stands for."""
    kind = chr(reader.take(1)[0])
    if kind in FIXED:
        return kind, struct.unpack(FIXED[kind], reader.take(struct.calcsize(FIXED[kind])))[0]
    if kind == "V":
        return kind, None
    if kind == "D":
        return kind, struct.unpack(">Bi", reader.take(5))
    if kind not in "SxFA":
        raise MalformedError
    content = reader.take(struct.unpack(">I", reader.take(4))[0])
    if kind == "S":
        return kind, text(content)
    if kind == "x":
        return kind, bytearray(content)
    return kind, read_table(content, depth + 1) if kind == "F" else read_array(content, depth + 1)


def read_table(content: bytes, depth: int = 1) -> dict[str, tuple[str, Any]]:
    if depth > 128:
        raise MalformedError
    reader, table = Reader(content), {}
    while not reader.done:
        name = reader.take(reader.take(1)[0]).decode("utf-8", "surrogateescape")
        table[name] = read_value(reader, depth)
    return table


def read_array(content: bytes, depth: int = 1) -> list[tuple[str, Any]]:
    if depth > 128:
        raise MalformedError
    reader, values = Reader(content), []
    while not reader.done:
        values.append(read_value(reader, depth))
    return values


def plain(value: tuple[str, Any]) -> object:
    """The value without its type, as `decode_table` shows it."""
    kind, content = value
    if kind == "F":
        return {name: plain(inner) for name, inner in content.items()}
    if kind == "A":
        return [plain(inner) for inner in content]
    if kind == "D":
        places, unscaled = content
        return Decimal(unscaled).scaleb(-places)
    return content


def write_value(value: tuple[str, Any]) -> bytes:
    kind, content = value
    head = kind.encode()
    if kind in FIXED:
        return head + struct.pack(FIXED[kind], content)
    if kind == "V":
        return head
    if kind == "D":
        return head + struct.pack(">Bi", *content)
    if kind == "F":
        return head + write_table(content)
    if kind == "A":
        content = b"".join(write_value(inner) for inner in content)
    elif isinstance(content, str):
        content = content.encode()
    return head + struct.pack(">I", len(content)) + bytes(content)


def write_table(table: dict[str, tuple[str, Any]]) -> bytes:
    """With its u32 size."""
    content = b"".join(
        bytes([len(name.encode())]) + name.encode() + write_value(value) for name, value in table.items()
    )
    return struct.pack(">I", len(content)) + content


SHORT, TABLE, OCTET, LONGLONG = "short", "table", "octet", "longlong"
PROPERTIES = [
    ("content_type", SHORT), ("content_encoding", SHORT), ("headers", TABLE), ("delivery_mode", OCTET),
    ("priority", OCTET), ("correlation_id", SHORT), ("reply_to", SHORT), ("expiration", SHORT), ("message_id", SHORT),
    ("timestamp", LONGLONG), ("type", SHORT), ("user_id", SHORT), ("app_id", SHORT), ("cluster_id", SHORT),
]  # fmt: skip


def read_properties(raw: bytes) -> dict[str, Any]:
    """Properties by name; headers as `read_table` gives them."""
    reader = Reader(raw)
    flags = more = struct.unpack(">H", reader.take(2))[0]
    if flags & 2:
        raise MalformedError
    while more & 1:
        more = struct.unpack(">H", reader.take(2))[0]
        if more & 0xFFFE:
            raise MalformedError
    properties: dict[str, Any] = {}
    for index, (name, kind) in enumerate(PROPERTIES):
        if not flags & 0x8000 >> index:
            continue
        if kind == SHORT:
            properties[name] = text(reader.take(reader.take(1)[0]))
        elif kind == OCTET:
            properties[name] = reader.take(1)[0]
        elif kind == LONGLONG:
            properties[name] = struct.unpack(">Q", reader.take(8))[0]
        else:
            properties[name] = read_table(reader.take(struct.unpack(">I", reader.take(4))[0]))
    if not reader.done:
        raise MalformedError
    return properties


def write_properties(properties: dict[str, Any]) -> bytes:
    """From names; headers as `write_table` takes them."""
    flags, body = 0, b""
    for index, (name, kind) in enumerate(PROPERTIES):
        if name not in properties:
            continue
        flags |= 0x8000 >> index
        value = properties[name]
        if kind == SHORT:
            content = value if isinstance(value, bytes) else str(value).encode()
            body += bytes([len(content)]) + content
        elif kind == OCTET:
            body += bytes([value])
        elif kind == LONGLONG:
            body += struct.pack(">Q", value)
        else:
            body += write_table(value)
    return struct.pack(">H", flags) + body
