# cython: annotation_typing=False
"""The properties of MQTT 5 (§2.2.2): what they are called, where they may stand, and their bytes.

Owns the table of properties, decoding with every rule that one property alone can break, and encoding. Refuses to know
what a property means to a session or a message.

    length varint │ { identifier u8, value }…

Text that the broker reads or writes itself (a method's name, a reason) is `str`; text that belongs to a message stays
`bytes`, checked to be UTF-8, so that it passes as it came.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec

from broker.mqtt.fields import Reader, encode_binary, encode_text, encode_varint
from broker.mqtt.reasons import MqttError, Reason, malformed, protocol_error


class Packet(enum.IntEnum):
    """Control packet types (§2.1.2); WILL stands for the properties of a will, inside CONNECT."""

    WILL = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


FLAGS = {Packet.PUBREL: 2, Packet.SUBSCRIBE: 2, Packet.UNSUBSCRIBE: 2}
"""Of the fixed header (§2.1.3), where they are not 0; PUBLISH's say something."""


class Properties(msgspec.Struct, kw_only=True):
    """All properties of MQTT 5; None, or empty, where absent."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: bytes | None = None
    response_topic: bytes | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: list[int] = []
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_properties: list[tuple[bytes, bytes]] = []
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None


NONE_SAID = Properties()
"""What most packets say. Shared, so nobody changes it."""


class Kind(enum.Enum):
    """How a property's value is written."""

    FLAG = "an octet that is 0 or 1"
    U16 = "a two byte integer"
    U32 = "a four byte integer"
    VARINT = "a variable byte integer"
    BINARY = "binary data"
    TEXT = "a string that the broker reads"
    OPAQUE_TEXT = "a string that passes as it came"
    PAIR = "two strings that pass as they came"


class Property(NamedTuple):
    """One row of the table."""

    identifier: int
    name: str
    kind: Kind
    packets: int
    """Bits: 1 << Packet, where it may stand."""
    zero_is_error: bool = False


def packets(*kinds: Packet) -> int:
    """A set of packets as bits."""
    return sum(1 << kind for kind in kinds)


MESSAGE = packets(Packet.PUBLISH, Packet.WILL)
GREETING = packets(Packet.CONNECT, Packet.CONNACK)
CONNACK = packets(Packet.CONNACK)
AUTHENTICATION = GREETING | packets(Packet.AUTH)
REASONED = CONNACK | packets(
    Packet.PUBACK, Packet.PUBREC, Packet.PUBREL, Packet.PUBCOMP, Packet.SUBACK, Packet.UNSUBACK, Packet.DISCONNECT,
    Packet.AUTH,
)  # fmt: skip
ANY = MESSAGE | GREETING | REASONED | packets(Packet.SUBSCRIBE, Packet.UNSUBSCRIBE)

PROPERTIES = (  # MQTT 5 table 2-4
    Property(1, "payload_format_indicator", Kind.FLAG, MESSAGE),
    Property(2, "message_expiry_interval", Kind.U32, MESSAGE),
    Property(3, "content_type", Kind.OPAQUE_TEXT, MESSAGE),
    Property(8, "response_topic", Kind.OPAQUE_TEXT, MESSAGE),
    Property(9, "correlation_data", Kind.BINARY, MESSAGE),
    Property(11, "subscription_identifiers", Kind.VARINT, packets(Packet.PUBLISH, Packet.SUBSCRIBE), True),
    Property(17, "session_expiry_interval", Kind.U32, GREETING | packets(Packet.DISCONNECT)),
    Property(18, "assigned_client_identifier", Kind.TEXT, CONNACK),
    Property(19, "server_keep_alive", Kind.U16, CONNACK),
    Property(21, "authentication_method", Kind.TEXT, AUTHENTICATION),
    Property(22, "authentication_data", Kind.BINARY, AUTHENTICATION),
    Property(23, "request_problem_information", Kind.FLAG, packets(Packet.CONNECT)),
    Property(24, "will_delay_interval", Kind.U32, packets(Packet.WILL)),
    Property(25, "request_response_information", Kind.FLAG, packets(Packet.CONNECT)),
    Property(26, "response_information", Kind.TEXT, CONNACK),
    Property(28, "server_reference", Kind.TEXT, CONNACK | packets(Packet.DISCONNECT)),
    Property(31, "reason_string", Kind.TEXT, REASONED),
    Property(33, "receive_maximum", Kind.U16, GREETING, True),
    Property(34, "topic_alias_maximum", Kind.U16, GREETING),
    Property(35, "topic_alias", Kind.U16, packets(Packet.PUBLISH), True),
    Property(36, "maximum_qos", Kind.FLAG, CONNACK),
    Property(37, "retain_available", Kind.FLAG, CONNACK),
    Property(38, "user_properties", Kind.PAIR, ANY),
    Property(39, "maximum_packet_size", Kind.U32, GREETING, True),
    Property(40, "wildcard_subscription_available", Kind.FLAG, CONNACK),
    Property(41, "subscription_identifier_available", Kind.FLAG, CONNACK),
    Property(42, "shared_subscription_available", Kind.FLAG, CONNACK),
)
BY_IDENTIFIER = {each.identifier: each for each in PROPERTIES}
NO_PROPERTIES = b"\0"


def decode_properties(data: bytes, offset: int, packet: Packet) -> tuple[Properties, int]:
    """The properties at `offset`, and where they end. Raises MqttError."""
    reader = Reader(data, offset)
    return read_properties(reader, packet), reader.at


def read_properties(reader: Reader, packet: Packet) -> Properties:
    """The properties that come next, the property length first. Raises MqttError."""
    size = reader.varint()
    if size == 0:
        return NONE_SAID
    if reader.rest < size:
        raise malformed("the properties run beyond the packet's end")
    found = Properties()
    within = Reader(reader.data, reader.at, reader.at + size)
    seen = 0
    while within.at < within.end:
        identifier = within.u8()  # table 2-4 has no identifier that takes a second octet
        row = BY_IDENTIFIER.get(identifier)
        if row is None:
            raise malformed(f"there is no property 0x{identifier:02x}")
        if not row.packets >> packet & 1:
            raise protocol_error(f"property {row.name} must not be in {packet.name}")
        if row.kind is Kind.PAIR:
            found.user_properties.append((within.text(), within.text()))  # [MQTT-3.3.2-18] in their order
            continue
        if seen >> identifier & 1 and not (packet is Packet.PUBLISH and row.kind is Kind.VARINT):
            raise protocol_error(f"property {row.name} is there twice")
        seen |= 1 << identifier
        read_value(found, row, within)
    reader.at = within.end
    if found.authentication_data is not None and found.authentication_method is None:  # MQTT 5 §3.1.2.11.10
        raise protocol_error("authentication data without an authentication method")
    return found


def read_value(found: Properties, row: Property, reader: Reader) -> None:
    """One value, with the rules that hold wherever it stands."""
    kind = row.kind
    if kind is Kind.OPAQUE_TEXT:
        text = reader.text()
        if row.name == "response_topic" and (not text or b"+" in text or b"#" in text):  # [MQTT-3.3.2-14]
            raise protocol_error("a response topic is empty or contains a wildcard")
        setattr(found, row.name, text)
        return
    if kind is Kind.TEXT:
        setattr(found, row.name, reader.text().decode())
        return
    if kind is Kind.BINARY:
        setattr(found, row.name, reader.binary())
        return
    if kind is Kind.FLAG:
        value = reader.u8()
        if value > 1:
            raise protocol_error(f"property {row.name} is neither 0 nor 1")
    elif kind is Kind.U16:
        value = reader.u16()
    elif kind is Kind.U32:
        value = reader.u32()
    else:
        value = reader.varint()
    if value == 0 and row.zero_is_error:  # [MQTT-3.3.2-8], §3.1.2.11.3, §3.1.2.11.4, §3.8.2.1.2
        reason = Reason.TOPIC_ALIAS_INVALID if row.name == "topic_alias" else Reason.PROTOCOL_ERROR
        raise MqttError(reason, f"property {row.name} must not be 0")
    if kind is Kind.VARINT:
        found.subscription_identifiers.append(value)
    else:
        setattr(found, row.name, value)


def encode_value(row: Property, value: Any) -> bytes:
    """Identifier and value, once for each value where there may be several."""
    head = bytes((row.identifier,))
    kind = row.kind
    if kind is Kind.PAIR:
        return b"".join(head + encode_binary(name) + encode_binary(content) for name, content in value)
    if kind is Kind.VARINT:
        return b"".join(head + encode_varint(each) for each in value)
    if kind is Kind.FLAG:
        return head + bytes((value,))
    if kind is Kind.U16:
        return head + int(value).to_bytes(2, "big")
    if kind is Kind.U32:
        return head + int(value).to_bytes(4, "big")
    if kind is Kind.TEXT:
        return head + encode_text(value)
    return head + encode_binary(value)


def encode_properties(properties: Properties | None) -> bytes:
    """The property length and the properties, in the order of their identifiers."""
    if properties is None:
        return NO_PROPERTIES
    parts = []
    for row in PROPERTIES:
        value = getattr(properties, row.name)
        if value is not None and value != []:
            parts.append(encode_value(row, value))
    content = b"".join(parts)
    return encode_varint(len(content)) + content
