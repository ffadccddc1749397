"""The cold packets: each sample whole, cut at every octet, with octets behind it; and what must not be said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from broker.mqtt import packets, replies
from broker.mqtt.connect import Will, decode_connect
from broker.mqtt.packets import Subscription
from broker.mqtt.properties import Packet, Properties
from broker.mqtt.reasons import MqttError, Reason
from tests.oracles import mqtt_packets as client

WILL = ("a/b", b"gone", 1, True)
SUBSCRIBED = [("a/#", 2), ("$share/g/+/b", 1)]

# body, what decodes it, and shorter lengths at which it is a packet as well
SAMPLES: dict[str, tuple[bytes, Callable[[bytes], object], set[int]]] = {
    "connect 3.1": (client.connect(3, "c"), decode_connect, set()),
    "connect 3.1.1": (
        client.connect(4, "c", will=WILL, username="u", password=b"\xff\0"),
        decode_connect,
        set(),
    ),
    "connect 5": (
        client.connect(
            5, "cli", will=WILL, username="u", password=b"p",
            props=[(17, 100), (33, 10), (38, ("a", "b")), (21, "M"), (22, b"\0"), (39, 100), (23, 1), (25, 0), (34, 1)],
            will_props=[(24, 5), (2, 7), (1, 1), (3, "text/plain"), (8, "r"), (9, b"\xff"), (38, ("x", "y"))],
        ),
        decode_connect,
        set(),
    ),
    "subscribe 3.1.1": (client.subscribe(4, 7, SUBSCRIBED), partial(packets.decode_subscribe, 4), {8}),
    "subscribe 5": (
        client.subscribe(5, 7, [("a/#", 0x2E), ("b", 0)], [(11, 300), (38, ("k", "v"))]),
        partial(packets.decode_subscribe, 5),
        {19},
    ),
    "unsubscribe 3.1.1": (client.unsubscribe(4, 9, ["a/#", "b"]), partial(packets.decode_unsubscribe, 4), {7}),
    "unsubscribe 5": (
        client.unsubscribe(5, 9, ["a/#", "b"], [(38, ("k", "v"))]),
        partial(packets.decode_unsubscribe, 5),
        {15},
    ),
    "disconnect 3.1.1": (b"", partial(packets.decode_disconnect, 4), set()),
    "disconnect 5": (
        b"\x04" + client.properties([(17, 5), (31, "bye")]),
        partial(packets.decode_disconnect, 5),
        {0, 1},
    ),
    "auth": (b"\x18" + client.properties([(21, "SCRAM"), (22, b"x")]), partial(packets.decode_auth, 5), set()),
    "puback 3.1.1": (b"\0\1", partial(packets.decode_ack, Packet.PUBACK, 4), set()),
    "pubrec 5": (
        b"\0\1\x97" + client.properties([(31, "full"), (38, ("a", "b"))]),
        partial(packets.decode_ack, Packet.PUBREC, 5),
        {2, 3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_a_packet_is_read_whole_and_nothing_shorter_or_longer_is(name: str) -> None:
    body, decode, valid_lengths = SAMPLES[name]

    decode(body)

    for size in range(len(body)):
        if size in valid_lengths:
            decode(body[:size])
        else:
            with pytest.raises(MqttError) as refused:
                decode(body[:size])
            expected = {Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR}
            assert refused.value.reason in expected, size
    for behind in (b"\0", b"\xff", b"\0\1", b"\0\1a\3"):
        with pytest.raises(MqttError):
            decode(body + behind)


def refusal(decode: Callable[[bytes], object], body: bytes) -> MqttError:
    with pytest.raises(MqttError) as refused:
        decode(body)
    return refused.value


# ── CONNECT ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [3, 4, 5])
def test_connect_says_who_comes(version: int) -> None:
    body = client.connect(version, "é", clean=False, keep_alive=7, username="ü", password=b"\xff\0", will=WILL)

    connect = decode_connect(body)

    assert (connect.version, connect.client_id, connect.clean_start, connect.keep_alive_s) == (version, "é", False, 7)
    assert (connect.username, connect.password) == ("ü", b"\xff\0")
    assert connect.will == Will(b"a/b", b"gone", 1, True, Properties())


def test_connect_5_carries_its_properties_and_those_of_the_will() -> None:
    body = client.connect(
        5,
        "",
        props=[(17, 0xFFFFFFFF), (38, ("a", "1")), (33, 10), (38, ("a", "2"))],
        will=WILL,
        will_props=[(24, 5), (38, ("w", "x"))],
    )

    connect = decode_connect(body)

    assert connect.properties == Properties(
        session_expiry_interval=0xFFFFFFFF, receive_maximum=10, user_properties=[(b"a", b"1"), (b"a", b"2")]
    )
    assert connect.will is not None
    assert connect.will.properties == Properties(will_delay_interval=5, user_properties=[(b"w", b"x")])


@pytest.mark.parametrize(
    ("body", "reason", "version"),
    [
        (client.connect(4, name="MQTX"), Reason.UNSUPPORTED_PROTOCOL_VERSION, 0),  # [MQTT-3.1.2-1]
        (client.connect(6), Reason.UNSUPPORTED_PROTOCOL_VERSION, 5),  # [MQTT-3.1.2-2]
        (client.connect(2), Reason.UNSUPPORTED_PROTOCOL_VERSION, 4),
        (client.connect(3, name="MQTT"), Reason.UNSUPPORTED_PROTOCOL_VERSION, 4),
        (client.connect(4, flags=1), Reason.MALFORMED_PACKET, 4),  # [MQTT-3.1.2-3]
        (client.connect(5, flags=0x08), Reason.MALFORMED_PACKET, 5),  # [MQTT-3.1.2-11]
        (client.connect(5, flags=0x20), Reason.MALFORMED_PACKET, 5),  # [MQTT-3.1.2-13]
        (client.connect(5, will=("a", b"", 3, False)), Reason.MALFORMED_PACKET, 5),  # [MQTT-3.1.2-12]
        (client.connect(4, password=b"p"), Reason.MALFORMED_PACKET, 4),  # MQTT 3.1.1 [MQTT-3.1.2-22]
        (client.connect(4, "", clean=False), Reason.CLIENT_IDENTIFIER_NOT_VALID, 4),  # MQTT 3.1.1 [MQTT-3.1.3-8]
        (client.connect(3, ""), Reason.CLIENT_IDENTIFIER_NOT_VALID, 3),
        (client.connect(5, b"\xed\xa0\x80"), Reason.MALFORMED_PACKET, 5),  # [MQTT-1.5.4-1] a surrogate
        (client.connect(5, b"a\0b"), Reason.MALFORMED_PACKET, 5),  # [MQTT-1.5.4-2]
        (client.connect(5, b"\xc0\x80"), Reason.MALFORMED_PACKET, 5),  # an overlong U+0000
        (client.connect(5, username=b"\xff"), Reason.MALFORMED_PACKET, 5),
        (client.connect(5, will=("", b"", 0, False)), Reason.TOPIC_NAME_INVALID, 5),  # [MQTT-4.7.3-1]
        (client.connect(5, will=("a/#", b"", 0, False)), Reason.TOPIC_NAME_INVALID, 5),
        (client.connect(5, props=[(33, 0)]), Reason.PROTOCOL_ERROR, 5),
        (client.connect(5, props=[(39, 0)]), Reason.PROTOCOL_ERROR, 5),
        (client.connect(5, props=[(22, b"")]), Reason.PROTOCOL_ERROR, 5),  # data without a method
        (client.connect(5, props=[(17, 1), (17, 1)]), Reason.PROTOCOL_ERROR, 5),
        (client.connect(5, props=[(24, 1)]), Reason.PROTOCOL_ERROR, 5),  # the will's, not CONNECT's
        (client.connect(5, will=WILL, will_props=[(1, 1)])[:-6] + b"\0\4\xff\xff\xff\xff",
         Reason.PAYLOAD_FORMAT_INVALID, 5),
    ],
)  # fmt: skip
def test_connect_is_refused(body: bytes, reason: Reason, version: int) -> None:
    error = refusal(decode_connect, body)

    assert (error.reason, error.version) == (reason, version)


def test_in_3_1_a_user_name_or_password_may_be_missing_though_its_flag_is_set() -> None:
    nothing = decode_connect(client.connect(3, flags=0xC0))
    name_only = decode_connect(client.connect(3, username="u", flags=0xC0))

    assert (nothing.username, nothing.password) == (None, None)
    assert (name_only.username, name_only.password) == ("u", None)


def test_in_5_a_password_may_come_without_a_user_name() -> None:
    connect = decode_connect(client.connect(5, password=b"token"))

    assert (connect.username, connect.password) == (None, b"token")


def test_a_bridge_of_mosquitto_is_known_by_the_highest_bit_of_its_version() -> None:
    body = bytearray(client.connect(4))
    body[6] |= 0x80

    connect = decode_connect(bytes(body))

    assert (connect.version, connect.is_bridge) == (4, True)


@pytest.mark.parametrize(
    ("version", "reason", "expected"),
    [
        (4, Reason.SUCCESS, b"\x20\2\1\0"),
        (3, Reason.SUCCESS, b"\x20\2\0\0"),
        (4, Reason.BAD_USER_NAME_OR_PASSWORD, b"\x20\2\0\4"),
        (4, Reason.NOT_AUTHORIZED, b"\x20\2\0\5"),
        (4, Reason.UNSUPPORTED_PROTOCOL_VERSION, b"\x20\2\0\1"),
        (4, Reason.MALFORMED_PACKET, b""),
        (5, Reason.SUCCESS, b"\x20\3\1\0\0"),
        (5, Reason.NOT_AUTHORIZED, b"\x20\3\0\x87\0"),
        (5, Reason.TOPIC_FILTER_INVALID, b"\x20\3\0\x80\0"),
    ],
)
def test_connack_speaks_its_version(version: int, reason: Reason, expected: bytes) -> None:
    assert replies.encode_connack(version, True, reason) == expected  # [MQTT-3.2.2-6]


# ── SUBSCRIBE, UNSUBSCRIBE ────────────────────────────────────────────────────────────────────────────────────────────


def test_subscribe_carries_every_option() -> None:
    body = client.subscribe(5, 7, [("a/#", 0x2E), ("$share/g/a/+", 1), ("$queue/b", 0)], [(11, 268_435_455)])

    subscribe = packets.decode_subscribe(5, body)

    assert (subscribe.packet_id, subscribe.subscription_identifier) == (7, 268_435_455)
    assert subscribe.subscriptions == [
        Subscription(b"a/#", 2, True, True, 2, None, b"a/#"),
        Subscription(b"$share/g/a/+", 1, share_name=b"g", plain_filter=b"a/+"),
        Subscription(b"$queue/b", 0, share_name=b"", plain_filter=b"b"),
    ]


FILTERS_INVALID = [
    b"",
    b"a#", b"#/a", b"a/#/b", b"a+", b"+a/b", b"a/b+", b"##", b"++", b"$share", b"$share/", b"$share/g", b"$share/g/",
    b"$share//a", b"$share/+/a", b"$share/g#/a", b"$share/g/a#", b"$queue/", b"$queue/a+",
]  # fmt: skip


@pytest.mark.parametrize("topic_filter", FILTERS_INVALID)
def test_a_filter_that_breaks_the_syntax_is_refused(topic_filter: bytes) -> None:
    for version in (3, 4, 5):
        subscribe = client.subscribe(version, 1, [(topic_filter, 0)])
        unsubscribe = client.unsubscribe(version, 1, [topic_filter])

        assert refusal(partial(packets.decode_subscribe, version), subscribe).reason == Reason.TOPIC_FILTER_INVALID
        assert refusal(partial(packets.decode_unsubscribe, version), unsubscribe).reason == Reason.TOPIC_FILTER_INVALID


@pytest.mark.parametrize(
    "topic_filter", [b"#", b"+", b"/", b"//", b"+/#", b"/+", b"+/+", b"a/+/#", b"$SYS/#", b"$shared/a", b" ", b"$queue"]
)
def test_a_filter_within_the_syntax_is_taken(topic_filter: bytes) -> None:
    taken = packets.decode_subscribe(4, client.subscribe(4, 1, [(topic_filter, 1)]))

    assert taken.subscriptions == [Subscription(topic_filter, 1, plain_filter=topic_filter)]


@pytest.mark.parametrize(
    ("version", "body", "reason"),
    [
        (5, client.subscribe(5, 0, [("a", 0)]), Reason.PROTOCOL_ERROR),  # [MQTT-2.2.1-3]
        (5, client.subscribe(5, 1, []), Reason.PROTOCOL_ERROR),  # [MQTT-3.8.3-2]
        (5, client.subscribe(5, 1, [("a", 3)]), Reason.MALFORMED_PACKET),
        (5, client.subscribe(5, 1, [("a", 0x40)]), Reason.MALFORMED_PACKET),  # [MQTT-3.8.3-5]
        (5, client.subscribe(5, 1, [("a", 0x30)]), Reason.PROTOCOL_ERROR),
        (5, client.subscribe(5, 1, [("$share/g/a", 4)]), Reason.PROTOCOL_ERROR),  # [MQTT-3.8.3-4]
        (5, client.subscribe(5, 1, [("a", 0)], [(11, 0)]), Reason.PROTOCOL_ERROR),
        (5, client.subscribe(5, 1, [("a", 0)], [(11, 1), (11, 2)]), Reason.PROTOCOL_ERROR),
        (5, client.subscribe(5, 1, [("a", 0)], [(31, "why")]), Reason.PROTOCOL_ERROR),
        (4, client.subscribe(4, 1, [("a", 4)]), Reason.MALFORMED_PACKET),  # MQTT 3.1.1 [MQTT-3.8.3-4]
        (4, client.subscribe(4, 1, [(b"\xff", 0)]), Reason.MALFORMED_PACKET),
        (4, client.subscribe(4, 1, [(b"a\0", 0)]), Reason.MALFORMED_PACKET),  # [MQTT-4.7.3-2]
    ],
)
def test_subscribe_is_refused(version: int, body: bytes, reason: Reason) -> None:
    assert refusal(partial(packets.decode_subscribe, version), body).reason == reason


def test_unsubscribe_is_refused_without_a_filter_or_with_packet_id_0() -> None:
    for body in (client.unsubscribe(5, 1, []), client.unsubscribe(5, 0, ["a"])):  # [MQTT-3.10.3-2]
        assert refusal(partial(packets.decode_unsubscribe, 5), body).reason == Reason.PROTOCOL_ERROR


def test_suback_and_unsuback_speak_their_version() -> None:
    granted = [Reason.GRANTED_QOS_2, Reason.NOT_AUTHORIZED]

    assert replies.encode_suback(4, 258, granted) == b"\x90\4\1\2\2\x80"
    assert replies.encode_suback(5, 258, granted) == b"\x90\5\1\2\0\2\x87"
    assert replies.encode_suback(5, 258, granted, reason_string="no") == b"\x90\x0a\1\2\5\x1f\0\2no\2\x87"
    assert replies.encode_unsuback(3, 258, [Reason.SUCCESS]) == b"\xb0\2\1\2"
    assert replies.encode_unsuback(5, 258, [Reason.NO_SUBSCRIPTION_EXISTED]) == b"\xb0\4\1\2\0\x11"


# ── DISCONNECT, AUTH, acknowledgements, the fixed header ──────────────────────────────────────────────────────────────


def test_disconnect_may_leave_out_what_is_usual() -> None:
    assert packets.decode_disconnect(5, b"").reason == Reason.NORMAL_DISCONNECTION
    assert packets.decode_disconnect(5, b"\x04").reason == Reason.DISCONNECT_WITH_WILL_MESSAGE
    with_expiry = packets.decode_disconnect(5, b"\0" + client.properties([(17, 9)]))
    assert with_expiry.properties.session_expiry_interval == 9


@pytest.mark.parametrize("body", [b"\x8b", b"\x05", b"\0" + client.properties([(28, "elsewhere")])])
def test_a_client_s_disconnect_cannot_say_what_is_the_server_s_to_say(body: bytes) -> None:
    assert refusal(partial(packets.decode_disconnect, 5), body).reason == Reason.PROTOCOL_ERROR


def test_disconnect_is_sent_in_5_only_and_with_a_code_that_it_may_have() -> None:
    assert replies.encode_disconnect(4, Reason.PROTOCOL_ERROR) == b""
    assert replies.encode_disconnect(5, Reason.PROTOCOL_ERROR) == b"\xe0\1\x82"
    assert replies.encode_disconnect(5, Reason.CLIENT_IDENTIFIER_NOT_VALID) == b"\xe0\1\x80"
    explained = replies.encode_disconnect(5, Reason.PROTOCOL_ERROR, Properties(reason_string="so"))
    assert explained == b"\xe0\7\x82\5\x1f\0\2so"


def test_what_only_explains_is_left_out_where_the_client_could_not_take_it() -> None:
    why = Properties(reason_string="x" * 100, user_properties=[(b"a", b"b")], server_reference="there")

    short = replies.encode_disconnect(5, Reason.USE_ANOTHER_SERVER, why, packet_bytes_max=20)

    assert short == b"\xe0\x0a\x9c\x08\x1c\0\5there"


def test_auth_needs_mqtt_5_a_method_and_a_client_s_reason() -> None:
    method = client.properties([(21, "M")])

    assert packets.decode_auth(5, b"\x19" + method).properties.authentication_method == "M"
    assert refusal(partial(packets.decode_auth, 5), b"\0" + method).reason == Reason.PROTOCOL_ERROR
    assert refusal(partial(packets.decode_auth, 5), b"\x18\0").reason == Reason.PROTOCOL_ERROR
    assert refusal(partial(packets.decode_auth, 4), b"\x18" + method).reason == Reason.MALFORMED_PACKET


def test_acknowledgements_are_as_short_as_can_be() -> None:
    assert replies.encode_ack(Packet.PUBACK, 4, 258) == b"\x40\2\1\2"
    assert replies.encode_ack(Packet.PUBREL, 5, 258) == b"\x62\2\1\2"
    assert replies.encode_ack(Packet.PUBREC, 5, 258, Reason.QUOTA_EXCEEDED) == b"\x50\3\1\2\x97"
    assert replies.encode_ack(Packet.PUBCOMP, 5, 1, Reason.PACKET_IDENTIFIER_NOT_FOUND, reason_string="?") == (
        b"\x70\x08\0\1\x92\4\x1f\0\1?"
    )


def test_an_acknowledgement_has_a_packet_id_and_a_reason_of_its_own() -> None:
    assert refusal(partial(packets.decode_ack, Packet.PUBACK, 5), b"\0\0").reason == Reason.PROTOCOL_ERROR
    assert refusal(partial(packets.decode_ack, Packet.PUBREL, 5), b"\0\1\x97").reason == Reason.PROTOCOL_ERROR
    assert packets.decode_ack(Packet.PUBREL, 5, b"\0\1\x92").reason == Reason.PACKET_IDENTIFIER_NOT_FOUND


ALLOWED = {0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0, *range(0x30, 0x40)}


@pytest.mark.parametrize("first_octet", range(256))
def test_the_fixed_header_s_flags_are_as_reserved(first_octet: int) -> None:  # [MQTT-2.1.3-1]
    if first_octet in ALLOWED:
        assert packets.check_flags(first_octet) == first_octet >> 4
    else:
        assert refusal(lambda _: packets.check_flags(first_octet), b"").reason in (
            Reason.MALFORMED_PACKET,
            Reason.PROTOCOL_ERROR,
        )


def test_pingreq_has_no_body() -> None:
    packets.check_empty(Packet.PINGREQ, b"")
    assert refusal(partial(packets.check_empty, Packet.PINGREQ), b"\0").reason == Reason.MALFORMED_PACKET
