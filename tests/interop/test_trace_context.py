"""A trace context (W3C Trace Context §3) goes on as it came, from dialect to dialect, and on every way through.

Headers `traceparent` and `tracestate` of AMQP and of the native dialect; user properties of these names in MQTT 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.test_amqp_and_mqtt import Amqp
from tests.support.mqtt_codec import V5, Will
from tests.support.mqtt_raw import MqttRaw, unique
from tests.support.mqtt_server import MqttHubbub
from tests.support.native_raw import NativeRaw
from tests.support.server import HOST

CONTEXT = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
}


class OverAmqp:
    """AMQP, by pika."""

    def __init__(self, hubbub: MqttHubbub) -> None:
        self.amqp = Amqp(hubbub)
        self.queue = ""

    def subscribe(self, topic: str) -> None:
        self.queue = self.amqp.bound(topic)

    def publish(self, topic: str) -> None:
        self.amqp.publish(topic, b"m", headers=CONTEXT)

    def heard(self) -> dict[str, Any]:
        headers: dict[str, Any] = self.amqp.message(self.queue)[1].headers
        return headers

    def close(self) -> None:
        self.amqp.connection.close()


class OverMqtt:
    """MQTT 5, by the raw client."""

    def __init__(self, hubbub: MqttHubbub) -> None:
        self.peer = MqttRaw(hubbub.address, V5)
        assert self.peer.connect().reason == 0

    def subscribe(self, topic: str) -> None:
        self.peer.subscribe(topic, qos=1)

    def publish(self, topic: str, *, retain: bool = False) -> None:
        self.peer.deliver(topic, b"m", qos=1, retain=retain, properties={"user": list(CONTEXT.items())})

    def heard(self) -> dict[str, Any]:
        return dict(self.peer.message().properties["user"])

    def close(self) -> None:
        self.peer.close()


class OverWebSocket:
    """The native dialect."""

    def __init__(self, hubbub: MqttHubbub) -> None:
        self.peer = NativeRaw((HOST, int(str(hubbub.settings["websocket.port"]))))

    def subscribe(self, topic: str) -> None:
        self.peer.say(type="subscribe", id="s", topic=topic)
        self.peer.expect("subscribed")

    def publish(self, topic: str) -> None:
        self.peer.say(type="publish", id=1, topic=topic, body="m", properties={"headers": CONTEXT})
        self.peer.expect("accepted")

    def heard(self) -> dict[str, Any]:
        headers: dict[str, Any] = self.peer.expect("message")["properties"]["headers"]
        return headers

    def close(self) -> None:
        self.peer.close()


MAKE: dict[str, Callable[[MqttHubbub], Any]] = {"AMQP": OverAmqp, "MQTT 5": OverMqtt, "native": OverWebSocket}
PAIRS = [(one, other) for one in MAKE for other in MAKE]
Make = Callable[[str], Any]


@pytest.fixture
def make(hubbub: MqttHubbub) -> Iterator[Make]:
    made: list[Any] = []

    def client(dialect: str) -> Any:
        made.append(MAKE[dialect](hubbub))
        return made[-1]

    yield client
    for each in made:
        each.close()


def context_of(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: headers.get(name) for name in CONTEXT}


@pytest.mark.parametrize(("publisher", "subscriber"), PAIRS, ids=[f"{one} to {other}" for one, other in PAIRS])
def test_a_context_goes_from_each_dialect_to_each(make: Make, publisher: str, subscriber: str) -> None:
    topic = unique()
    reader, writer = make(subscriber), make(publisher)
    reader.subscribe(topic)
    writer.publish(topic)
    assert context_of(reader.heard()) == CONTEXT


@pytest.mark.parametrize("subscriber", MAKE)
@pytest.mark.parametrize("publisher", MAKE)
def test_a_context_outlives_dead_lettering(make: Make, publisher: str, subscriber: str) -> None:
    topic, dead = unique(), unique("dead")
    reader, writer, operator = make(subscriber), make(publisher), make("AMQP")
    reader.subscribe(dead)
    arguments = {"x-dead-letter-exchange": "amq.topic", "x-dead-letter-routing-key": dead}
    operator.queue = operator.amqp.channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    operator.amqp.channel.queue_bind(operator.queue, "amq.topic", topic)
    writer.publish(topic)
    (method, _, _) = next(operator.amqp.channel.consume(operator.queue, inactivity_timeout=10))
    operator.amqp.channel.basic_nack(method.delivery_tag, requeue=False)
    operator.amqp.channel.cancel()
    assert context_of(reader.heard()) == CONTEXT


@pytest.mark.parametrize("subscriber", ["MQTT 5", "native"])
def test_a_context_is_retained(make: Make, subscriber: str) -> None:
    topic = unique()
    make("MQTT 5").publish(topic, retain=True)
    reader = make(subscriber)
    reader.subscribe(topic)
    assert context_of(reader.heard()) == CONTEXT


@pytest.mark.parametrize("subscriber", MAKE)
def test_a_wills_context_goes_with_it(make: Make, hubbub: MqttHubbub, subscriber: str) -> None:
    topic = unique()
    reader = make(subscriber)
    reader.subscribe(topic)
    dying = MqttRaw(hubbub.address, V5)
    will = Will(topic, b"gone", properties={"user": list(CONTEXT.items())})
    assert dying.connect(will=will).reason == 0
    dying.reset()
    assert context_of(reader.heard()) == CONTEXT
