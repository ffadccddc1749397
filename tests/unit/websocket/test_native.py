"""The native dialect: every message of docs/protocols/websocket.md, in JSON and in MessagePack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.peer import Core
from tests.support.websocket_frames import CLOSE, TEXT, frame
from tests.unit.websocket.native_peer import MakeNative, Native

# ── the login ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hello_is_welcomed(core: Core) -> None:
    (answer,) = Native(core).hello(id=1)

    assert answer.pop("server").startswith("Hubbub ")
    assert answer == {"type": "welcome", "id": 1, "user": "guest", "vhost": "/", "version": 1}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"type": "hello", "user": "guest", "password": "wrong"}, "refused"),
        ({"type": "hello", "user": "guest", "password": "guest", "vhost": "none"}, "not_found"),
        ({"type": "hello", "user": "guest", "password": "guest", "version": 2}, "refused"),
        ({"type": "hello"}, "refused"),
        ({"type": "publish", "topic": "t"}, "refused"),
        ({"type": "hello", "user": 7}, "malformed"),
        ({"type": "hallo"}, "malformed"),
    ],
)
def test_without_a_right_hello_an_error_says_so_and_that_is_all(core: Core, said: dict[str, Any], code: str) -> None:
    native = Native(core)
    native.feed(frame(TEXT, json.dumps(said).encode()) + frame(TEXT, b'{"type": "ping"}'))
    error, close = native.frames()

    assert json.loads(error.payload)["code"] == code
    assert (close.opcode, close.code) == (CLOSE, 1008)
    assert native.native.errors == {code: 1}


def test_who_says_no_hello_in_time_is_sent_away(core: Core) -> None:
    native = Native(core)
    core.pass_ms(core.limits.handshake_timeout_ms)

    assert native.frames()[-1].code == 1008


def test_a_hello_without_a_user_is_welcome_where_the_operator_says_so(core: Core) -> None:
    (answer,) = Native(core, anonymous_user="guest").say({"type": "hello"})

    assert (answer["type"], answer["user"]) == ("welcome", "guest")


def test_a_second_hello_is_an_error(native: Native) -> None:
    assert native.hello()[0]["code"] == "invalid"


# ── publish and subscribe ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("subprotocol", ["", "hubbub.json", "hubbub.msgpack"])
def test_what_is_published_to_a_topic_reaches_those_who_subscribed(make_native: MakeNative, subprotocol: str) -> None:
    native = make_native(subprotocol)
    octets: object = b"\xff\x00" if native.is_binary else "/wA="
    assert native.say({"type": "subscribe", "id": "s", "topic": "home/+/temp"}) == [{"type": "subscribed", "id": "s"}]
    heard = native.say(
        {"type": "publish", "topic": "home/kitchen/temp", "body": "21 °C"},
        {"type": "publish", "topic": "home/kitchen/light", "body": "on"},
        {"type": "publish", "topic": "home/v1.2/temp", "octets": octets, "properties": {"content_type": "image/x"}},
    )

    assert heard == [
        {"type": "message", "id": "s", "topic": "home/kitchen/temp", "body": "21 °C"},
        {
            "type": "message",
            "id": "s",
            "topic": "home/v1.2/temp",
            "octets": octets,
            "properties": {"content_type": "image/x"},
        },
    ]


def test_an_acknowledged_publication_is_accepted_when_the_store_has_it(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "orders"})
    core.commit()
    assert native.heard() == [{"type": "declared", "queue": "orders"}]
    assert native.say({"type": "publish", "id": 7, "queue": "orders", "body": "one"}) == []
    core.commit()

    assert native.heard() == [{"type": "accepted", "id": 7}]
    assert core.queue("orders").ready_count == 1


@pytest.mark.parametrize(("id_", "persistent", "kept"), [(1, None, True), (None, None, False), (1, False, False)])
def test_what_is_acknowledged_is_persistent_unless_it_says_otherwise(
    core: Core, native: Native, id_: int | None, persistent: bool | None, kept: bool
) -> None:
    native.say({"type": "subscribe", "id": "s", "topic": "t"})
    said = {"type": "publish", "id": id_, "persistent": persistent, "topic": "t", "body": ""}
    heard = native.say({key: value for key, value in said.items() if value is not None})

    assert heard[0].get("persistent", False) == kept


def test_every_property_arrives_as_it_was_sent(native: Native) -> None:
    properties = {
        "content_type": "text/plain",
        "content_encoding": "identity",
        "headers": {
            "text": "ü",
            "number": 1,
            "real": 1.5,
            "flag": True,
            "nothing": None,
            "list": [1, "2"],
            "map": {"a": 1},
        },
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration_ms": 60000,
        "message_id": "m",
        "timestamp": 1700000000,
        "type": "t",
        "app_id": "a",
    }
    native.say({"type": "subscribe", "id": 1, "topic": "#"})
    (heard,) = native.say({"type": "publish", "topic": "t", "body": "", "properties": properties})

    assert heard["properties"] == properties


def test_a_message_through_another_exchange_names_it(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "q", "durable": False})
    core.vhost.bind(core.vhost.exchange("amq.direct"), core.queue(), "queue", b"key")
    native.say({"type": "subscribe", "id": "s", "queue": "q"})
    (heard,) = native.say({"type": "publish", "exchange": "amq.direct", "routing_key": "key", "body": "x"})

    assert heard == {"type": "message", "id": "s", "exchange": "amq.direct", "routing_key": "key", "body": "x"}


def test_a_first_level_wildcard_does_not_match_dollar_topics_mqtt_4_7_2_1(native: Native) -> None:
    native.say({"type": "subscribe", "id": "all", "topic": "#"}, {"type": "subscribe", "id": "sys", "topic": "$SYS/#"})
    heard = native.say({"type": "publish", "topic": "$SYS/up", "body": "1"})

    assert [each["id"] for each in heard] == ["sys"]


def test_retained_messages_come_first_and_say_so(native: Native) -> None:
    native.say({"type": "publish", "topic": "a/b", "body": "kept", "retain": True})
    heard = native.say({"type": "subscribe", "id": "s", "topic": "a/#"})
    heard += native.say({"type": "publish", "topic": "a/b", "body": "new", "retain": True})

    assert [(each["type"], each.get("body"), each.get("retained", False)) for each in heard] == [
        ("subscribed", None, False),
        ("message", "kept", True),
        ("message", "new", False),
    ]


def test_nobody_there_is_unroutable_where_it_is_mandatory(native: Native) -> None:
    heard = native.say({"type": "publish", "id": 1, "topic": "nobody", "body": "", "mandatory": True})

    assert [(each["type"], each["id"], each["code"]) for each in heard] == [("error", 1, "unroutable")]


def test_a_subscription_ends_with_its_queue_or_by_itself(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "q", "durable": False})
    native.say({"type": "subscribe", "id": "t", "topic": "t"}, {"type": "subscribe", "id": "q", "queue": "q"})
    assert len(core.vhost.queues) == 2
    assert native.say({"type": "unsubscribe", "id": "t"}) == [{"type": "unsubscribed", "id": "t"}]
    assert native.say({"type": "publish", "topic": "t", "body": "x"}) == []
    core.vhost.remove_queue(core.queue())

    assert native.heard() == [{"type": "cancelled", "id": "q"}]
    assert not core.vhost.queues


# ── acknowledgements ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_credit_bounds_what_is_not_acknowledged(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "q", "durable": False})
    native.say(*({"type": "publish", "queue": "q", "body": str(number)} for number in range(5)))
    heard = native.say({"type": "subscribe", "id": "s", "queue": "q", "ack": True, "credit": 2})
    assert [each.get("body") for each in heard] == [None, "0", "1"]
    heard = native.say({"type": "ack", "tag": heard[2]["tag"], "multiple": True})
    assert [each["body"] for each in heard] == ["2", "3"]
    heard = native.say({"type": "nack", "tag": heard[0]["tag"]})
    assert [(each["body"], each["redelivered"]) for each in heard] == [("2", True)]
    native.say({"type": "nack", "tag": heard[0]["tag"], "requeue": False})

    assert core.queue().counts["rejected"] == 1
    native.connection.lost("gone")
    assert core.queue().unacked_count == 0
    assert core.queue().counts["unaccounted"] == 0


def test_an_unknown_tag_is_an_error(native: Native) -> None:
    assert native.say({"type": "ack", "id": 3, "tag": 1})[0] == {
        "type": "error",
        "id": 3,
        "code": "not_found",
        "text": "no unsettled delivery 1",
    }


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"type": "publish", "body": ""}, "invalid"),
        ({"type": "publish", "topic": "a", "queue": "b"}, "invalid"),
        ({"type": "publish", "topic": "a", "body": "", "octets": ""}, "invalid"),
        ({"type": "publish", "topic": "a/+"}, "invalid"),
        ({"type": "publish", "topic": ""}, "invalid"),
        ({"type": "publish", "topic": "a\0"}, "invalid"),
        ({"type": "publish", "queue": "q", "retain": True}, "invalid"),
        ({"type": "publish", "exchange": "none"}, "not_found"),
        ({"type": "publish", "topic": "a", "properties": {"headers": {"big": 2**70}}}, "invalid"),
        ({"type": "publish", "topic": "a", "unheard": 1}, "malformed"),
        ({"type": "publish", "topic": "a", "properties": {"unheard": 1}}, "malformed"),
        ({"type": "subscribe", "id": 1}, "invalid"),
        ({"type": "subscribe", "topic": "a"}, "malformed"),
        ({"type": "subscribe", "id": 1, "topic": "a/#/b"}, "invalid"),
        ({"type": "subscribe", "id": 1, "topic": "a#"}, "invalid"),
        ({"type": "subscribe", "id": 1, "topic": "a+/b"}, "invalid"),
        ({"type": "subscribe", "id": 1, "queue": "none"}, "not_found"),
        ({"type": "subscribe", "id": 1, "topic": "a", "credit": 0}, "malformed"),
        ({"type": "unsubscribe", "id": 1}, "not_found"),
        ({"type": "declare", "queue": "amq.mine"}, "refused"),
        ({"type": "declare", "queue": "q", "arguments": {"x-max-length": "many"}}, "conflict"),
        ({"type": "declare", "queue": "q", "arguments": {"x-queue-type": "stream"}}, "not_implemented"),
        ({"type": "unheard"}, "malformed"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_request_that_cannot_be_met_is_an_error_and_no_more(native: Native, said: dict[str, Any], code: str) -> None:
    heard = native.say(said, {"type": "ping", "id": 2})

    assert [(each["type"], each.get("code")) for each in heard] == [("error", code), ("pong", None)]


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"null", b'{"type": 1}', b"[" * 100_000, b'"\xc3"'])
def test_what_is_no_message_at_all_is_an_error(native: Native, octets: bytes) -> None:
    native.feed(frame(TEXT, octets))
    (answer,) = native.frames()

    if octets == b'"\xc3"':
        assert answer.code == 1007
    else:
        assert json.loads(answer.payload)["code"] == "malformed"


def test_rights_count_as_elsewhere(core: Core) -> None:
    core.broker.access.add_user("ann", b"secret")
    core.broker.access.set_permission("/", "ann", "^ann-", "^ann-", "^ann-")
    native = Native(core)
    native.hello(user="ann", password="secret")
    core.vhost.declare_queue("theirs")
    heard = native.say(
        {"type": "publish", "topic": "t", "body": ""},
        {"type": "subscribe", "id": 1, "topic": "t"},
        {"type": "subscribe", "id": 2, "queue": "theirs"},
        {"type": "declare", "queue": "mine"},
    )

    assert [each["code"] for each in heard] == ["refused"] * 4
    assert list(core.vhost.queues) == ["theirs"]


def test_an_alarm_is_told_to_publishers(core: Core, native: Native) -> None:
    core.broker.raise_alarm("disk", "the disk is full")

    assert native.say({"type": "publish", "topic": "t", "body": ""})[0]["code"] == "unavailable"


def test_subscriptions_are_counted(make_core: Callable[..., Core]) -> None:
    native = Native(make_core(websocket_subscriptions_max=2))
    native.hello()
    heard = native.say(*({"type": "subscribe", "id": number, "topic": "t"} for number in range(3)))

    assert [each.get("code") for each in heard] == [None, None, "limit"]
    assert native.say({"type": "subscribe", "id": 0, "topic": "t"})[0]["code"] == "invalid"


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_broker_that_stops_says_1001(native: Native) -> None:
    native.connection.shut_down("stop")

    assert native.frames()[-1].code == 1001


# ── rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_topic_that_may_not_be_published_or_read_is_refused(core: Core, native: Native) -> None:
    core.broker.access.set_topic_permission("/", "guest", "amq.topic", r"^a\.", r"^a\.")

    assert native.say({"type": "publish", "topic": "b/1", "body": "m", "id": 1})[0]["code"] == "refused"
    assert native.say({"type": "subscribe", "id": 2, "topic": "#"})[0]["code"] == "refused"
    assert [each["type"] for each in native.say({"type": "subscribe", "id": 3, "topic": "a/#"})] == ["subscribed"]
    assert len(core.vhost.queues) == 1


def test_a_subscription_that_is_not_allowed_any_more_is_cancelled(core: Core, native: Native) -> None:
    core.vhost.declare_queue("work")
    native.say(
        {"type": "subscribe", "id": "a", "topic": "a/#"},
        {"type": "subscribe", "id": "b", "topic": "b/#"},
        {"type": "subscribe", "id": "w", "queue": "work"},
    )
    core.broker.access.set_topic_permission("/", "guest", "amq.topic", ".*", r"^a\.")
    assert native.heard() == [{"type": "cancelled", "id": "b"}]
    core.broker.access.set_permission("/", "guest", ".*", ".*", "^amq")
    assert native.heard() == [{"type": "cancelled", "id": "w"}]
    assert list(native.core.vhost.queues["work"].consumers) == []


@pytest.mark.parametrize("change", ["delete_user", "clear_permission"])
def test_who_may_not_be_here_any_more_is_told_so_and_cut(core: Core, native: Native, change: str) -> None:
    if change == "delete_user":
        core.broker.access.delete_user("guest")
    else:
        core.broker.access.clear_permission("/", "guest")
    error, close = native.frames()

    assert json.loads(error.payload)["code"] == "refused"
    assert (close.opcode, close.code) == (CLOSE, 1008)
    native.connection.lost("closed")
    assert core.broker.presence.of_user == {}


def test_clients_count_in_the_limits_of_connections(core: Core, native: Native) -> None:
    core.broker.parameters.set_user_limit("guest", "max-connections", 1)

    assert Native(core).hello()[0]["code"] == "limit"
    native.connection.lost("closed")
    assert Native(core).hello()[0]["type"] == "welcome"
