"""What a client writes, in MQTT 3.1, 3.1.1 and 5: slow, obvious, and ignorant of the broker's own codec.

Whatever it is given, it writes, allowed or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# identifier → how the value is written (MQTT 5 table 2-4)
KINDS = {
    1: "u8", 2: "u32", 3: "text", 8: "text", 9: "binary", 11: "varint", 17: "u32", 18: "text", 19: "u16", 21: "text",
    22: "binary", 23: "u8", 24: "u32", 25: "u8", 26: "text", 28: "text", 31: "text", 33: "u16", 34: "u16", 35: "u16",
    36: "u8", 37: "u8", 38: "pair", 39: "u32", 40: "u8", 41: "u8", 42: "u8",
}  # fmt: skip


def varint(value: int) -> bytes:
    head, rest = value % 128, value // 128
    return bytes([head + 128]) + varint(rest) if rest else bytes([head])


def text(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return len(content).to_bytes(2, "big") + content


def property_value(kind: str, value: Any) -> bytes:
    if kind in ("u8", "u16", "u32"):
        return int(value).to_bytes(int(kind[1:]) // 8, "big")
    if kind == "varint":
        return varint(value)
    if kind == "pair":
        return text(value[0]) + text(value[1])
    return text(value)


def properties(pairs: Iterable[tuple[int, Any]]) -> bytes:
    content = b"".join(bytes([identifier]) + property_value(KINDS[identifier], value) for identifier, value in pairs)
    return varint(len(content)) + content


def connect(
    version: int = 5,
    client_id: str | bytes = "c",
    *,
    clean: bool = True,
    keep_alive: int = 60,
    username: str | bytes | None = None,
    password: bytes | None = None,
    will: tuple[str | bytes, bytes, int, bool] | None = None,
    props: Iterable[tuple[int, Any]] = (),
    will_props: Iterable[tuple[int, Any]] = (),
    flags: int = 0,
    name: str | None = None,
) -> bytes:
    """A CONNECT's body. `will`: topic, payload, QoS, retain; `flags`: more bits to set."""
    flags |= 2 * clean + 128 * (username is not None) + 64 * (password is not None)
    if will is not None:
        flags |= 4 + 8 * will[2] + 32 * will[3]
    body = (
        text(name or ("MQIsdp" if version == 3 else "MQTT")) + bytes([version, flags]) + keep_alive.to_bytes(2, "big")
    )
    if version == 5:
        body += properties(props)
    body += text(client_id)
    if will is not None:
        if version == 5:
            body += properties(will_props)
        body += text(will[0]) + text(will[1])
    if username is not None:
        body += text(username)
    if password is not None:
        body += text(password)
    return body


def subscribe(
    version: int, packet_id: int, filters: Iterable[tuple[str | bytes, int]], props: Iterable[tuple[int, Any]] = ()
) -> bytes:
    """A SUBSCRIBE's body: (filter, options octet)."""
    head = packet_id.to_bytes(2, "big") + (properties(props) if version == 5 else b"")
    return head + b"".join(text(each) + bytes([options]) for each, options in filters)


def unsubscribe(
    version: int, packet_id: int, filters: Iterable[str | bytes], props: Iterable[tuple[int, Any]] = ()
) -> bytes:
    """An UNSUBSCRIBE's body."""
    head = packet_id.to_bytes(2, "big") + (properties(props) if version == 5 else b"")
    return head + b"".join(text(each) for each in filters)
