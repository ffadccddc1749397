"""Connections that wait for others' answers: what they have sent is kept in order, and taken when there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from broker.authentication.backend import OtherUser
from broker.core.access import Permission, User
from broker.core.errors import AccessRefused
from broker.core.undecided import Question, Undecided
from tests.support import amqp_codec, mqtt_codec
from tests.support.in_process import HEADER_AND_START_OK, handshake
from tests.support.mqtt_in_process import MqttInProcess
from tests.support.peer import Core, cheap_passwords
from tests.unit.websocket.native_peer import Native


class Asked(OtherUser):
    """A user about whose rights somebody else decides."""

    asks_others = True

    def __init__(self, others: Others) -> None:
        super().__init__("guest", (), {"/": Permission(".*", ".*", ".*")})
        self.others = others

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        return bool(self.others.answer((verb, name)))


class Others:
    """Who knows users; says nothing before the test does."""

    takes_tokens = False
    asks_internal = False

    def __init__(self) -> None:
        self.questions: dict[Any, Question] = {}
        self.answers: dict[Any, Any] = {}

    def authenticate(self, name: str, password: bytes | None, peer_is_loopback: bool, peer: str) -> User:
        user = self.answer("login")
        if user is None:
            raise AccessRefused("user 'guest' was refused: invalid credentials")
        assert isinstance(user, User)
        return user

    def who(self, name: str, token: bytes | None, peer: str) -> tuple[User, str, str]:
        raise AssertionError("nobody asks about a user")

    def answer(self, about: Any) -> Any:
        if about in self.answers:
            return self.answers[about]
        raise Undecided(self.questions.setdefault(about, Question()))

    def say(self, about: Any, answer: Any) -> None:
        self.answers[about] = answer
        self.questions.pop(about).decide()


@pytest.fixture
def inside() -> Iterator[MqttInProcess]:
    with cheap_passwords():
        made = MqttInProcess()
        made.broker.access.others = Others()
        yield made
        made.close()


@pytest.fixture
def others(inside: MqttInProcess) -> Others:
    found = inside.broker.access.others
    assert isinstance(found, Others)
    return found


def method(channel: int, name: str, **values: Any) -> bytes:
    return amqp_codec.encode_frame(amqp_codec.FRAME_METHOD, channel, amqp_codec.encode_method(name, **values))


# ── AMQP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_comes_behind_an_amqp_login_waits_for_it(inside: MqttInProcess, others: Others) -> None:
    client = inside.accept()
    client.hear(handshake() + method(1, "channel.open"))
    assert [said.name for said in client.talk()] == ["connection.start"]

    others.say("login", Asked(others))
    client.hear(b"")

    names = [said.name for said in client.talk()]
    assert names == ["connection.tune", "connection.open-ok", "channel.open-ok"]


def test_a_login_that_is_refused_late_is_refused(inside: MqttInProcess, others: Others) -> None:
    client = inside.accept()
    client.hear(HEADER_AND_START_OK)

    others.say("login", None)
    client.hear(b"")

    assert client.is_over


def test_each_right_of_a_method_is_asked_and_the_chosen_name_stays(inside: MqttInProcess, others: Others) -> None:
    client = inside.accept()
    client.hear(handshake() + method(1, "channel.open"))
    others.say("login", Asked(others))
    client.hear(b"")
    client.talk()

    arguments = {"x-dead-letter-exchange": "amq.fanout"}
    client.hear(method(1, "queue.declare", queue="", arguments=arguments) + method(1, "basic.qos", prefetch_count=1))
    asked = []
    while others.questions:
        ((about, _),) = others.questions.items()
        asked.append(about)
        others.say(about, True)
        client.hear(b"")

    declared, qos = client.talk()
    name = declared.content["queue"]
    assert [verb for verb, _ in asked] == ["configure", "read", "write"]
    assert [about for _, about in asked] == [name, name, "amq.fanout"]
    assert qos.name == "basic.qos-ok"
    assert list(inside.broker.vhosts["/"].queues) == [name]


def test_a_connection_that_goes_while_it_waits_leaves_nothing(inside: MqttInProcess, others: Others) -> None:
    client = inside.accept()
    client.hear(handshake())
    client.talk()

    client.lose()
    others.say("login", Asked(others))

    assert not inside.endpoint.connections
    assert client.talk() == []


def test_a_login_that_takes_too_long_is_cut_off(inside: MqttInProcess, others: Others) -> None:
    client = inside.accept()
    client.hear(handshake())

    inside.pass_ms(inside.endpoint.handshake_timeout_ms + 1)

    assert client.connection.output.is_closed
    client.lose()
    others.say("login", Asked(others))


# ── MQTT ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def connect() -> bytes:
    return mqtt_codec.connect(mqtt_codec.V5, "client", user="guest", password="guest")


def test_what_comes_behind_connect_waits_for_it(inside: MqttInProcess, others: Others) -> None:
    client = inside.arrive(mqtt_codec.V5)
    client.hear(connect() + mqtt_codec.PING + mqtt_codec.PING)
    assert client.talk() == []

    others.say("login", Asked(others))
    client.hear(b"")

    assert [packet.name for packet in client.talk()] == ["connack", "pingresp", "pingresp"]
    assert inside.mqtt.counters.packets_received == 3


@pytest.mark.parametrize(
    ("internal", "tokens", "method_name", "is_offered"),
    [
        (True, False, "SCRAM-SHA-256", True),
        (False, True, "SCRAM-SHA-256", False),  # which only the store's users have
        (True, True, "OAUTHBEARER", True),
        (True, False, "OAUTHBEARER", False),
    ],
)
def test_a_method_of_authentication_is_offered_where_somebody_takes_it(
    inside: MqttInProcess, others: Others, internal: bool, tokens: bool, method_name: str, is_offered: bool
) -> None:
    others.asks_internal, others.takes_tokens = internal, tokens
    client = inside.arrive(mqtt_codec.V5)

    client.hear(mqtt_codec.connect(mqtt_codec.V5, "client", properties={"authentication_method": method_name}))

    (answer,) = client.talk()
    assert (answer.name, answer.reason) == (("auth", 0x18) if is_offered else ("connack", 0x8C))


def test_all_filters_are_asked_about_before_one_is_subscribed_to(inside: MqttInProcess, others: Others) -> None:
    client = inside.arrive(mqtt_codec.V5)
    client.hear(connect())
    others.say("login", Asked(others))
    client.hear(b"")
    client.talk()

    filters = [mqtt_codec.Filter("$queue/one", 0), mqtt_codec.Filter("a", 0)]
    client.hear(mqtt_codec.subscribe(mqtt_codec.V5, 1, filters))
    others.say(("read", "one"), False)
    client.hear(b"")
    assert client.talk() == []
    assert not client.connection.session.subscriptions
    others.say(("read", "amq.topic"), True)
    client.hear(b"")

    (answer,) = client.talk()
    assert answer.reasons == (0x87, 0)
    assert list(client.connection.session.subscriptions) == [b"a"]


def test_publishes_wait_in_order_for_the_right_to_publish(inside: MqttInProcess, others: Others) -> None:
    client = inside.arrive(mqtt_codec.V5)
    client.hear(connect())
    others.say("login", Asked(others))
    client.hear(b"")
    others.answers["read", "amq.topic"] = True
    client.hear(mqtt_codec.subscribe(mqtt_codec.V5, 1, [mqtt_codec.Filter("#", 0)]))
    client.talk()

    for number in range(3):
        client.hear(mqtt_codec.publish(mqtt_codec.V5, "a", b"%d" % number))
    assert client.talk() == []
    others.say(("write", "amq.topic"), True)
    client.hear(b"")

    assert [packet.payload for packet in client.talk()] == [b"0", b"1", b"2"]


def test_a_will_waits_for_the_right_to_be_said(inside: MqttInProcess, others: Others) -> None:
    client = inside.arrive(mqtt_codec.V5)
    will = mqtt_codec.Will("gone", b"client")
    client.hear(mqtt_codec.connect(mqtt_codec.V5, "client", user="guest", password="guest", will=will))
    others.say("login", Asked(others))
    client.hear(b"")
    client.talk()

    client.lose()
    assert inside.mqtt.counters.wills_published == 0
    others.say(("write", "amq.topic"), True)

    assert inside.mqtt.counters.wills_published == 1


# ── native WebSocket ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_of_the_native_dialect_wait_in_order(core: Core) -> None:
    others = Others()
    core.broker.access.others = others
    native = Native(core)
    hello = {"type": "hello", "id": 1, "user": "guest", "password": "guest"}
    declare = {"type": "declare", "id": 2, "queue": "q"}
    assert native.say(hello, declare, {"type": "ping", "id": 3}) == []

    others.say("login", Asked(others))
    native.feed()
    assert [each["type"] for each in native.heard()] == ["welcome"]
    others.say(("configure", "q"), True)
    native.feed()
    core.commit()

    assert sorted((each["type"], each["id"]) for each in native.heard()) == [("declared", 2), ("pong", 3)]


def test_a_native_client_that_goes_while_it_waits_leaves_nothing(core: Core) -> None:
    others = Others()
    core.broker.access.others = others
    native = Native(core)
    native.say({"type": "hello", "id": 1, "user": "guest", "password": "guest"})

    native.connection.lost("closed by peer")
    others.say("login", Asked(others))

    assert core.broker.presence.of_user["guest"] == 0
