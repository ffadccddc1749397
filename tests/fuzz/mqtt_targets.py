"""MQTT's pure halves, fuzzed.

mqtt_packet      version and packet type in the first octet, then a body: decoded, or refused with a reason code
mqtt_publish     the properties of a PUBLISH: both readers agree, and through AMQP and back nothing is lost
mqtt_from_amqp   an AMQP property list: whatever it is, what comes of it is what a PUBLISH may have
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from broker.core.errors import TableError
from broker.core.properties import check_properties
from broker.mqtt import packets
from broker.mqtt.connect import decode_connect
from broker.mqtt.properties import Packet, Properties, decode_properties
from broker.mqtt.publish_properties import check_publish
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.translate import from_amqp_bytes, publish_to_amqp
from tests.oracles import mqtt_packets as client
from tests.support.in_process import BrokenBrokerError

Seen = set[str]

DECODERS: list[Callable[[bytes], object]] = [
    decode_connect,
    *(partial(packets.decode_subscribe, version) for version in (3, 4, 5)),
    *(partial(packets.decode_unsubscribe, version) for version in (3, 4, 5)),
    *(partial(packets.decode_disconnect, version) for version in (4, 5)),
    partial(packets.decode_auth, 5),
    *(partial(packets.decode_ack, kind, 5) for kind in (Packet.PUBACK, Packet.PUBREC, Packet.PUBREL, Packet.PUBCOMP)),
    partial(packets.decode_ack, Packet.PUBACK, 4),
]
EXPECTED = {
    Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR, Reason.UNSUPPORTED_PROTOCOL_VERSION, Reason.TOPIC_FILTER_INVALID,
    Reason.TOPIC_NAME_INVALID, Reason.CLIENT_IDENTIFIER_NOT_VALID, Reason.PAYLOAD_FORMAT_INVALID,
}  # fmt: skip


def require(truth: object, text: str) -> None:
    if not truth:
        raise BrokenBrokerError(text)


def packet(raw: bytes) -> Seen:
    """A body is decoded or refused with a reason code that fits; and text in it is text."""
    number, body = (raw[0] if raw else 0) % len(DECODERS), raw[1:]
    try:
        decoded = DECODERS[number](body)
    except MqttError as error:
        require(error.reason in EXPECTED, f"refused with {error.reason!r}")
        return {f"{number} {error.reason.name} {error.text[:40]}"}
    filters: list[bytes] = []
    if isinstance(decoded, packets.Subscribe):
        filters = [each.topic_filter for each in decoded.subscriptions]
        require(decoded.packet_id, "packet identifier 0")
    elif isinstance(decoded, packets.Unsubscribe):
        filters = decoded.topic_filters
    for each in filters:
        require(each.decode().encode() == each and b"\0" not in each and each, f"a filter is {each!r}")
    properties = getattr(decoded, "properties", None)
    present = {name for name in Properties.__struct_fields__ if getattr(properties, name, None)}
    return {f"{number} {type(decoded).__name__} {len(filters)}", *(f"{number} {name}" for name in present)}


def length(size: int) -> bytes:
    """A property length."""
    return client.varint(size)


def publish(content: bytes) -> Seen:
    """The scan and the slow reader agree; a property list comes out that the core takes and that leads back."""
    slow: Properties | None = None
    try:
        slow, _ = decode_properties(length(len(content)) + content, 0, Packet.PUBLISH)
    except MqttError as error:
        expected: Reason | None = error.reason
    else:
        expected = Reason.PROTOCOL_ERROR if slow.subscription_identifiers else None
    try:
        check_publish(content)
    except MqttError as error:
        require(expected is not None, f"refused with {error.reason!r}, though well-formed")
        return {error.reason.name}
    require(expected is None, f"accepted, though the slow reader says {expected!r}")
    assert slow is not None
    raw = publish_to_amqp(content, 1, b"topic")
    check_properties(raw)
    back = from_amqp_bytes(raw)
    check_publish(back)
    found, _ = decode_properties(length(len(back)) + back, 0, Packet.PUBLISH)
    slow.topic_alias = slow.message_expiry_interval = None  # each delivery has its own
    require(found == slow, f"{slow!r} comes back as {found!r}")
    return {name for name in Properties.__struct_fields__ if getattr(slow, name)} | {f"{len(slow.user_properties)}"}


def from_amqp(raw: bytes) -> Seen:
    """What becomes of any property list is what a PUBLISH may have."""
    content = from_amqp_bytes(raw)
    check_publish(content)
    try:
        check_properties(raw)
    except TableError as error:
        require(not content, "properties out of a malformed list")
        return {str(error)}
    found, _ = decode_properties(length(len(content)) + content, 0, Packet.PUBLISH)
    return {name for name in Properties.__struct_fields__ if getattr(found, name)} | {f"{len(found.user_properties)}"}


TARGETS: dict[str, Callable[[bytes], Seen]] = {
    "mqtt_packet": packet,
    "mqtt_publish": publish,
    "mqtt_from_amqp": from_amqp,
}


# ── seeds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

WILL = ("a/b", b"gone", 1, True)
CONNECT_PROPERTIES: list[tuple[int, object]] = [
    (17, 100), (33, 10), (38, ("a", "b")), (21, "M"), (22, b"\0"), (39, 100), (23, 1), (25, 0), (34, 1),
]  # fmt: skip
MESSAGE_PROPERTIES: list[tuple[int, object]] = [
    (1, 1), (2, 9), (3, "text/é"), (8, "a/b"), (9, b"\xff\0"), (38, ("k", "é")), (38, ("k", "")), (38, ("CC", "q")),
    (38, ("x-reply-to-topic", "a")), (38, ("", "")), (38, ("n" * 256, "v")),
]  # fmt: skip


def packet_seeds() -> list[bytes]:
    """One body for each decoder, and more of CONNECT."""
    bodies: list[tuple[int, bytes]] = [(0, client.connect(version, will=WILL, username="u")) for version in (3, 4, 5)]
    bodies.append((0, client.connect(5, props=CONNECT_PROPERTIES, will=WILL, will_props=MESSAGE_PROPERTIES)))
    for index, version in enumerate((3, 4, 5)):
        bodies.append((1 + index, client.subscribe(version, 7, [("a/+/#", 1), ("$share/g/b", 0), ("$queue/c", 2)])))
        bodies.append((4 + index, client.unsubscribe(version, 7, ["a/#", "$share/g/b"])))
    bodies.append((3, client.subscribe(5, 7, [("a", 0x2E)], [(11, 300), (38, ("k", "v"))])))
    bodies.append((8, b"\4" + client.properties([(17, 5), (31, "bye")])))
    bodies.append((9, b"\x18" + client.properties([(21, "SCRAM"), (22, b"x")])))
    bodies += [(number, b"\0\1\x92" + client.properties([(31, "why"), (38, ("a", "b"))])) for number in range(10, 14)]
    return [bytes([number]) + body for number, body in bodies]


def publish_seeds() -> list[bytes]:
    """Properties without their length."""
    lists = [[each] for each in [*MESSAGE_PROPERTIES, (35, 1), (11, 1)]]
    lists += [MESSAGE_PROPERTIES, MESSAGE_PROPERTIES[::-1], [(9, b"c" * 300), (3, "t" * 300)]]
    return [client.properties(each)[len(length(len(client.properties(each)) - 1)) :] for each in lists] + [b""]


def from_amqp_seeds() -> list[bytes]:
    """What MQTT makes of properties: the engine adds AMQP's own lists."""
    return [publish_to_amqp(each, 1, b"t" * 300) for each in publish_seeds() if b"\x0b\x01" not in each[:2]]
