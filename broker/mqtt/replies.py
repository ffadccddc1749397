# cython: annotation_typing=False
"""What the broker says in control packets, but for PUBLISH and the acknowledgements that say nothing but yes.

Owns the bytes of whole packets, 3.1, 3.1.1 and 5, and what is left out where a client takes no more. Refuses to know
why something is said.

    type and flags u8 │ remaining length varint │ body: variable header, properties (5), payload
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from broker.mqtt.fields import VARINT_MAX, encode_varint
from broker.mqtt.properties import FLAGS, Packet, Properties, encode_properties
from broker.mqtt.reasons import VERSION_5, Reason, connack_code, disconnect_code, suback_code

PACKET_BYTES_MAX = VARINT_MAX + 5
PINGRESP = b"\xd0\0"
ACCEPTED_4, GOES_ON_4 = b"\x20\x02\0\0", b"\x20\x02\x01\0"
"""MQTT 3.1.1's CONNACK (§3.2) that says yes, to a new session and to one that was there."""


def frame(packet: Packet, body: bytes) -> bytes:
    """Fixed header and body."""
    return bytes((packet << 4 | FLAGS.get(packet, 0),)) + encode_varint(len(body)) + body


def fitted(packet: Packet, head: bytes, properties: Properties | None, tail: bytes, packet_bytes_max: int) -> bytes:
    """The packet; without what is only there to explain, where the client would find it too large."""
    whole = frame(packet, head + encode_properties(properties) + tail)
    if len(whole) > packet_bytes_max and properties is not None:  # [MQTT-3.2.2-19], [MQTT-3.2.2-20] and their like
        shorter = msgspec.structs.replace(properties, reason_string=None, user_properties=[])
        whole = frame(packet, head + encode_properties(shorter) + tail)
    return whole


def explained(reason_string: str | None, user_properties: Iterable[tuple[bytes, bytes]]) -> Properties | None:
    """The properties that most answers can have; None: none."""
    pairs = list(user_properties)
    if reason_string is None and not pairs:
        return None
    return Properties(reason_string=reason_string, user_properties=pairs)


def encode_connack(
    version: int,
    session_present: bool,
    reason: Reason,
    properties: Properties | None = None,
    packet_bytes_max: int = PACKET_BYTES_MAX,
) -> bytes:
    """CONNACK (§3.2); empty where this version has no code for the reason, and the connection is just closed."""
    if version == 4 and reason == Reason.SUCCESS:
        return GOES_ON_4 if session_present else ACCEPTED_4
    code = connack_code(reason, version)
    if code is None:
        return b""
    present = session_present and code == 0 and version != 3  # [MQTT-3.2.2-6]; MQTT 3.1 §3.2: the octet is reserved
    head = bytes((present, code))
    if version < VERSION_5:
        return frame(Packet.CONNACK, head)
    return fitted(Packet.CONNACK, head, properties, b"", packet_bytes_max)


def encode_suback(
    version: int,
    packet_id: int,
    reasons: Iterable[Reason],
    *,
    reason_string: str | None = None,
    user_properties: Iterable[tuple[bytes, bytes]] = (),
    packet_bytes_max: int = PACKET_BYTES_MAX,
) -> bytes:
    """SUBACK (§3.9): a reason for each topic filter, in their order [MQTT-3.8.4-6]."""
    head = packet_id.to_bytes(2, "big")
    codes = bytes(suback_code(reason, version) for reason in reasons)
    if version < VERSION_5:
        return frame(Packet.SUBACK, head + codes)
    return fitted(Packet.SUBACK, head, explained(reason_string, user_properties), codes, packet_bytes_max)


def encode_unsuback(
    version: int,
    packet_id: int,
    reasons: Iterable[Reason],
    *,
    reason_string: str | None = None,
    user_properties: Iterable[tuple[bytes, bytes]] = (),
    packet_bytes_max: int = PACKET_BYTES_MAX,
) -> bytes:
    """UNSUBACK (§3.11); MQTT 3 says only that it was heard."""
    head = packet_id.to_bytes(2, "big")
    if version < VERSION_5:
        return frame(Packet.UNSUBACK, head)
    return fitted(Packet.UNSUBACK, head, explained(reason_string, user_properties), bytes(reasons), packet_bytes_max)


def encode_ack(
    packet: Packet,
    version: int,
    packet_id: int,
    reason: Reason = Reason.SUCCESS,
    *,
    reason_string: str | None = None,
    user_properties: Iterable[tuple[bytes, bytes]] = (),
    packet_bytes_max: int = PACKET_BYTES_MAX,
) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, as short as can be (§3.4.2.1, §3.4.2.2.1)."""
    head = packet_id.to_bytes(2, "big")
    properties = explained(reason_string, user_properties)
    if version < VERSION_5 or (reason == Reason.SUCCESS and properties is None):
        return frame(packet, head)
    head += bytes((reason,))
    if properties is None:
        return frame(packet, head)
    return fitted(packet, head, properties, b"", packet_bytes_max)


def encode_disconnect(
    version: int,
    reason: Reason,
    properties: Properties | None = None,
    packet_bytes_max: int = PACKET_BYTES_MAX,
) -> bytes:
    """DISCONNECT (§3.14); empty before MQTT 5, where a server only closes."""
    if version < VERSION_5:
        return b""
    head = bytes((disconnect_code(reason),))
    if properties is None:
        return frame(Packet.DISCONNECT, head)
    return fitted(Packet.DISCONNECT, head, properties, b"", packet_bytes_max)


def encode_auth(reason: Reason, properties: Properties, packet_bytes_max: int = PACKET_BYTES_MAX) -> bytes:
    """AUTH (§3.15)."""
    return fitted(Packet.AUTH, bytes((reason,)), properties, b"", packet_bytes_max)
