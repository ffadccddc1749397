"""Each dialect to each other: AMQP, MQTT 3.1.1 and 5, the native one in JSON and in MessagePack.

One message with all that every dialect can say goes from each to each; then requests and replies, and work that
clients of different dialects take from one queue.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.interop.test_amqp_and_mqtt import Amqp
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw, unique
from tests.support.mqtt_server import MqttHubbub
from tests.support.native_raw import NativeRaw
from tests.support.server import HOST

BODY = b"21 \xc2\xb0C \xff"
"""Not UTF-8: the native dialect has it as octets."""
EXPIRY_S = 60


class Heard(NamedTuple):
    """A message in words that all dialects have; None where the listener's has none."""

    topic: str
    body: bytes
    persistent: bool
    content_type: str | None = None
    correlation: bytes | None = None
    expires_ms: int | None = None
    headers: list[tuple[str, str]] | None = None


def swapped(topic: str) -> str:
    """A topic as a routing key of `amq.topic`, and back."""
    return topic.translate(str.maketrans("/.+*", "./*+"))


class OverAmqp:
    """AMQP, by pika."""

    def __init__(self, hubbub: MqttHubbub) -> None:
        self.amqp = Amqp(hubbub)
        self.queue = ""

    def subscribe(self, topic_filter: str) -> None:
        self.queue = self.amqp.bound(swapped(topic_filter))

    def publish(self, topic: str) -> None:
        self.amqp.publish(
            swapped(topic), BODY, content_type="text/plain", correlation_id="id-1", delivery_mode=2,
            expiration=str(EXPIRY_S * 1000), headers={"a": "1", "b": "é"},
        )  # fmt: skip

    def hear(self) -> Heard:
        method, properties, body = self.amqp.message(self.queue)
        if properties.content_type is None:
            return Heard(swapped(method.routing_key), body, properties.delivery_mode == 2)
        headers = [(name, value) for name, value in properties.headers.items() if not name.startswith("x-")]
        return Heard(
            swapped(method.routing_key), body, properties.delivery_mode == 2, properties.content_type,
            properties.correlation_id.encode(), int(properties.expiration), headers,
        )  # fmt: skip

    def close(self) -> None:
        self.amqp.connection.close()


class OverMqtt:
    """MQTT, by the raw client."""

    def __init__(self, hubbub: MqttHubbub, version: int) -> None:
        self.peer = MqttRaw(hubbub.address, version)
        assert self.peer.connect().reason == 0
        self.is_5 = version == V5

    def subscribe(self, topic_filter: str) -> None:
        self.peer.subscribe(topic_filter, qos=2)

    def publish(self, topic: str) -> None:
        said = {
            "content_type": "text/plain", "correlation_data": b"id-1", "message_expiry": EXPIRY_S,
            "user": [("a", "1"), ("b", "é")],
        }  # fmt: skip
        self.peer.deliver(topic, BODY, qos=1, properties=said if self.is_5 else None)

    def hear(self) -> Heard:
        packet = self.peer.message()
        if "content_type" not in packet.properties:
            return Heard(packet.topic, packet.payload, packet.qos > 0)
        found = packet.properties
        return Heard(
            packet.topic, packet.payload, packet.qos > 0, found["content_type"], found["correlation_data"],
            found["message_expiry"] * 1000, found["user"],
        )  # fmt: skip

    def close(self) -> None:
        self.peer.close()


class OverWebSocket:
    """The native dialect."""

    def __init__(self, hubbub: MqttHubbub, subprotocol: str) -> None:
        self.peer = NativeRaw((HOST, int(str(hubbub.settings["websocket.port"]))), subprotocol)

    def subscribe(self, topic_filter: str) -> None:
        self.peer.say(type="subscribe", id="s", topic=topic_filter)
        self.peer.expect("subscribed")

    def octets(self, body: bytes) -> Any:
        return body if self.peer.is_binary else base64.b64encode(body).decode()

    def publish(self, topic: str) -> None:
        properties = {
            "content_type": "text/plain", "correlation_id": "id-1", "expiration_ms": EXPIRY_S * 1000,
            "headers": {"a": "1", "b": "é"},
        }  # fmt: skip
        self.peer.say(type="publish", id=1, topic=topic, octets=self.octets(BODY), properties=properties)
        self.peer.expect("accepted")

    def hear(self) -> Heard:
        message = self.peer.expect("message")
        body = message["octets"] if self.peer.is_binary else base64.b64decode(message["octets"])
        if "properties" not in message:
            return Heard(message["topic"], body, message.get("persistent", False))
        found = message["properties"]
        headers = [(name, value) for name, value in found["headers"].items() if not name.startswith("x-")]
        return Heard(
            message["topic"], body, message.get("persistent", False), found["content_type"],
            found["correlation_id"].encode(), found["expiration_ms"], headers,
        )  # fmt: skip

    def close(self) -> None:
        self.peer.close()


Client = OverAmqp | OverMqtt | OverWebSocket
MAKE: dict[str, Callable[[MqttHubbub], Client]] = {
    "AMQP": OverAmqp,
    "MQTT 3.1.1": lambda hubbub: OverMqtt(hubbub, V311),
    "MQTT 5": lambda hubbub: OverMqtt(hubbub, V5),
    "JSON": lambda hubbub: OverWebSocket(hubbub, "hubbub.json"),
    "MessagePack": lambda hubbub: OverWebSocket(hubbub, "hubbub.msgpack"),
}
PAIRS = [(one, other) for one in MAKE for other in MAKE]


@pytest.fixture
def make(hubbub: MqttHubbub) -> Iterator[Callable[[str], Any]]:
    made: list[Client] = []

    def client(dialect: str) -> Client:
        made.append(MAKE[dialect](hubbub))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.mark.parametrize(("publisher", "subscriber"), PAIRS, ids=[f"{one} to {other}" for one, other in PAIRS])
def test_a_message_arrives_as_it_was_said(make: Callable[[str], Any], publisher: str, subscriber: str) -> None:
    """Topic with a dot, octets, acceptance, content type, correlation, expiry, headers in their order."""
    name = unique()
    listener, speaker = make(subscriber), make(publisher)
    listener.subscribe(f"{name}/+/x")

    speaker.publish(f"{name}/v1.2/x")

    heard = listener.hear()
    assert heard[:3] == (f"{name}/v1.2/x", BODY, True)
    if "MQTT 3.1.1" not in (publisher, subscriber):
        assert heard.content_type == "text/plain"
        assert heard.correlation == b"id-1"
        assert heard.expires_ms is not None
        assert EXPIRY_S * 1000 - 5000 <= heard.expires_ms <= EXPIRY_S * 1000
        assert heard.headers == [("a", "1"), ("b", "é")]


def ask_and_answer_by_topic(requester: OverWebSocket, responder: OverMqtt, name: str) -> None:
    """The native dialect names the response topic as AMQP does, in the header, as a routing key."""
    requester.subscribe(f"{name}/replies")
    responder.subscribe(f"{name}/questions")
    properties = {"correlation_id": "id-1", "headers": {"x-reply-to-topic": f"{name}.replies"}}
    requester.peer.say(type="publish", topic=f"{name}/questions", body="question", properties=properties)

    asked = responder.peer.message()
    assert asked.properties["response_topic"] == f"{name}/replies"
    said = {"correlation_data": asked.properties["correlation_data"]}
    responder.peer.deliver(asked.properties["response_topic"], b"answer", qos=1, properties=said)

    answer = requester.peer.expect("message")
    assert (answer["body"], answer["properties"]["correlation_id"]) == ("answer", "id-1")


@pytest.mark.parametrize("encoding", ["JSON", "MessagePack"])
def test_the_native_dialect_asks_and_mqtt_5_answers(make: Callable[[str], Any], encoding: str) -> None:
    ask_and_answer_by_topic(make(encoding), make("MQTT 5"), unique())


@pytest.mark.parametrize("encoding", ["JSON", "MessagePack"])
def test_mqtt_5_asks_and_the_native_dialect_answers(make: Callable[[str], Any], encoding: str) -> None:
    name, requester, responder = unique(), make("MQTT 5"), make(encoding)
    requester.subscribe(f"{name}/replies")
    responder.subscribe(f"{name}/questions")
    said = {"response_topic": f"{name}/replies", "correlation_data": b"id-1"}
    requester.peer.deliver(f"{name}/questions", b"question", qos=1, properties=said)

    found = responder.peer.expect("message")["properties"]
    responder.peer.say(
        type="publish", exchange="amq.topic", routing_key=found["headers"]["x-reply-to-topic"], body="answer",
        properties={"correlation_id": found["correlation_id"]},
    )  # fmt: skip

    answer = requester.peer.message()
    assert (answer.topic, answer.payload) == (f"{name}/replies", b"answer")
    assert answer.properties["correlation_data"] == b"id-1"


@pytest.mark.parametrize("encoding", ["JSON", "MessagePack"])
def test_amqp_asks_and_the_native_dialect_answers(make: Callable[[str], Any], encoding: str) -> None:
    name, requester, responder = unique(), make("AMQP"), make(encoding)
    responder.subscribe(name)
    replies = requester.amqp.channel.queue_declare("", exclusive=True).method.queue
    requester.amqp.publish(name, b"question", reply_to=replies, correlation_id="id-1")

    found = responder.peer.expect("message")["properties"]
    properties = {"correlation_id": found["correlation_id"]}
    responder.peer.say(type="publish", queue=found["reply_to"], body="answer", properties=properties)

    _, answered, body = requester.amqp.message(replies)
    assert (body, answered.correlation_id) == (b"answer", "id-1")


def test_user_properties_keep_duplicates_and_order_through_an_amqp_queue(make: Callable[[str], Any]) -> None:
    """MQTT 5 publishes, the message waits in an AMQP queue, MQTT 5 takes it from there."""
    name, queue = unique(), unique("queue")
    amqp, publisher, worker = make("AMQP"), make("MQTT 5"), make("MQTT 5")
    amqp.amqp.channel.queue_declare(queue)
    amqp.amqp.channel.queue_bind(queue, "amq.topic", f"{name}.*")
    pairs = [("b", "2"), ("a", "1"), ("b", "2"), ("a", "é"), ("", "empty"), ("n" * 300, "long"), ("CC", "nobody")]
    publisher.peer.deliver(f"{name}/v1.2", b"m", qos=1, properties={"user": pairs})

    worker.peer.subscribe(f"$queue/{queue}", qos=1)

    message = worker.peer.message()
    assert (message.topic, message.properties["user"]) == (f"{name}/v1.2", pairs)
    amqp.amqp.channel.queue_delete(queue)


@pytest.mark.parametrize("version", ["MQTT 3.1.1", "MQTT 5"])
def test_mqtt_amqp_and_native_clients_share_the_work_of_one_queue(make: Callable[[str], Any], version: str) -> None:
    """Each message to one of them; what an MQTT client leaves unacknowledged goes to the others."""
    queue = unique("work")
    amqp, worker, quitter, native = make("AMQP"), make(version), make(version), make("JSON")
    amqp.amqp.channel.queue_declare(queue, durable=True)
    worker.peer.subscribe(f"$queue/{queue}", qos=1)
    quitter.peer.subscribe(f"$queue/{queue}", qos=1)
    native.peer.say(type="subscribe", id="w", queue=queue, ack=True)
    native.peer.expect("subscribed")
    for number in range(30):
        amqp.amqp.publish(queue, b"%d" % number, exchange="", delivery_mode=2)

    left = [quitter.peer.message(acknowledge=False).payload for _ in range(10)]
    done = [worker.peer.message().payload for _ in range(10)]
    taken = [native.peer.expect("message") for _ in range(10)]
    native.peer.say(type="ack", tag=taken[-1]["tag"], multiple=True)
    native.peer.say(type="unsubscribe", id="w")
    native.peer.expect("unsubscribed")
    assert sorted(map(int, [*left, *done, *(each["body"].encode() for each in taken)])) == list(range(30))

    quitter.peer.close()

    again = worker.peer.messages(10)
    assert sorted(each.payload for each in again) == sorted(left)
    assert all(each.dup for each in again)
    assert amqp.amqp.channel.queue_delete(queue).method.message_count == 0
