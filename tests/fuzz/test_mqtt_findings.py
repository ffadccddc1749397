"""What was found once over MQTT: each conversation here broke the broker, or made it say what no client may hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from broker.config import Mqtt
from tests.fuzz.conversations import method
from tests.support import amqp_codec
from tests.support import mqtt_codec as codec
from tests.support.in_process import Client, watched
from tests.support.mqtt_codec import V5, V31, V311, Filter, Packet, Properties
from tests.support.mqtt_in_process import MqttClient, MqttInProcess

OTHERS_KEYS = [b"a.*", b"a.#", b"", b"\xff", b"a\0b", b"*", b"#"]
KEY_NAMES = ["plus", "hash", "empty", "not-utf-8", "null", "plus-alone", "hash-alone"]


@pytest.fixture
def make() -> Iterator[Callable[..., MqttInProcess]]:
    """Brokers that must not log an error, and hold nothing for clients that are gone."""
    made: list[MqttInProcess] = []

    def broker(settings: Mqtt | None = None) -> MqttInProcess:
        made.append(MqttInProcess(settings))
        return made[-1]

    with watched():
        yield broker
        for each in made:
            for connection in list(each.mqtt.connections):
                connection.output.abort()
                connection.lost("closed by peer")
            assert not each.broker.intake.holders
    for each in made:
        each.close()


@pytest.fixture
def inside(make: Callable[..., MqttInProcess]) -> MqttInProcess:
    return make()


def connected(inside: MqttInProcess, version: int, client_id: str, properties: Properties | None = None) -> MqttClient:
    """A client with a session that is kept, or with MQTT 5 as `properties` say."""
    client = inside.arrive(version)
    client.hear(codec.connect(version, client_id, clean=False, properties=properties))
    assert [each.kind for each in client.talk()] == [codec.CONNACK]
    return client


def say(client: MqttClient, *packets: bytes) -> list[Packet]:
    for each in packets:
        client.hear(each)
    return client.talk()


def amqp(inside: MqttInProcess) -> Client:
    client = inside.connect()
    client.hear(method(1, "channel.open"))
    return client


def publication(exchange: str, key: bytes, body: bytes) -> bytes:
    return (
        method(1, "basic.publish", exchange=exchange, routing_key=key)
        + amqp_codec.encode_frame(amqp_codec.FRAME_HEADER, 1, amqp_codec.encode_header(len(body), {}))
        + amqp_codec.encode_frame(amqp_codec.FRAME_BODY, 1, body)
    )


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_payload_that_is_not_the_text_it_claims_to_be_is_refused_alone(inside: MqttInProcess, qos: int) -> None:
    """The connection was closed with 0x83, and the log had a TypeError."""
    client = connected(inside, V5, "c")
    claim = {"payload_format": 1}
    packet_id = 7 if qos else None

    said = say(client, codec.publish(V5, "t", b"\xff", qos=qos, packet_id=packet_id, properties=claim), codec.PING)

    assert [(each.kind, each.reason) for each in said] == [
        *([(codec.PUBACK if qos == 1 else codec.PUBREC, 0x99)] if qos else []), (codec.PINGRESP, 0),
    ]  # fmt: skip
    assert inside.mqtt.counters.publish_refused == 1


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("key", OTHERS_KEYS, ids=KEY_NAMES)
def test_a_routing_key_that_is_no_topic_name_is_not_told_to_mqtt(inside: MqttInProcess, key: bytes, qos: int) -> None:
    """Clients heard of topics with wildcards, and closed the connection for it."""
    client, publisher = connected(inside, V311, "c"), amqp(inside)
    say(client, codec.subscribe(V311, 1, [Filter("#", qos), Filter("a/+", qos)]))

    publisher.hear(publication("amq.topic", key, b"odd") + publication("amq.topic", b"a.b", b"even"))

    assert [(each.topic, each.payload) for each in client.talk()] == [("a/b", b"even")]
    assert inside.mqtt.counters.dropped_unnameable == 1


@pytest.mark.parametrize("key", OTHERS_KEYS, ids=KEY_NAMES)
def test_a_message_of_an_amqp_queue_whose_key_is_no_topic_name_is_told_as_the_queue_s(
    inside: MqttInProcess, key: bytes
) -> None:
    client, publisher = connected(inside, V311, "c"), amqp(inside)
    publisher.hear(
        method(1, "queue.declare", queue="jobs") + method(1, "queue.bind", queue="jobs", exchange="amq.fanout")
    )
    say(client, codec.subscribe(V311, 1, [Filter("$queue/jobs", 1)]))

    publisher.hear(publication("amq.fanout", key, b"job") + publication("amq.fanout", b"k", b"other"))

    assert [(each.topic, each.payload) for each in client.talk()] == [("$queue/jobs", b"job"), ("k", b"other")]


def test_a_carbon_copy_whose_own_key_is_no_topic_name_is_not_told(inside: MqttInProcess) -> None:
    """It is found by another key than its own."""
    client, publisher = connected(inside, V311, "c"), amqp(inside)
    say(client, codec.subscribe(V311, 1, [Filter("q", 0)]))
    header = amqp_codec.encode_header(0, {"headers": {"BCC": ["q"]}})

    publisher.hear(method(1, "basic.publish", exchange="amq.topic", routing_key=b"a\0"))
    publisher.hear(amqp_codec.encode_frame(amqp_codec.FRAME_HEADER, 1, header))

    assert client.talk() == []
    assert inside.mqtt.counters.dropped_unnameable == 1


def test_a_group_passes_over_what_no_client_can_be_told(inside: MqttInProcess) -> None:
    client, publisher = connected(inside, V311, "c"), amqp(inside)
    say(client, codec.subscribe(V311, 1, [Filter("$share/g/a/#", 1)]))

    publisher.hear(publication("amq.topic", b"a.*", b"odd") + publication("amq.topic", b"a.b", b"even"))

    assert [each.payload for each in client.talk()] == [b"even"]
    assert inside.mqtt.counters.dropped_unnameable == 1


@pytest.mark.parametrize(("size", "said"), [(1, []), (4, []), (5, [0x95]), (10, [0x95])])
def test_a_connack_larger_than_the_client_takes_is_not_sent(inside: MqttInProcess, size: int, said: list[int]) -> None:
    """[MQTT-3.1.2-24]: 0x95 where that fits, else nothing."""
    client = inside.arrive(V5)

    answers = say(client, codec.connect(V5, "", properties={"maximum_packet_size": size}))

    assert [each.reason for each in answers] == said
    assert client.is_over
    assert not len(inside.mqtt.sessions)


def test_a_suback_larger_than_the_client_takes_ends_the_connection(inside: MqttInProcess) -> None:
    client = connected(inside, V5, "c", {"maximum_packet_size": 30})

    answers = say(client, codec.subscribe(V5, 1, [Filter(f"t{number}") for number in range(40)]))

    assert [(each.kind, each.reason) for each in answers] == [(codec.DISCONNECT, 0x95)]


@pytest.mark.parametrize("version", [V31, V311])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_refused_message_ends_an_mqtt_3_connection_in_the_middle_of_a_read(
    make: Callable[..., MqttInProcess], version: int, qos: int
) -> None:
    """What answers was freed by the end of the connection, and used afterwards: the broker crashed."""
    inside = make(Mqtt(session_messages_max=1, session_overflow="reject"))
    say(connected(inside, V311, "full"), codec.subscribe(V311, 1, [Filter("t", 1)]), codec.disconnect(V311))

    for _ in range(20):
        client = connected(inside, version, "publisher")
        said = say(
            client, b"".join(codec.publish(version, "t", b"m", qos=qos, packet_id=each) for each in range(1, 40))
        )
        assert client.is_over
        assert len(said) <= 1

    assert inside.mqtt.counters.publish_refused >= 20


def test_messages_too_large_for_a_client_do_not_stay_in_flight(inside: MqttInProcess) -> None:
    """Stored sessions with QoS 2: their packet identifiers were never free again, and the window was full."""
    client = connected(inside, V5, "c", {"maximum_packet_size": 100, "receive_maximum": 5, "session_expiry": 1000})
    say(client, codec.subscribe(V5, 1, [Filter("t", 2)]))
    publisher = connected(inside, V5, "p")
    for number in range(1, 21):
        say(publisher, codec.publish(V5, "t", b"x" * 200, qos=2, packet_id=number), codec.ack(codec.PUBREL, number))
        assert client.talk() == []

    say(publisher, codec.publish(V5, "t", b"small", qos=2, packet_id=50))

    assert [each.payload for each in client.talk()] == [b"small"]
    assert inside.mqtt.counters.dropped_too_large == 20
