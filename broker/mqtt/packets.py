"""MQTT control packets, 3.1, 3.1.1 and 5, but for PUBLISH and the acknowledgements that say nothing but yes.

Owns what stands in the packets (MQTT 5 §3, MQTT 3.1.1 §3): bytes to typed objects and back, with every rule that a
packet can break by itself. Refuses to know sessions, sockets and what was said before.

    type and flags u8 │ remaining length varint │ body: variable header, properties (5), payload

`decode_x` takes the body alone; the fixed header's flags are `check_flags`'s. `encode_x` gives the whole packet. What
the peer did wrong raises `MqttError`; nothing else is ever raised for what a peer sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from broker.mqtt.fields import VARINT_MAX, Reader, encode_varint
from broker.mqtt.properties import Packet, Properties, encode_properties, read_properties
from broker.mqtt.reasons import (
    VERSION_5,
    VERSIONS,
    MqttError,
    Reason,
    connack_code,
    disconnect_code,
    malformed,
    protocol_error,
    suback_code,
)
from broker.mqtt.topics import check_topic_name, split_share

PROTOCOL_NAMES = {3: b"MQIsdp", 4: b"MQTT", 5: b"MQTT"}
BRIDGE_BIT = 0x80
CLIENT_ID_CHARACTERS_MAX_31 = 23
PACKET_BYTES_MAX = VARINT_MAX + 5
PINGRESP = b"\xd0\0"

FLAGS = {Packet.PUBREL: 2, Packet.SUBSCRIBE: 2, Packet.UNSUBSCRIBE: 2}

FROM_CLIENTS = frozenset(Packet) - {
    Packet.WILL, Packet.CONNACK, Packet.SUBACK, Packet.UNSUBACK, Packet.PINGRESP,
}  # fmt: skip

DISCONNECT_REASONS = frozenset(
    {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}
)  # fmt: skip
"""MQTT 5 §3.14.2.1: what a client may say."""
RECEIVED_REASONS = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
RELEASED_REASONS = frozenset({0x00, 0x92})
ACK_REASONS = {  # MQTT 5 §3.4.2.1, §3.5.2.1, §3.6.2.1, §3.7.2.1
    Packet.PUBACK: RECEIVED_REASONS,
    Packet.PUBREC: RECEIVED_REASONS,
    Packet.PUBREL: RELEASED_REASONS,
    Packet.PUBCOMP: RELEASED_REASONS,
}


class Will(msgspec.Struct, frozen=True):
    """What is to be published when the client is gone without a word."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


class Connect(msgspec.Struct, frozen=True):
    """CONNECT (§3.1)."""

    version: int
    """3, 4 or 5."""
    clean_start: bool
    keep_alive_s: int
    client_id: str
    username: str | None
    password: bytes | None
    will: Will | None
    properties: Properties
    is_bridge: bool = False
    """Deviation: Mosquitto's bridges say so in the version's highest bit, and want retain flags as published."""


class Subscription(msgspec.Struct, frozen=True):
    """One topic filter of a SUBSCRIBE, with its options (§3.8.3.1)."""

    topic_filter: bytes
    """As the client wrote it."""
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    share_name: bytes | None = None
    """Of `$share/name/…`; empty: `$queue/…`; None: not shared."""
    plain_filter: bytes = b""
    """The filter without `$share/name/`."""


class Subscribe(msgspec.Struct, frozen=True):
    """SUBSCRIBE (§3.8)."""

    packet_id: int
    subscriptions: list[Subscription]
    subscription_identifier: int | None = None
    user_properties: Sequence[tuple[bytes, bytes]] = ()


class Unsubscribe(msgspec.Struct, frozen=True):
    """UNSUBSCRIBE (§3.10)."""

    packet_id: int
    topic_filters: list[bytes]
    user_properties: Sequence[tuple[bytes, bytes]] = ()


class Ack(msgspec.Struct, frozen=True):
    """PUBACK, PUBREC, PUBREL or PUBCOMP (§3.4 to §3.7)."""

    packet_id: int
    reason: Reason
    properties: Properties


class Disconnect(msgspec.Struct, frozen=True):
    """DISCONNECT (§3.14)."""

    reason: Reason
    properties: Properties


class Auth(msgspec.Struct, frozen=True):
    """AUTH (§3.15)."""

    reason: Reason
    properties: Properties


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_flags(first_octet: int) -> Packet:
    """The type of a packet that a client may send, by its first octet; PUBLISH's own flags aside. Raises MqttError."""
    kind = first_octet >> 4
    if kind == 0:
        raise malformed("packet type 0 is reserved")  # MQTT 5 §2.1.2
    packet = Packet(kind)
    if packet not in FROM_CLIENTS:
        raise protocol_error(f"{packet.name} comes from servers only")
    if packet is not Packet.PUBLISH and first_octet & 0x0F != FLAGS.get(packet, 0):  # [MQTT-2.1.3-1]
        raise malformed(f"the flags of {packet.name} are 0x{first_octet & 0x0F:x}")
    return packet


def read_packet_id(reader: Reader) -> int:
    """A packet identifier."""
    packet_id = reader.u16()
    if packet_id == 0:  # [MQTT-2.2.1-3], [MQTT-2.2.1-4]
        raise protocol_error("the packet identifier is 0")
    return packet_id


def read_version(reader: Reader) -> tuple[int, bool]:
    """Protocol name and version of a CONNECT: (version, whether a bridge of Mosquitto speaks)."""
    name = reader.binary()
    if name not in PROTOCOL_NAMES.values():  # [MQTT-3.1.2-1]
        raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, "the protocol is not MQTT")
    level = reader.u8()
    version = level & ~BRIDGE_BIT
    if version not in VERSIONS or PROTOCOL_NAMES[version] != name:  # [MQTT-3.1.2-2]
        answer = VERSION_5 if name == b"MQTT" and version > VERSION_5 else 4
        text = f"protocol version {level} is not supported"
        raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, text, version=answer)
    return version, level != version


def decode_connect(body: bytes) -> Connect:
    """CONNECT (§3.1). Raises MqttError, with the version to answer in, or 0 where there is nothing to answer."""
    reader = Reader(body)
    version, is_bridge = read_version(reader)
    try:
        return read_connect(reader, version, is_bridge)
    except MqttError as error:
        error.version = version
        raise


def read_connect(reader: Reader, version: int, is_bridge: bool) -> Connect:
    """What comes behind the version."""
    flags = reader.u8()
    has_will = bool(flags & 0x04)
    has_username, has_password = bool(flags & 0x80), bool(flags & 0x40)
    if flags & 0x01:  # [MQTT-3.1.2-3]
        raise malformed("the reserved flag of CONNECT is set")
    if not has_will and flags & 0x38:  # [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        raise malformed("will QoS or will retain without a will")
    if flags & 0x18 == 0x18:  # [MQTT-3.1.2-12]
        raise malformed("the will's QoS is 3")
    if has_password and not has_username and version < VERSION_5:  # MQTT 3.1.1 [MQTT-3.1.2-22]
        raise malformed("a password without a user name")
    keep_alive_s = reader.u16()
    properties = read_properties(reader, Packet.CONNECT) if version == VERSION_5 else Properties()
    client_id = reader.text().decode()
    will = read_will(reader, version, flags) if has_will else None
    if version == 3:  # MQTT 3.1 §3.1: a flag may be set though the field is missing; the remaining length counts
        has_username = has_username and reader.rest > 0
    username = reader.text().decode() if has_username else None
    if version == 3:
        has_password = has_password and reader.rest > 0
    password = reader.binary() if has_password else None
    reader.finish()
    clean_start = bool(flags & 0x02)
    if not client_id and (version == 3 or (version == 4 and not clean_start)):  # MQTT 3.1.1 [MQTT-3.1.3-8]
        raise MqttError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "the client identifier is empty")
    return Connect(version, clean_start, keep_alive_s, client_id, username, password, will, properties, is_bridge)


def read_will(reader: Reader, version: int, flags: int) -> Will:
    """Will properties, topic and payload (§3.1.3.2 to §3.1.3.4)."""
    properties = read_properties(reader, Packet.WILL) if version == VERSION_5 else Properties()
    topic = check_topic_name(reader.text())
    payload = reader.binary()
    if properties.payload_format_indicator == 1:
        check_payload(payload)
    return Will(topic, payload, flags >> 3 & 3, bool(flags & 0x20), properties)


def check_payload(payload: bytes) -> None:
    """A payload that claims to be UTF-8 has to be it (§3.1.3.2.3)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise MqttError(Reason.PAYLOAD_FORMAT_INVALID, "the will's payload is not UTF-8, though it says so") from None


def decode_subscribe(version: int, body: bytes) -> Subscribe:
    """SUBSCRIBE (§3.8). Raises MqttError."""
    reader = Reader(body)
    packet_id = read_packet_id(reader)
    properties = read_properties(reader, Packet.SUBSCRIBE) if version == VERSION_5 else Properties()
    subscriptions = []
    while reader.rest:
        topic_filter = reader.text()
        subscriptions.append(read_options(version, topic_filter, reader.u8()))
    if not subscriptions:  # [MQTT-3.8.3-2]
        raise protocol_error("SUBSCRIBE without a topic filter")
    identifiers = properties.subscription_identifiers
    return Subscribe(packet_id, subscriptions, identifiers[0] if identifiers else None, properties.user_properties)


def read_options(version: int, topic_filter: bytes, options: int) -> Subscription:
    """One subscription from its filter and its options octet."""
    qos = options & 3
    if qos == 3:
        raise malformed("the QoS of a subscription is 3")
    if options & (0xC0 if version == VERSION_5 else 0xFC):  # [MQTT-3.8.3-5]; MQTT 3.1.1 [MQTT-3.8.3-4]
        raise malformed("reserved subscription options are set")
    no_local, retain_as_published, retain_handling = bool(options & 4), bool(options & 8), options >> 4
    if retain_handling == 3:
        raise protocol_error("the retain handling of a subscription is 3")
    share_name, plain_filter = split_share(topic_filter)
    if no_local and share_name is not None:  # [MQTT-3.8.3-4]
        raise protocol_error("no local on a shared subscription")
    return Subscription(topic_filter, qos, no_local, retain_as_published, retain_handling, share_name, plain_filter)


def decode_unsubscribe(version: int, body: bytes) -> Unsubscribe:
    """UNSUBSCRIBE (§3.10). Raises MqttError."""
    reader = Reader(body)
    packet_id = read_packet_id(reader)
    properties = read_properties(reader, Packet.UNSUBSCRIBE) if version == VERSION_5 else Properties()
    topic_filters = []
    while reader.rest:
        topic_filter = reader.text()
        split_share(topic_filter)
        topic_filters.append(topic_filter)
    if not topic_filters:  # [MQTT-3.10.3-2]
        raise protocol_error("UNSUBSCRIBE without a topic filter")
    return Unsubscribe(packet_id, topic_filters, properties.user_properties)


def read_reason(reader: Reader, packet: Packet, allowed: frozenset[int]) -> tuple[Reason, Properties]:
    """Reason code and properties at the end of a packet, where both, or the properties, may be left out."""
    code = reader.u8() if reader.rest else 0
    if code not in allowed:
        raise protocol_error(f"reason code 0x{code:02x} must not be in {packet.name}")
    properties = read_properties(reader, packet) if reader.rest else Properties()
    reader.finish()
    return Reason(code), properties


def decode_ack(packet: Packet, version: int, body: bytes) -> Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, with all that it may say. Raises MqttError."""
    reader = Reader(body)
    packet_id = read_packet_id(reader)
    if version < VERSION_5:
        reader.finish()
        return Ack(packet_id, Reason.SUCCESS, Properties())
    return Ack(packet_id, *read_reason(reader, packet, ACK_REASONS[packet]))


def decode_disconnect(version: int, body: bytes) -> Disconnect:
    """DISCONNECT (§3.14). Raises MqttError."""
    reader = Reader(body)
    if version < VERSION_5:
        reader.finish()
        return Disconnect(Reason.NORMAL_DISCONNECTION, Properties())
    disconnect = Disconnect(*read_reason(reader, Packet.DISCONNECT, DISCONNECT_REASONS))
    if disconnect.properties.server_reference is not None:  # MQTT 5 §3.14.2.2.5: only a server refers to another
        raise protocol_error("a server reference from a client")
    return disconnect


AUTH_REASONS = frozenset({0x18, 0x19})
"""MQTT 5 §3.15.2.1: success is the server's word."""


def decode_auth(version: int, body: bytes) -> Auth:
    """AUTH (§3.15). Raises MqttError."""
    if version < VERSION_5:
        raise malformed("packet type 15 is reserved before MQTT 5")
    auth = Auth(*read_reason(Reader(body), Packet.AUTH, AUTH_REASONS))
    if auth.properties.authentication_method is None:  # MQTT 5 §3.15.2.2.2
        raise protocol_error("AUTH without an authentication method")
    return auth


def check_empty(packet: Packet, body: bytes) -> None:
    """PINGREQ has no body (§3.12)."""
    if body:
        raise malformed(f"{packet.name} with a body")


# ── encoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
