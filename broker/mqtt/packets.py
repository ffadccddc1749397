# cython: annotation_typing=False
"""MQTT control packets that clients send, 3.1, 3.1.1 and 5, but for CONNECT, PUBLISH and the shortest acknowledgements.

Owns what stands in them (MQTT 5 §3, MQTT 3.1.1 §3): bytes to typed objects, with every rule that a packet can break by
itself. Refuses to know sessions, sockets and what was said before.

    type and flags u8 │ remaining length varint │ body: variable header, properties (5), payload

`decode_x` takes the body alone; the fixed header's flags are `check_flags`'s. What the peer did wrong raises
`MqttError`; nothing else is ever raised for what a peer sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from broker.mqtt.fields import Reader
from broker.mqtt.properties import FLAGS, NONE_SAID, Packet, Properties, read_properties
from broker.mqtt.reasons import VERSION_5, Reason, malformed, protocol_error
from broker.mqtt.topics import split_share

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


def check_flags(first_octet: int) -> Packet:
    """The type of a packet that a client may send, by its first octet; PUBLISH's own flags aside. Raises MqttError."""
    packet: Packet | None = BY_FIRST_OCTET.get(first_octet)
    return judge_first_octet(first_octet) if packet is None else packet


def judge_first_octet(first_octet: int) -> Packet:
    """What `check_flags` knows by heart."""
    kind = first_octet >> 4
    if kind == 0:
        raise malformed("packet type 0 is reserved")  # MQTT 5 §2.1.2
    packet = Packet(kind)
    if packet not in FROM_CLIENTS:
        raise protocol_error(f"{packet.name} comes from servers only")
    if packet is not Packet.PUBLISH and first_octet & 0x0F != FLAGS.get(packet, 0):  # [MQTT-2.1.3-1]
        raise malformed(f"the flags of {packet.name} are 0x{first_octet & 0x0F:x}")
    return packet


BY_FIRST_OCTET: dict[int, Packet] = {each << 4 | FLAGS.get(each, 0): each for each in FROM_CLIENTS}


def read_packet_id(reader: Reader) -> int:
    """A packet identifier."""
    packet_id = reader.u16()
    if packet_id == 0:  # [MQTT-2.2.1-3], [MQTT-2.2.1-4]
        raise protocol_error("the packet identifier is 0")
    return packet_id


def decode_subscribe(version: int, body: bytes) -> Subscribe:
    """SUBSCRIBE (§3.8). Raises MqttError."""
    reader = Reader(body)
    packet_id = read_packet_id(reader)
    properties = read_properties(reader, Packet.SUBSCRIBE) if version == VERSION_5 else NONE_SAID
    subscriptions = []
    while reader.at < reader.end:
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
    properties = read_properties(reader, Packet.UNSUBSCRIBE) if version == VERSION_5 else NONE_SAID
    topic_filters = []
    while reader.at < reader.end:
        topic_filter = reader.text()
        split_share(topic_filter)
        topic_filters.append(topic_filter)
    if not topic_filters:  # [MQTT-3.10.3-2]
        raise protocol_error("UNSUBSCRIBE without a topic filter")
    return Unsubscribe(packet_id, topic_filters, properties.user_properties)


def read_reason(reader: Reader, packet: Packet, allowed: frozenset[int]) -> tuple[Reason, Properties]:
    """Reason code and properties at the end of a packet, where both, or the properties, may be left out."""
    code = reader.u8() if reader.at < reader.end else 0
    if code not in allowed:
        raise protocol_error(f"reason code 0x{code:02x} must not be in {packet.name}")
    properties = read_properties(reader, packet) if reader.at < reader.end else NONE_SAID
    reader.finish()
    return Reason(code), properties


def decode_ack(packet: Packet, version: int, body: bytes) -> Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, with all that it may say. Raises MqttError."""
    reader = Reader(body)
    packet_id = read_packet_id(reader)
    if version < VERSION_5:
        reader.finish()
        return Ack(packet_id, Reason.SUCCESS, NONE_SAID)
    return Ack(packet_id, *read_reason(reader, packet, ACK_REASONS[packet]))


def decode_disconnect(version: int, body: bytes) -> Disconnect:
    """DISCONNECT (§3.14). Raises MqttError."""
    if not body:
        return NORMAL_DISCONNECT
    reader = Reader(body)
    if version < VERSION_5:
        reader.finish()
    disconnect = Disconnect(*read_reason(reader, Packet.DISCONNECT, DISCONNECT_REASONS))
    if disconnect.properties.server_reference is not None:  # MQTT 5 §3.14.2.2.5: only a server refers to another
        raise protocol_error("a server reference from a client")
    return disconnect


NORMAL_DISCONNECT = Disconnect(Reason.NORMAL_DISCONNECTION, NONE_SAID)

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
