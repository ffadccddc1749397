"""Packets that are not well-formed: the connection ends, in MQTT 5 with a reason that fits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import Filter
from tests.support.mqtt_raw import Client, PeerClosedError

MALFORMED, PROTOCOL_ERROR, FILTER_INVALID, TOPIC_INVALID = 0x81, 0x82, 0x8F, 0x90
IGNORED = pytest.mark.mosquitto_deviates("2.0.11 takes no notice")
ILL_FORMED = [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"]
"""No UTF-8; cut off; a surrogate; an overlong NUL; beyond U+10FFFF."""


@clause(
    "1.5.3-1 3.1.3-4 3.3.2-1 3.8.3-1 3.10.3-1 3.1.3-10 3.1.3-11 4.8.0-1",
    "1.5.4-1 3.1.3-4 3.3.2-1 3.8.3-1 3.10.3-1 3.1.3-11 3.1.3-12",
)
@pytest.mark.parametrize("text", ILL_FORMED, ids=[each.hex() for each in ILL_FORMED])
@pytest.mark.parametrize("place", ["client_id", "will", "user", "topic", "filter", "unsubscribe"])
def test_ill_formed_utf_8(client: Client, version: int, place: str, text: bytes) -> None:
    _refuses_text(client, version, place, text)


@clause("1.5.3-2 4.7.3-2", "1.5.4-2 4.7.3-2")
@pytest.mark.parametrize("place", ["client_id", "will", "user", "topic", "filter", "unsubscribe"])
def test_the_null_character(client: Client, version: int, place: str) -> None:
    _refuses_text(client, version, place, b"a\0b")


def _refuses_text(client: Client, version: int, place: str, text: bytes) -> None:
    if place in ("client_id", "will", "user"):
        peer = client(version, raw=True)
        peer.send(
            codec.connect(
                version,
                text if place == "client_id" else "x",
                will=codec.Will(text, b"m") if place == "will" else None,
                user=text if place == "user" else None,
                password="p" if place == "user" else None,
            )
        )
        peer.refused()
        return
    peer = client(version)
    if place == "topic":
        peer.send(codec.publish(version, text))
    elif place == "filter":
        peer.send(codec.subscribe(version, 1, [Filter(text)]))
    else:
        peer.send(codec.unsubscribe(version, 1, [text]))
    peer.refused(MALFORMED, PROTOCOL_ERROR, FILTER_INVALID, TOPIC_INVALID)


@clause("1.5.3-3 4.7.3-4", "1.5.4-3 4.7.3-4")
def test_a_byte_order_mark_stays(client: Client, version: int) -> None:
    peer = client(version)
    peer.subscribe("\ufeffa/\ufeffb", "a/b")
    peer.publish("\ufeffa/\ufeffb", b"m")

    assert peer.message().topic == "\ufeffa/\ufeffb"
    peer.nothing()


@clause("", "1.5.5-1")
@pytest.mark.parametrize("length", [b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x7f"])
def test_a_length_of_more_than_four_bytes(client: Client, version: int, length: bytes) -> None:
    peer = client(version)
    peer.send(b"\x30" + length)

    peer.refused(MALFORMED, PROTOCOL_ERROR)


MOSQUITTO_IGNORES_FLAGS = {codec.PUBACK, codec.PUBREC, codec.PUBCOMP, codec.PINGREQ, codec.PINGRESP, codec.UNSUBACK}


def _flags() -> list[object]:
    found: list[object] = []
    for kind in range(1, 16):
        if kind != codec.PUBLISH:
            right = codec.MUST_FLAGS.get(kind, 0)
            name, marks = codec.NAMES[kind], IGNORED if kind in MOSQUITTO_IGNORES_FLAGS else ()
            found += [pytest.param(kind, flags, id=f"{name}-{flags}", marks=marks) for flags in (right ^ 1, right ^ 2)]
    return found


@clause(
    "2.2.2-1 2.2.2-2 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1",
    "2.1.3-1 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1 3.15.1-1",
)
@pytest.mark.parametrize(("kind", "flags"), _flags())
def test_reserved_flags(client: Client, version: int, kind: int, flags: int) -> None:
    body = {
        codec.SUBSCRIBE: codec.subscribe(version, 1, [Filter("t")])[2:],
        codec.UNSUBSCRIBE: codec.unsubscribe(version, 1, ["t"])[2:],
        codec.PINGREQ: b"",
        codec.DISCONNECT: b"",
        codec.AUTH: b"",
    }.get(kind, b"\0\1")
    peer = client(version)
    peer.send(codec.frame(kind, body, flags))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("2.2.2-2 4.8.0-1", "4.13.1-1 2.1.3-1")
@pytest.mark.parametrize("kind", [0, codec.CONNACK, *(
    pytest.param(kind, marks=IGNORED) for kind in (codec.SUBACK, codec.UNSUBACK, codec.PINGRESP)
)])  # fmt: skip
def test_packets_that_a_client_does_not_send(client: Client, version: int, kind: int) -> None:
    peer = client(version)
    peer.send(codec.frame(kind, b"\0\1\0\0"))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.3.1-4 4.8.0-1", "3.3.1-4 4.13.1-1")
def test_qos_3(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.publish(version, "t", b"m", qos=3, packet_id=1))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.3.1-2")
@pytest.mark.mosquitto_deviates("2.0.11 takes DUP with QoS 0")
def test_dup_with_qos_0(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.publish(version, "t", b"m", dup=True))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("2.3.1-1", "2.2.1-3")
@pytest.mark.parametrize("kind", ["publish-1", "publish-2", "subscribe", "unsubscribe"])
def test_packet_identifiers_are_not_zero(client: Client, version: int, kind: str) -> None:
    peer = client(version)
    peer.send(
        {
            "publish-1": codec.publish(version, "t", qos=1, packet_id=0),
            "publish-2": codec.publish(version, "t", qos=2, packet_id=0),
            "subscribe": codec.subscribe(version, 0, [Filter("t")]),
            "unsubscribe": codec.unsubscribe(version, 0, ["t"]),
        }[kind]
    )

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.3.2-2 4.7.1-1", "3.3.2-2 4.7.0-1")
@pytest.mark.parametrize("topic", ["#", "+", "a/#", "a/+/b", "a+", "#a"])
def test_topics_have_no_wildcards(client: Client, version: int, topic: str) -> None:
    peer = client(version)
    peer.send(codec.publish(version, topic))

    peer.refused(MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID)


@clause("4.7.1-2 4.7.1-3", "4.7.1-1 4.7.1-2")
@pytest.mark.parametrize("text", ["a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "##", "++"])
def test_misplaced_wildcards(client: Client, version: int, text: str) -> None:
    """The end, or a refusal in SUBACK; never a subscription."""
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter(text)]))
    try:
        answer = peer.receive()
    except PeerClosedError:
        return
    assert answer.kind in (codec.SUBACK, codec.DISCONNECT)
    assert answer.reason in (0x80, MALFORMED, PROTOCOL_ERROR, FILTER_INVALID)


@clause("4.7.3-1 4.8.0-1", "4.7.3-1 4.13.1-1")
@pytest.mark.parametrize("place", ["topic", "filter", "unsubscribe"])
def test_topics_and_filters_are_not_empty(client: Client, version: int, place: str) -> None:
    _refuses_text(client, version, place, b"")


@clause("4.7.3-3", "4.7.3-3")
def test_a_topic_of_65535_bytes(client: Client, version: int) -> None:
    """The longest that its length can say is carried like any other."""
    topic = "t" * 65535
    peer = client(version)
    peer.subscribe(topic, qos=1)
    peer.deliver(topic, b"m", qos=1)

    assert (message := peer.message()).topic == topic
    assert message.payload == b"m"


@clause("3.8.3-3 4.8.0-1", "3.8.3-2 4.13.1-1")
def test_subscribe_without_a_filter(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, []))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.10.3-2", "3.10.3-2")
def test_unsubscribe_without_a_filter(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.unsubscribe(version, 1, []))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.8.3-4", "3.8.3-5")
@pytest.mark.parametrize("bits", [3, 0x40, 0x80, 0xC0])
def test_reserved_bits_of_subscribe(client: Client, version: int, bits: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter("t", bits=bits)]))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.8.3-4")
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_options_of_version_5_are_reserved_bits_before(client: Client, version: int, bits: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter("t", bits=bits)]))

    peer.refused()


@clause("", "4.13.1-1 3.8.3-5")
def test_retain_handling_3(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter("t", retain_handling=3)]))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("", "2.2.2-1 4.13.1-1")
def test_properties_have_a_length(client: Client, version: int) -> None:
    """A body that ends where the length of its properties should stand."""
    peer = client(version)
    peer.send(codec.frame(codec.PUBLISH, codec.string("t"), 0))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


TWICE = [codec.encode_property(name, value) * 2 for name, value in
         {"payload_format": 1, "message_expiry": 1, "content_type": "c", "response_topic": "r",
          "correlation_data": b"d", "topic_alias": 1}.items()]  # fmt: skip
STRANGE: list[Any] = [
    *TWICE,
    pytest.param(codec.encode_property("payload_format", 2), marks=IGNORED),
    codec.encode_property("session_expiry", 1),
    codec.encode_property("receive_maximum", 1),
    b"\x7f\x00",
    b"\x00",
]


@clause("", "4.13.1-1")
@pytest.mark.parametrize("encoded", STRANGE, ids=lambda each: each.hex())
def test_properties_twice_unknown_or_out_of_place(client: Client, version: int, encoded: bytes) -> None:
    peer = client(version)
    peer.send(codec.frame(codec.PUBLISH, codec.string("t") + codec.varint(len(encoded)) + encoded + b"m", 0))

    peer.refused(MALFORMED, PROTOCOL_ERROR, 0x94, 0x99)


@clause("", "1.5.7-1 3.3.2-13 3.3.2-19 3.1.3-10")
@pytest.mark.parametrize("name", ["content_type", "response_topic", "user-name", "user-value"])
@pytest.mark.parametrize("text", [b"\xff", b"a\0"], ids=["ill-formed", "null"])
def test_strings_in_properties_are_utf_8(client: Client, version: int, name: str, text: bytes) -> None:
    pairs: dict[str, Any] = {"user-name": {"user": [(text, "v")]}, "user-value": {"user": [("k", text)]}}
    properties = pairs.get(name, {name: text})
    peer = client(version)
    peer.send(codec.publish(version, "t", b"m", properties=properties))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("", "3.3.2-14")
@pytest.mark.parametrize("topic", ["a/#", "+"])
@IGNORED
def test_response_topics_have_no_wildcards(client: Client, version: int, topic: str) -> None:
    peer = client(version)
    peer.send(codec.publish(version, "t", b"m", properties={"response_topic": topic}))

    peer.refused(MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID)


@clause("", "3.3.2-8 3.3.2-12")
@pytest.mark.parametrize("alias", [0, 65535])
def test_topic_aliases_out_of_range(client: Client, version: int, alias: int) -> None:
    peer = client(version, raw=True)
    maximum = peer.connect().properties.get("topic_alias_maximum", 0)
    assert maximum < 65535
    peer.send(codec.publish(version, "t", b"m", properties={"topic_alias": alias}))

    peer.refused(0x94, MALFORMED, PROTOCOL_ERROR)


@clause("", "3.3.4-6")
@IGNORED
def test_a_client_sends_no_subscription_identifier(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.publish(version, "t", b"m", properties={"subscription_identifier": [1]}))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("", "4.13.1-1")
def test_subscription_identifier_0(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter("t")], {"subscription_identifier": [0]}))

    peer.refused(MALFORMED, PROTOCOL_ERROR)


@clause("3.14.1-1", "3.14.1-1")
def test_a_malformed_disconnect_does_not_withdraw_the_will(client: Client, version: int) -> None:
    watcher = client(version)
    topic = f"malformed/{watcher.client_id}"
    watcher.subscribe(topic)
    peer = client(version, will=codec.Will(topic, b"gone"))
    peer.send(codec.frame(codec.DISCONNECT, b"", 1))
    peer.until_closed()

    assert watcher.message().payload == b"gone"
