"""MQTT's properties and AMQP's: what becomes of what, and nothing lost between one MQTT client and another."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker.core import errors
from broker.core.message import Message
from broker.core.properties import decode_properties, encode_properties
from broker.mqtt.properties import Properties
from broker.mqtt.publish_properties import check_publish
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.translate import (
    error_for,
    from_amqp,
    from_amqp_bytes,
    publish_to_amqp,
    reason_for,
    swapped,
    to_amqp,
)
from tests.oracles import mqtt_packets as client


def content(pairs: list[tuple[int, object]]) -> bytes:
    """Properties without their length."""
    encoded = client.properties(pairs)
    return encoded[1 if len(encoded) < 0x81 else 2 if len(encoded) < 0x4002 else 3 :]


def test_what_amqp_has_a_word_for_is_said_in_it() -> None:
    properties = Properties(
        content_type=b"text/plain", correlation_data=b"42", response_topic=b"a.b/c*", message_expiry_interval=7,
        payload_format_indicator=1, user_properties=[(b"k", b"v")],
    )  # fmt: skip

    assert decode_properties(to_amqp(properties, 1)) == {
        "content_type": "text/plain",
        "correlation_id": "42",
        "delivery_mode": 2,
        "expiration": "7000",
        "headers": {"x-reply-to-topic": "a/b.c+", "x-mqtt-payload-format": 1, "k": "v"},
    }
    assert decode_properties(to_amqp(Properties(), 0)) == {"delivery_mode": 1}
    assert decode_properties(to_amqp(Properties(), 2)) == {"delivery_mode": 2}


LOSSLESS = [
    Properties(),
    Properties(user_properties=[(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"b", b"1"), (b"", b""), (b"x", b"")]),
    Properties(correlation_data=b""),
    Properties(correlation_data=b"\xff\0"),
    Properties(correlation_data=b"c" * 255),
    Properties(correlation_data=b"c" * 256),
    Properties(correlation_data=b"\0" * 65_535),
    Properties(content_type=b"t" * 256),
    Properties(content_type=b""),
    Properties(response_topic=b"r/" * 32_767),
    Properties(payload_format_indicator=0),
    Properties(message_expiry_interval=0),
    Properties(message_expiry_interval=315_360_000),
    Properties(user_properties=[(b"n" * 256, b"v"), (b"n" * 65_535, b"v" * 65_535)]),
    Properties(  # names that mean something to the broker, or to AMQP
        response_topic=b"r", correlation_data=b"\xff", content_type=b"c" * 300, payload_format_indicator=1,
        user_properties=[
            (name, b"1") for name in (
                b"CC", b"BCC", b"x-delay", b"x-death", b"x-reply-to-topic", b"x-correlation-id", b"x-mqtt-topic",
                b"x-mqtt-content-type", b"x-mqtt-payload-format", b"x-mqtt-user-property", b"x-other", b"reply-to",
            )
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize("properties", LOSSLESS, ids=range(len(LOSSLESS)))
def test_nothing_is_lost_between_mqtt_and_mqtt(properties: Properties) -> None:
    raw = to_amqp(properties, 1, b"t" * 300)

    Message(b"amq.topic", b"t", raw, b"")  # the core takes it
    assert from_amqp(raw) == properties


def test_a_user_property_named_like_carbon_copies_routes_nothing() -> None:
    headers = decode_properties(to_amqp(Properties(user_properties=[(b"CC", b"q")]), 1))["headers"]

    assert headers == {"x-mqtt-user-property": ["CC", "q"]}


def test_more_than_ten_years_are_ten_years() -> None:
    assert from_amqp(to_amqp(Properties(message_expiry_interval=0xFFFFFFFF), 0)).message_expiry_interval == 315_360_000


def test_a_topic_that_amqp_s_routing_key_cannot_hold_travels_in_a_header() -> None:
    assert decode_properties(to_amqp(Properties(), 0, b"t" * 256))["headers"] == {"x-mqtt-topic": "t" * 256}
    assert "headers" not in decode_properties(to_amqp(Properties(), 0, b"t" * 255))


def test_amqp_s_properties_become_mqtt_s() -> None:
    raw = encode_properties(
        {
            "content_type": "text/plain", "correlation_id": "c", "expiration": "1500", "delivery_mode": 2,
            "message_id": "m", "type": "t", "app_id": "a", "user_id": "u", "content_encoding": "gzip", "priority": 9,
            "timestamp": 1700000000, "reply_to": "my-queue",
        }
    )  # fmt: skip

    assert from_amqp(raw) == Properties(
        content_type=b"text/plain", correlation_data=b"c", message_expiry_interval=2,
        user_properties=[
            (b"reply-to", b"my-queue"), (b"message-id", b"m"), (b"type", b"t"), (b"app-id", b"a"),
            (b"content-encoding", b"gzip"), (b"user-id", b"u"), (b"timestamp", b"1700000000"), (b"priority", b"9"),
        ],
    )  # fmt: skip


def test_headers_of_all_types_become_text() -> None:
    headers = {
        "str": "é", "int": -5, "long": 2**40, "true": True, "false": False, "none": None, "float": 1.5,
        "decimal": Decimal("1.25"), "time": datetime(2020, 1, 1, tzinfo=UTC), "bytes": bytearray(b"raw"),
        "table": {"a": [1, "é"]}, "array": [True, None, bytearray(b"\xff")],
        "binary": b"\xff\0", "too long": "x" * 65_536,  # neither has a place in MQTT
    }  # fmt: skip

    assert from_amqp(encode_properties({"headers": headers})).user_properties == [
        (b"str", "é".encode()), (b"int", b"-5"), (b"long", b"1099511627776"), (b"true", b"true"), (b"false", b"false"),
        (b"none", b""), (b"float", b"1.5"), (b"decimal", b"1.25"), (b"time", b"1577836800"), (b"bytes", b"raw"),
        (b"table", '{"a": [1, "é"]}'.encode()), (b"array", b'[true, null, "/w=="]'),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["amq.gen-abc", "amq.rabbitmq.reply-to.g1.abc"])
def test_a_reply_queue_that_the_broker_named_is_a_response_topic(name: str) -> None:
    assert from_amqp(encode_properties({"reply_to": name})).response_topic == swapped(b"$reply-to." + name.encode())


def test_there_is_one_response_topic_and_one_correlation_however_often_amqp_says_it() -> None:
    headers = {"x-reply-to-topic": "a.b", "x-correlation-id": "other"}
    raw = encode_properties({"reply_to": "amq.gen-a", "correlation_id": "one", "headers": headers})

    found = from_amqp(raw)

    assert (found.response_topic, found.correlation_data) == (b"a/b", b"one")
    assert found.user_properties == [(b"reply-to", b"amq.gen-a"), (b"x-correlation-id", b"other")]


def test_headers_that_only_look_like_ours_are_user_properties_or_left_out() -> None:
    headers = {
        "x-mqtt-payload-format": "x", "x-mqtt-user-property": ["only one"], "x-reply-to-topic": 5,
        "x-mqtt-content-type": b"\xff",
    }  # fmt: skip

    assert from_amqp(encode_properties({"headers": headers})) == Properties(
        user_properties=[
            (b"x-mqtt-payload-format", b"x"), (b"x-mqtt-user-property", b'["only one"]'), (b"x-reply-to-topic", b"5"),
        ]
    )  # fmt: skip
    assert from_amqp(encode_properties({"headers": {"x-reply-to-topic": "a.*"}})).response_topic is None


def test_a_header_of_ours_that_is_there_twice_counts_once() -> None:
    field = b"\x10x-reply-to-topicS\0\0\0\1a"
    raw = b"\x20\0" + (2 * len(field)).to_bytes(4, "big") + 2 * field

    assert from_amqp(raw) == Properties(response_topic=b"a")


def test_the_usual_message_has_no_properties_at_all() -> None:
    assert from_amqp_bytes(encode_properties({"delivery_mode": 2, "expiration": "5"})) == b""
    assert from_amqp_bytes(b"") == b""


def test_topic_and_routing_key_are_swapped_both_ways() -> None:
    assert swapped(b"v1.2/+/x*/#") == b"v1/2.*.x+.#"
    assert swapped(swapped(b"v1.2/+/x*/#")) == b"v1.2/+/x*/#"


# ── what a client's PUBLISH must not have ─────────────────────────────────────────────────────────────────────────────

EVERYTHING: list[tuple[int, object]] = [
    (1, 1), (2, 9), (3, "text/é"), (8, "a/b"), (9, b"\xff\0"), (35, 1), (38, ("k", "é")), (38, ("k", "")),
]  # fmt: skip


def test_a_publish_s_properties_are_read_whole_and_nothing_shorter_is_that_ends_within_one() -> None:
    whole = content(EVERYTHING)
    ends = {len(content(EVERYTHING[:count])) for count in range(len(EVERYTHING) + 1)}

    for size in range(len(whole) + 1):
        if size in ends:
            check_publish(whole[:size])
        else:
            with pytest.raises(MqttError) as refused:
                check_publish(whole[:size])
            assert refused.value.reason == Reason.MALFORMED_PACKET, size


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        (content([(35, 0)]), Reason.TOPIC_ALIAS_INVALID),  # [MQTT-3.3.2-8]
        (content([(35, 1), (35, 1)]), Reason.PROTOCOL_ERROR),
        (content([(1, 2)]), Reason.PROTOCOL_ERROR),
        (content([(2, 1), (2, 1)]), Reason.PROTOCOL_ERROR),
        (content([(3, "a"), (3, "a")]), Reason.PROTOCOL_ERROR),
        (content([(8, "a/+")]), Reason.PROTOCOL_ERROR),  # [MQTT-3.3.2-14]
        (content([(8, "#")]), Reason.PROTOCOL_ERROR),
        (content([(8, "")]), Reason.PROTOCOL_ERROR),
        (content([(11, 1)]), Reason.PROTOCOL_ERROR),  # [MQTT-3.3.4-6]
        (content([(17, 1)]), Reason.PROTOCOL_ERROR),
        (content([(31, "why")]), Reason.PROTOCOL_ERROR),
        (content([(3, b"\xff")]), Reason.MALFORMED_PACKET),
        (content([(38, (b"a\0", b""))]), Reason.MALFORMED_PACKET),  # [MQTT-1.5.4-2]
        (content([(38, (b"a", b"\xed\xa0\x80"))]), Reason.MALFORMED_PACKET),  # [MQTT-1.5.4-1]
        (b"\x00", Reason.MALFORMED_PACKET),
        (b"\x7f", Reason.MALFORMED_PACKET),
        (b"\xff\xff", Reason.MALFORMED_PACKET),
    ],
)
def test_a_publish_is_refused(properties: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as refused:
        publish_to_amqp(properties, 1)

    assert refused.value.reason == reason


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.AccessRefused("no"), Reason.NOT_AUTHORIZED),
        (errors.LimitExceeded("no"), Reason.QUOTA_EXCEEDED),
        (errors.BindingInvalid("no"), Reason.TOPIC_FILTER_INVALID),
        (errors.PreconditionFailed("no"), Reason.IMPLEMENTATION_SPECIFIC_ERROR),
    ],
)
def test_the_core_s_refusals_have_a_reason_code(error: errors.CoreError, reason: Reason) -> None:
    assert reason_for(error) == reason
    assert error_for(error).text == "no"
