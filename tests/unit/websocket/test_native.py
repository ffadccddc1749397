"""The native dialect: every message of docs/protocols/websocket.md, in JSON and in MessagePack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.websocket.native import PER_TURN_MAX, SUBPROTOCOLS, NativeEndpoint
from tests.support.peer import Core
from tests.support.websocket_frames import BINARY, CLOSE, TEXT, Frame, frame, read_frames, request
from tests.unit.websocket.conftest import SocketlessOutput

MakeNative = Callable[..., "Native"]


class Native:
    """A client of the native dialect on a broker of the test's own."""

    def __init__(self, core: Core, subprotocol: str = "", *, high_bytes: int = 1 << 20, **settings: Any) -> None:
        from broker.websocket.connection import WebSocketConnection

        self.core = core
        self.is_binary = subprotocol.endswith("msgpack")
        self.native = NativeEndpoint(core.broker, core.limits, **settings)
        path = Path(
            self.native.make,
            tuple(filter(None, SUBPROTOCOLS)),
            is_optional=True,
            by_message=True,
            in_text=frozenset(("", "hubbub.json")),
        )
        endpoint = WebSocketEndpoint(core.clock, core.limits, {"/hubbub": path}, ping_interval_s=0)
        self.connection = WebSocketConnection(endpoint)
        self.output = SocketlessOutput(None, high_bytes)
        self.connection.attach(self.output)
        self.connection.peer = "127.0.0.1:4000"
        self.connection.opened()
        headers = {"Sec_WebSocket_Protocol": subprotocol} if subprotocol else {}
        self.kept = bytearray()
        self.feed(request("/hubbub", **headers))
        assert self.output.take().startswith(b"HTTP/1.1 101")

    def feed(self, data: bytes = b"") -> None:
        self.kept += data
        if self.kept and not self.output.paused and not self.output.is_closed:
            self.kept = self.kept[self.connection.feed(self.kept) :]

    def say(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Say something; what is answered at once."""
        for each in messages:
            encoded = msgpack.packb(each) if self.is_binary else json.dumps(each).encode()
            self.feed(frame(BINARY if self.is_binary else TEXT, encoded))
        return self.heard()

    def frames(self) -> list[Frame]:
        return read_frames(self.output.take())

    def heard(self) -> list[dict[str, Any]]:
        frames = [each for each in self.frames() if each.opcode != CLOSE]
        assert all(each.opcode == (BINARY if self.is_binary else TEXT) for each in frames)
        return [msgpack.unpackb(each.payload) if self.is_binary else json.loads(each.payload) for each in frames]

    def hello(self, **changes: Any) -> list[dict[str, Any]]:
        return self.say({"type": "hello", "user": "guest", "password": "guest", **changes})


@pytest.fixture
def make_native(core: Core) -> MakeNative:
    def make(subprotocol: str = "", **settings: Any) -> Native:
        made = Native(core, subprotocol, **settings)
        assert [each["type"] for each in made.hello()] == ["welcome"]
        return made

    return make


@pytest.fixture
def native(make_native: MakeNative) -> Native:
    return make_native()


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


def test_one_turn_takes_and_gives_a_bounded_share(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "q", "durable": False})
    core.pass_ms(0)
    published = frame(TEXT, b'{"type":"publish","queue":"q","body":"x"}') * (2 * PER_TURN_MAX)
    native.feed(published)
    assert core.queue().ready_count < PER_TURN_MAX
    while native.kept:
        core.pass_ms(0)
        native.feed()
    assert core.queue().ready_count == 2 * PER_TURN_MAX
    core.pass_ms(0)
    assert len(native.say({"type": "subscribe", "id": "s", "queue": "q"})) == 1 + PER_TURN_MAX
    core.pass_ms(0)
    assert len(native.heard()) == PER_TURN_MAX


def test_a_client_that_does_not_read_gets_no_more_and_is_not_read(core: Core, make_native: MakeNative) -> None:
    native = make_native(high_bytes=2000)
    native.say({"type": "declare", "queue": "q", "durable": False})
    for _ in range(100):
        core.vhost.exchange("")
        native.say({"type": "publish", "queue": "q", "body": "x" * 100})
    core.pass_ms(0)
    native.feed(frame(TEXT, b'{"type":"subscribe","id":"s","queue":"q"}'))
    assert 2000 < native.output.pending_bytes < 3000
    assert native.output.paused
    native.heard()
    native.connection.carried.on_writable()  # type: ignore[union-attr]

    assert not native.output.paused
    assert native.output.pending_bytes > 2000


def test_reading_stops_while_too_much_waits_for_the_disk(make_core: Callable[..., Core]) -> None:
    core = make_core(websocket_awaited_max=3)
    native = Native(core)
    native.hello()
    core.vhost.declare_queue("q", durable=True)
    for number in range(5):
        native.say({"type": "publish", "id": number, "queue": "q", "body": ""})
    assert native.output.paused
    assert core.queue().ready_count == 3
    core.commit()
    native.feed()
    core.commit()

    assert [each["id"] for each in native.heard()] == [0, 1, 2, 3, 4]


def test_reading_stops_while_the_disk_is_behind(make_core: Callable[..., Core]) -> None:
    core = make_core(open_batch_bytes_max=1000)
    native = Native(core)
    native.hello()
    core.vhost.declare_queue("q", durable=True)
    native.say({"type": "publish", "persistent": True, "queue": "q", "body": "x" * 2000})
    assert native.output.paused
    core.commit()

    assert not native.output.paused


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


def test_a_client_that_publishes_too_fast_is_read_more_slowly(core: Core, native: Native) -> None:
    core.broker.parameters.set_user_limit("guest", "max-messages-per-second", 2)
    core.vhost.declare_queue("q")
    native.say(*({"type": "publish", "queue": "q", "body": "m"} for _ in range(6)))
    assert core.vhost.queues["q"].ready_count < 6
    for _ in range(4):
        core.pass_ms(1_000)
        native.feed()
    assert core.vhost.queues["q"].ready_count == 6
    native.connection.lost("closed")
    assert core.broker.publish_rates.resting == 0
