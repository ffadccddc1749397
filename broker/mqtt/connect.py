# cython: annotation_typing=False
"""CONNECT, in MQTT 3.1, 3.1.1 and 5 (MQTT 5 §3.1): what a client says of itself first.

Owns its fields and every rule that it can break by itself. Refuses to know who may come, and what for (`handshake`).

    protocol name │ version u8 │ flags u8 │ keep alive u16 │ properties (5) │ client identifier
    │ will properties (5), will topic, will payload │ user name │ password        the last five as the flags say

What the peer did wrong raises `MqttError`; nothing else is ever raised for what a peer sent.
"""

from __future__ import annotations

import msgspec

from broker.mqtt.fields import Reader
from broker.mqtt.properties import NONE_SAID, Packet, Properties, read_properties
from broker.mqtt.reasons import VERSION_5, VERSIONS, MqttError, Reason, malformed
from broker.mqtt.topics import check_topic_name

PROTOCOL_NAMES = {3: b"MQIsdp", 4: b"MQTT", 5: b"MQTT"}
NAMES = frozenset(PROTOCOL_NAMES.values())
BRIDGE_BIT = 0x80


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


def read_version(reader: Reader) -> tuple[int, bool]:
    """Protocol name and version of a CONNECT: (version, whether a bridge of Mosquitto speaks)."""
    name = reader.binary()
    if name not in NAMES:  # [MQTT-3.1.2-1]
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
    properties = read_properties(reader, Packet.CONNECT) if version == VERSION_5 else NONE_SAID
    client_id = reader.text().decode()
    will = read_will(reader, version, flags) if has_will else None
    if version == 3:  # MQTT 3.1 §3.1: a flag may be set though the field is missing; the remaining length counts
        has_username = has_username and reader.at < reader.end
    username = reader.text().decode() if has_username else None
    if version == 3:
        has_password = has_password and reader.at < reader.end
    password = reader.binary() if has_password else None
    reader.finish()
    clean_start = bool(flags & 0x02)
    if not client_id and (version == 3 or (version == 4 and not clean_start)):  # MQTT 3.1.1 [MQTT-3.1.3-8]
        raise MqttError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "the client identifier is empty")
    return Connect(version, clean_start, keep_alive_s, client_id, username, password, will, properties, is_bridge)


def read_will(reader: Reader, version: int, flags: int) -> Will:
    """Will properties, topic and payload (§3.1.3.2 to §3.1.3.4)."""
    properties = read_properties(reader, Packet.WILL) if version == VERSION_5 else NONE_SAID
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
