"""pika and Paho: topics, properties, quality of service and RPC, each in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pika
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.behaviour.mqtt.test_paho import V5, VERSIONS, Paho
from tests.support.mqtt_raw import unique
from tests.support.mqtt_server import MqttHubbub
from tests.support.server import HOST

WAIT_S = 5
V311 = VERSIONS[1]


class Amqp:
    """A pika channel with confirms."""

    def __init__(self, server: MqttHubbub) -> None:
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, server.amqp_port))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def bound(self, key: str) -> str:
        """A new queue of what matches the key on amq.topic."""
        name: str = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(name, "amq.topic", key)
        return name

    def publish(self, key: str, body: bytes, exchange: str = "amq.topic", **properties: Any) -> None:
        self.channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))

    def message(self, queue: str) -> Any:
        """(method, properties, body) of the next message."""
        for got in self.channel.consume(queue, auto_ack=True, inactivity_timeout=WAIT_S):
            self.channel.cancel()
            assert got[0] is not None, f"nothing came to {queue}"
            return got
        raise AssertionError(f"{queue} is gone")


@pytest.fixture
def amqp(hubbub: MqttHubbub) -> Iterator[Amqp]:
    amqp = Amqp(hubbub)
    yield amqp
    amqp.connection.close()


@pytest.fixture
def paho(hubbub: MqttHubbub) -> Iterator[Any]:
    made: list[Paho] = []

    def make(version: int) -> Paho:
        made.append(Paho(hubbub, version))
        return made[-1]

    yield make
    for each in made:
        each.leave()


def publish_properties(**values: Any) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_to_amqp(amqp: Amqp, paho: Any, version: int, qos: int) -> None:
    name = unique()
    queue = amqp.bound(f"{name}.*.temp")
    paho(version).publish(f"{name}/kitchen/temp", b"21", qos=qos)
    method, properties, body = amqp.message(queue)

    assert (method.exchange, method.routing_key, body) == ("amq.topic", f"{name}.kitchen.temp", b"21")
    assert (properties.delivery_mode == 2) == (qos > 0)  # without one it is 1, as ever in AMQP


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("delivery_mode", "qos"), [(1, 0), (2, 1)])
def test_amqp_to_mqtt(amqp: Amqp, paho: Any, version: int, delivery_mode: int, qos: int) -> None:
    name = unique()
    subscriber = paho(version)
    subscriber.subscribe(f"{name}/+/temp", qos=2)
    amqp.publish(f"{name}.kitchen.temp", b"21", delivery_mode=delivery_mode)
    message = subscriber.message()

    assert (message.topic, message.payload, message.qos) == (f"{name}/kitchen/temp", b"21", qos)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_dot_in_a_topic(amqp: Amqp, paho: Any, version: int) -> None:
    name = unique()
    queue, peer = amqp.bound(f"{name}.#"), paho(version)
    peer.subscribe(f"{name}/v1.2/x", qos=1)
    peer.publish(f"{name}/v1.2/x", b"m", qos=1)

    assert peer.message().topic == f"{name}/v1.2/x"
    key = amqp.message(queue)[0].routing_key
    amqp.publish(key, b"back", delivery_mode=2)
    assert (message := peer.message()).topic == f"{name}/v1.2/x"
    assert message.payload == b"back"


def test_properties_of_mqtt_5_in_amqp(amqp: Amqp, paho: Any) -> None:
    name = unique()
    queue = amqp.bound(name)
    said = publish_properties(
        ContentType="text/plain",
        CorrelationData=b"id-1",
        MessageExpiryInterval=60,
        UserProperty=[("a", "1"), ("b", "2")],
    )
    paho(V5).publish(name, b"m", qos=1, properties=said)
    properties = amqp.message(queue)[1]

    assert (properties.content_type, properties.correlation_id) == ("text/plain", "id-1")
    assert 59_000 <= int(properties.expiration) <= 60_000
    assert (properties.headers["a"], properties.headers["b"]) == ("1", "2")


def test_properties_of_amqp_in_mqtt_5(amqp: Amqp, paho: Any) -> None:
    name = unique()
    subscriber = paho(V5)
    subscriber.subscribe(name, qos=1)
    amqp.publish(
        name, b"m", content_type="text/plain", correlation_id="id-1", expiration="60000", delivery_mode=2,
        headers={"a": "1", "b": 2},
    )  # fmt: skip
    properties = subscriber.message().properties

    assert (properties.ContentType, properties.CorrelationData) == ("text/plain", b"id-1")
    assert 59 <= properties.MessageExpiryInterval <= 60
    assert {("a", "1"), ("b", "2")} <= set(properties.UserProperty)


def test_amqp_asks_and_mqtt_5_answers(amqp: Amqp, paho: Any) -> None:
    name, responder = unique(), paho(V5)
    responder.subscribe(name, qos=1)
    replies = amqp.channel.queue_declare("", exclusive=True).method.queue
    amqp.publish(name, b"question", reply_to=replies, correlation_id="id-1", delivery_mode=2)
    asked = responder.message()
    said = publish_properties(CorrelationData=asked.properties.CorrelationData)
    responder.publish(asked.properties.ResponseTopic, b"answer", qos=1, properties=said)
    _, properties, body = amqp.message(replies)

    assert (body, properties.correlation_id) == (b"answer", "id-1")


def test_mqtt_5_asks_and_amqp_answers(amqp: Amqp, paho: Any) -> None:
    """The responder answers on amq.topic, by the key that the header with the response topic stands for."""
    name, requester = unique(), paho(V5)
    queue = amqp.bound(name)
    requester.subscribe(f"{name}/replies", qos=1)
    said = publish_properties(ResponseTopic=f"{name}/replies", CorrelationData=b"id-1")
    requester.publish(name, b"question", qos=1, properties=said)
    _, asked, body = amqp.message(queue)
    assert (body, asked.correlation_id) == (b"question", "id-1")
    amqp.publish(asked.headers["x-reply-to-topic"], b"answer", correlation_id=asked.correlation_id, delivery_mode=2)
    answer = requester.message()

    assert (answer.topic, answer.payload) == (f"{name}/replies", b"answer")
    assert answer.properties.CorrelationData == b"id-1"
