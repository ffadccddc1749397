"""What no client may say, in every version: the specification's reason code, a clean end, and nobody else disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.support import mqtt_codec as codec
from tests.support.in_process import watched
from tests.support.mqtt_codec import V5, V31, V311, Filter, Packet, Properties
from tests.support.mqtt_in_process import MqttClient, MqttInProcess

MALFORMED, WRONG, FILTER_INVALID, TOPIC_INVALID = 0x81, 0x82, 0x8F, 0x90
ALIAS_INVALID, TOO_LARGE, RECEIVE_MAXIMUM = 0x94, 0x95, 0x93
ALL, IN_5, IN_3 = (V31, V311, V5), (V5,), (V31, V311)
NAMES = {V31: "3.1", V311: "3.1.1", V5: "5"}
LIMITS = {"mqtt_control_packet_bytes_max": 1000, "mqtt_topic_levels_max": 16, "mqtt_receive_max": 2}


class Offence(NamedTuple):
    """`said(version)`; `reason`: MQTT 5's. Which clause it is against stands in `name`."""

    name: str
    said: Callable[[int], bytes]
    reason: int
    versions: tuple[int, ...] = ALL


def publish(topic: str | bytes = "t", **settings: object) -> Callable[[int], bytes]:
    return lambda version: codec.publish(version, topic, **settings)  # type: ignore[arg-type]


def subscribe(*filters: Filter | str | bytes, packet_id: int = 1, **settings: object) -> Callable[[int], bytes]:
    entries = [each if isinstance(each, Filter) else Filter(each) for each in filters]
    return lambda version: codec.subscribe(version, packet_id, entries, **settings)  # type: ignore[arg-type]


def raw(said: bytes) -> Callable[[int], bytes]:
    return lambda _version: said


def unsubscribe(*filters: str | bytes, packet_id: int = 1) -> Callable[[int], bytes]:
    return lambda version: codec.unsubscribe(version, packet_id, filters)


def twice(name: str, value: object) -> Properties:
    return {name: [value, value]}


def with_properties(encoded: bytes) -> Callable[[int], bytes]:
    """A PUBLISH with these octets as its properties."""
    body = codec.string("t") + codec.varint(len(encoded)) + encoded + b"m"
    return raw(codec.frame(codec.PUBLISH, body, 0))


OFFENCES = [
    Offence("3.1.0-2 a second CONNECT", lambda version: codec.connect(version, "again"), WRONG),
    *(
        Offence(f"{codec.NAMES[kind]} comes from servers only", raw(codec.frame(kind, body)), WRONG)
        for kind, body in [
            (codec.CONNACK, b"\0\0"), (codec.SUBACK, b"\0\1\0"), (codec.UNSUBACK, b"\0\1"), (codec.PINGRESP, b""),
        ]
    ),
    Offence("2.1.2 packet type 0", raw(b"\0\0"), MALFORMED),
    Offence("4.12.0-6 AUTH out of turn", raw(codec.auth(0x19, {"authentication_method": "M"})), WRONG, IN_5),
    Offence("AUTH without a method", raw(codec.auth(0x18)), WRONG, IN_5),
    Offence("2.2.2-1 packet type 15 is reserved", raw(codec.auth(0)), MALFORMED, IN_3),
    Offence("2.1.4 a remaining length of five octets", raw(b"\x30\x80\x80\x80\x80\x01"), MALFORMED),
    *(
        Offence(f"2.1.3-1 flags of {codec.NAMES[kind]}", raw(codec.frame(kind, body, flags)), MALFORMED)
        for kind, body, flags in [
            (codec.SUBSCRIBE, b"\0\1\0\1t\0", 0), (codec.UNSUBSCRIBE, b"\0\1\0\1t", 3), (codec.PUBREL, b"\0\1", 0),
            (codec.PUBACK, b"\0\1", 1), (codec.PUBREC, b"\0\1", 8), (codec.PUBCOMP, b"\0\1", 2),
            (codec.PINGREQ, b"", 1), (codec.DISCONNECT, b"", 4),
        ]
    ),
    Offence("PINGREQ with a body", raw(codec.frame(codec.PINGREQ, b"x")), MALFORMED),
    # ── packet identifiers ──
    *(
        Offence(f"2.2.1-3 {codec.NAMES[kind]} with packet identifier 0", raw(codec.frame(kind, b"\0\0")), WRONG)
        for kind in (codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP)
    ),
    Offence("2.2.1-2 QoS 1 with packet identifier 0", publish(qos=1, packet_id=0), WRONG),
    Offence("2.2.1-2 QoS 2 with packet identifier 0", publish(qos=2, packet_id=0), WRONG),
    Offence("2.2.1-3 SUBSCRIBE with packet identifier 0", subscribe("t", packet_id=0), WRONG),
    Offence("2.2.1-3 UNSUBSCRIBE with packet identifier 0", unsubscribe("t", packet_id=0), WRONG),
    # ── PUBLISH ──
    Offence("3.3.1-4 QoS 3", raw(codec.frame(codec.PUBLISH, b"\0\1t\0\1\0", 6)), MALFORMED),
    Offence("3.3.1-2 DUP with QoS 0", publish(dup=True), MALFORMED),
    Offence("a topic that runs beyond the packet", raw(codec.frame(codec.PUBLISH, b"\0\x09t", 0)), MALFORMED),
    Offence("an empty PUBLISH", raw(codec.frame(codec.PUBLISH, b"", 0)), MALFORMED),
    *(
        Offence(f"1.5.4-1 a topic of {text!r}", publish(text), MALFORMED)
        for text in (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\0", b"\xe2\x82")
    ),
    *(Offence(f"3.3.2-2 a topic of {text}", publish(text), TOPIC_INVALID) for text in ("a/+", "#", "a+b", "+", "a/#")),
    Offence("a topic of too many levels", publish("/".join("a" * 17)), TOPIC_INVALID),
    Offence("a topic of the broker's own", publish("$SYS/broker/uptime"), TOPIC_INVALID),
    Offence("4.7.3-1 no topic and no alias", publish(""), WRONG),
    Offence("3.3.2-8 topic alias 0", publish(properties={"topic_alias": 0}), ALIAS_INVALID, IN_5),
    Offence("3.3.2-9 a topic alias above the maximum", publish(properties={"topic_alias": 33}), ALIAS_INVALID, IN_5),
    Offence("a topic alias that stands for nothing", publish("", properties={"topic_alias": 3}), WRONG, IN_5),
    Offence("3.3.4-6 a subscription identifier", publish(properties={"subscription_identifier": 1}), WRONG, IN_5),
    Offence("3.3.2-14 a response topic with wildcards", publish(properties={"response_topic": "a/#"}), WRONG, IN_5),
    Offence("a payload format of 2", publish(properties={"payload_format": 2}), WRONG, IN_5),
    *(
        Offence(f"{name} twice", publish(properties=twice(name, value)), WRONG, IN_5)
        for name, value in [
            ("payload_format", 1), ("message_expiry", 5), ("content_type", "a"), ("response_topic", "r"),
            ("correlation_data", b"c"), ("topic_alias", 1),
        ]
    ),
    *(
        Offence(f"{name} does not belong in PUBLISH", publish(properties={name: value}), WRONG, IN_5)
        for name, value in [("session_expiry", 1), ("reason_string", "x"), ("receive_maximum", 1), ("will_delay", 1)]
    ),
    Offence("2.2.2 an unknown property", with_properties(b"\x7f\0"), MALFORMED, IN_5),
    Offence("a property that is cut off", with_properties(b"\x02\0\0"), MALFORMED, IN_5),
    Offence("user properties that are not text", publish(properties={"user": [(b"\xff", "v")]}), MALFORMED, IN_5),
    Offence("properties beyond the packet", raw(codec.frame(codec.PUBLISH, b"\0\1t\x7f", 0)), MALFORMED, IN_5),
    Offence("a property length of five octets", raw(b"\x30\x08\0\1t\xff\xff\xff\xff\x01"), MALFORMED, IN_5),
    # ── SUBSCRIBE and UNSUBSCRIBE ──
    Offence("3.8.3-2 SUBSCRIBE without a filter", subscribe(), WRONG),
    Offence("3.10.3-2 UNSUBSCRIBE without a filter", unsubscribe(), WRONG),
    Offence("SUBSCRIBE without options", raw(codec.frame(codec.SUBSCRIBE, b"\0\1\0\1t")), MALFORMED, IN_3),
    *(
        Offence(f"4.7.1 a filter of {text!r}", subscribe(text), FILTER_INVALID)
        for text in ("a#", "a/#/b", "#/a", "a+", "+a/b", "", "$share/g", "$share//a", "$share/+/a", "$share/g/")
    ),
    *(Offence(f"1.5.4-1 filter {text!r}", subscribe(text), MALFORMED) for text in (b"\xff", b"a\0", b"\xed\xbf\xbf")),
    *(Offence(f"UNSUBSCRIBE of {text!r}", unsubscribe(text), FILTER_INVALID) for text in ("a#", "", "$share/g")),
    Offence("UNSUBSCRIBE of no text", unsubscribe(b"\xff"), MALFORMED),
    *(Offence(f"options {bits:#x}", subscribe(Filter("t", bits=bits)), MALFORMED) for bits in (3, 0x40, 0x80, 0xFF)),
    Offence("options of MQTT 5", subscribe(Filter("t", bits=4)), MALFORMED, IN_3),
    Offence("retain handling 3", subscribe(Filter("t", bits=0x30)), WRONG, IN_5),
    Offence("3.8.3-4 no local and shared", subscribe(Filter("$share/g/t", no_local=True)), WRONG, IN_5),
    Offence("subscription identifier 0", subscribe("t", properties={"subscription_identifier": 0}), WRONG, IN_5),
    Offence("an identifier twice", subscribe("t", properties=twice("subscription_identifier", 1)), WRONG, IN_5),
    Offence("a SUBSCRIBE larger than any may be", subscribe(*["filter/of/some/length"] * 50), TOO_LARGE),
    # ── acknowledgements, DISCONNECT ──
    Offence("PUBACK with an unknown reason", raw(codec.ack(codec.PUBACK, 1, 0x42)), WRONG, IN_5),
    Offence("PUBREL with PUBACK's reason", raw(codec.ack(codec.PUBREL, 1, 0x97)), WRONG, IN_5),
    Offence("a reason twice", raw(codec.ack(codec.PUBACK, 1, 0x80, twice("reason_string", "x"))), WRONG, IN_5),
    Offence("PUBACK of one octet", raw(codec.frame(codec.PUBACK, b"\0")), MALFORMED),
    Offence("PUBACK with more octets", raw(codec.frame(codec.PUBACK, b"\0\1\0")), MALFORMED, IN_3),
    Offence("DISCONNECT with a server's reason", raw(codec.disconnect(V5, 0x8D)), WRONG, IN_5),
    Offence(
        "3.14.2-2 DISCONNECT keeps a session that was to end", raw(codec.disconnect(V5, 0, {"session_expiry": 9})),
        WRONG, IN_5,
    ),
    Offence("a server reference", raw(codec.disconnect(V5, 0, {"server_reference": "x"})), WRONG, IN_5),
    Offence("DISCONNECT with octets", raw(codec.frame(codec.DISCONNECT, b"\0")), MALFORMED, IN_3),
]  # fmt: skip
CASES = [
    pytest.param(each, version, id=f"{NAMES[version]} {each.name}") for each in OFFENCES for version in each.versions
]


@pytest.fixture(scope="module")
def inside() -> Iterator[MqttInProcess]:
    broker = MqttInProcess(None, None, **LIMITS)
    yield broker
    broker.close()


def connected(inside: MqttInProcess, version: int, client_id: str = "offender", **settings: object) -> MqttClient:
    client = inside.arrive(version)
    client.hear(codec.connect(version, client_id, **settings))  # type: ignore[arg-type]
    assert [(each.kind, each.reason) for each in client.talk()] == [(codec.CONNACK, 0)]
    return client


def is_served(inside: MqttInProcess) -> bool:
    """Somebody else."""
    client = connected(inside, V311, "bystander")
    client.hear(codec.subscribe(V311, 1, [Filter("own", 1)]) + codec.publish(V311, "own", b"m", qos=1, packet_id=2))
    kinds = {each.kind for each in client.talk()}
    client.lose()
    return kinds == {codec.SUBACK, codec.PUBACK, codec.PUBLISH}


def said_at_the_end(inside: MqttInProcess, version: int, said: list[Packet]) -> int | None:
    """The reason of the last packet in MQTT 5; None in MQTT 3, which has no word for it."""
    if version != V5:
        assert said == []
        return None
    assert [each.kind for each in said] == [codec.DISCONNECT]
    return said[0].reason


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "octet by octet"])
@pytest.mark.parametrize(("offence", "version"), CASES)
def test_an_offence_ends_the_connection_with_its_reason(
    inside: MqttInProcess, offence: Offence, version: int, cut: bool
) -> None:
    failed = inside.mqtt.counters.connections_failed
    octets = offence.said(version)
    with watched():
        client = connected(inside, version)

        for piece in [octets[at : at + 1] for at in range(len(octets))] if cut else [octets + codec.PING]:
            client.hear(piece)

        assert said_at_the_end(inside, version, client.talk()) == (offence.reason if version == V5 else None)
        assert client.is_over
        assert inside.mqtt.counters.connections_failed == failed + 1
        client.lose()
        assert is_served(inside)


@pytest.mark.parametrize("version", ALL, ids=NAMES.values())
@pytest.mark.parametrize("kind", [kind for kind in range(16) if kind != codec.CONNECT])
def test_nothing_comes_before_connect(inside: MqttInProcess, version: int, kind: int) -> None:
    """[MQTT-3.1.0-1]: the end, without a word, because nobody knows in which version it would be."""
    with watched():
        client = inside.arrive(version)
        client.hear(codec.frame(kind, b"\0\1\0\1t\0") + codec.connect(version, "late"))

        assert client.talk() == []
        assert client.is_over
        client.lose()


@pytest.mark.parametrize(
    ("name", "level", "answer"),
    [
        ("MQTT", 6, 0x84), ("MQTT", 3, 1), ("MQTT", 0, 1), ("MQIsdp", 4, 1), ("MQIsdp", 5, 1), ("MQTT", 127, 0x84),
        ("mqtt", 4, None), ("", 4, None), ("MQTTX", 5, None), (b"\xff\xff\xff\xff", 4, None), ("HTTP", 5, None),
    ],
)  # fmt: skip
def test_a_protocol_that_is_not_spoken(inside: MqttInProcess, name: str, level: int, answer: int | None) -> None:
    """[MQTT-3.1.2-1]: another protocol gets no answer. [MQTT-3.1.2-2]: another level the one of the next version."""
    with watched():
        client = inside.arrive(V311)
        client.hear(codec.connect(V311, "c", name=name, level=level))

        assert [each.reason for each in client.talk()] == ([] if answer is None else [answer])
        assert client.is_over
        client.lose()


@pytest.mark.parametrize("version", ALL, ids=NAMES.values())
@pytest.mark.parametrize("flags", [0x03, 0x3A, 0x0A, 0x22, 0x1E], ids=hex)
def test_connect_flags_that_make_no_sense(inside: MqttInProcess, version: int, flags: int) -> None:
    """[MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-12]: CONNACK 0x81 in MQTT 5, the end in MQTT 3 [MQTT-3.1.4-1]."""
    will = codec.Will("t", b"m") if flags & 4 else None
    with watched():
        client = inside.arrive(version)
        client.hear(codec.connect(version, "c", flags=flags, will=will))

        assert [each.reason for each in client.talk()] == ([MALFORMED] if version == V5 else [])
        assert client.is_over
        client.lose()


@pytest.mark.parametrize("name", [
    "session_expiry", "receive_maximum", "maximum_packet_size", "topic_alias_maximum", "request_response",
    "request_problem", "authentication_method", "authentication_data",
])  # fmt: skip
def test_a_property_of_connect_twice(inside: MqttInProcess, name: str) -> None:
    value = 1 if codec.PROPERTIES[name][1] in codec.SIZES else "x"
    with watched():
        client = inside.arrive(V5)
        client.hear(codec.connect(V5, "c", properties={name: [value, value]}))

        assert [(each.kind, each.reason) for each in client.talk()] == [(codec.CONNACK, WRONG)]
        assert client.is_over
        client.lose()


def test_more_messages_than_the_receive_maximum(inside: MqttInProcess) -> None:
    """[MQTT-3.3.4-7]: while the disk is behind, the third is one too many where two are allowed."""
    with watched():
        away = connected(inside, V311, "away", clean=False)
        away.hear(codec.subscribe(V311, 1, [Filter("kept", 1)]) + codec.disconnect(V311))
        away.talk()
        client = inside.arrive(V5)
        client.hear(codec.connect(V5, "c"))
        (connack,) = client.talk()
        assert connack.properties["receive_maximum"] == 2

        client.connection.feed(b"".join(codec.publish(V5, "kept", b"m", qos=1, packet_id=each) for each in (1, 2, 3)))

        assert [(each.kind, each.reason) for each in client.talk()] == [(codec.DISCONNECT, RECEIVE_MAXIMUM)]
        client.lose()
        away.lose()
        assert is_served(inside)


@pytest.mark.parametrize("version", ALL, ids=NAMES.values())
def test_a_filter_of_too_many_levels_is_refused_alone(inside: MqttInProcess, version: int) -> None:
    client = connected(inside, version)

    client.hear(codec.subscribe(version, 1, [Filter("/".join("+" * 17)), Filter("/".join("+" * 16))]))

    (suback,) = client.talk()
    assert suback.reasons == (FILTER_INVALID if version == V5 else 0x80, 0)
    assert not client.is_over
    client.lose()


@pytest.mark.parametrize("version", ALL, ids=NAMES.values())
@pytest.mark.parametrize("kind", [codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP])
def test_an_acknowledgement_of_nothing_is_no_offence(inside: MqttInProcess, version: int, kind: int) -> None:
    """[MQTT-4.3.3-4], [MQTT-4.3.3-11]: PUBREC gets PUBREL and PUBREL PUBCOMP, in MQTT 5 with 0x92."""
    answers = {codec.PUBREC: codec.PUBREL, codec.PUBREL: codec.PUBCOMP}
    client = connected(inside, version)

    client.hear(codec.ack(kind, 777) + codec.PING)

    said = sorted((each.kind, each.reason) for each in client.talk())
    reason = 0x92 if version == V5 else 0
    assert said == [*([(answers[kind], reason)] if kind in answers else []), (codec.PINGRESP, 0)]
    client.lose()
