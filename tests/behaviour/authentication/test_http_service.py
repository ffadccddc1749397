"""Users of a web service, as RabbitMQ's HTTP backend has them, over every protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pika
import pika.exceptions
import pytest

from tests.support import mqtt_codec
from tests.support.authentication_service import AuthenticationService, authentication_service
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, serving

pytestmark = pytest.mark.hubbub_only
PASSWORD = "s3cret&of=peter"
RELEASED = threading.Event()
ALL_SENT = threading.Event()
ALL_SENT.set()


def judge(path: str, asked: dict[str, str]) -> str:
    """peter may all but what is called `closed…`; slow… is answered when all is sent, held when it is released."""
    if asked.get("name", "").startswith("slow"):
        ALL_SENT.wait(2.5)
    if asked["username"] == "held":
        RELEASED.wait(2.5)
    if path == "user":
        return "allow management" if asked["username"] == "peter" and asked.get("password") == PASSWORD else "deny"
    if path == "vhost":
        return "allow" if asked["vhost"] == "/" else "deny"
    if path == "topic":
        return "deny" if "closed" in asked["routing_key"] else "allow"
    return "deny" if asked["name"].startswith("closed") else "allow"


@pytest.fixture(scope="module")
def web() -> Iterator[AuthenticationService]:
    with authentication_service(judge) as service:
        yield service


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, web: AuthenticationService) -> Iterator[HubbubServer]:
    settings: dict[str, object] = {"authentication.backends": "[internal, http]", "authentication.http.method": "post"}
    for name in ("user_path", "vhost_path", "resource_path", "topic_path"):
        settings[f"authentication.http.{name}"] = web.paths()[name]
    running = server_with_entrances(tmp_path_factory.mktemp("asked"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_user_of_the_service_comes_in(broker: HubbubServer, entrance: str) -> None:
    assert enter(broker, entrance, "peter", PASSWORD) == "peter"


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_denied_one_does_not(broker: HubbubServer, entrance: str) -> None:
    with pytest.raises(RefusedError) as refused:
        enter(broker, entrance, "peter", "another-s3cret")
    assert "another-s3cret" not in str(refused.value)


@pytest.mark.parametrize("entrance", ["amqp", "websocket", "http"])
def test_the_stores_users_come_in_as_ever(broker: HubbubServer, entrance: str) -> None:
    assert enter(broker, entrance, "guest", "guest") == "guest"


@pytest.fixture
def channel(broker: HubbubServer) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    credentials = pika.PlainCredentials("peter", PASSWORD)
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, broker.port, credentials=credentials))
    yield connection.channel()
    if connection.is_open:
        connection.close()


def test_what_may_be_done_over_amqp_is_asked(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    channel.confirm_delivery()
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, "amq.direct", "key")
    channel.basic_publish("amq.direct", "key", b"hello", mandatory=True)
    assert channel.basic_get(name, auto_ack=True)[2] == b"hello"

    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        channel.queue_declare("closed")


def test_another_vhost_is_refused(broker: HubbubServer) -> None:
    credentials = pika.PlainCredentials("peter", PASSWORD)
    parameters = pika.ConnectionParameters(HOST, broker.port, "other", credentials)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters)
    assert "access to vhost 'other' refused for user 'peter'" in broker.log


def test_pipelined_messages_keep_their_order_while_a_right_is_asked(
    channel: pika.adapters.blocking_connection.BlockingChannel,
) -> None:
    channel.queue_declare("kept", durable=False)
    channel.exchange_declare("slow-exchange", "fanout")
    channel.queue_bind("kept", "slow-exchange", "")

    bodies = [f"{exchange} {number}".encode() for number in range(50) for exchange in ("direct", "slow")]
    ALL_SENT.clear()
    for body in bodies:
        channel.basic_publish("" if body.startswith(b"direct") else "slow-exchange", "kept", body)
    ALL_SENT.set()

    got: list[bytes] = []
    for method, _, body in channel.consume("kept", auto_ack=True, inactivity_timeout=5):
        assert method is not None, f"{len(got)} of {len(bodies)} came"
        got.append(body)
        if len(got) == len(bodies):
            break
    assert got == bodies


@pytest.fixture
def mqtt(broker: HubbubServer) -> Iterator[MqttRaw]:
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V5)
    assert raw.connect(user="peter", password=PASSWORD.encode()).reason == 0
    yield raw
    raw.close()


def test_what_may_be_done_over_mqtt_is_asked(mqtt: MqttRaw) -> None:
    assert mqtt.subscribe("a/b", "a/+", qos=1).reasons == (1, 1)
    answer = mqtt.deliver("a/b", b"hello", qos=1)
    assert answer is not None
    assert answer.reason == 0
    assert mqtt.expect(mqtt_codec.PUBLISH).payload == b"hello"


def test_topics_are_asked_about_one_by_one(mqtt: MqttRaw) -> None:
    assert mqtt.subscribe("one/closed", "one/+").reasons == (0x87, 0)
    for _ in range(2):
        for topic, reason in (("one/open", 0), ("one/closed", 0x87), ("one/" + "long" * 200, 0), ("one/closed", 0x87)):
            answer = mqtt.deliver(topic, topic.encode(), qos=1)
            assert answer is not None
            assert answer.reason == reason, topic
    got = [mqtt.expect(mqtt_codec.PUBLISH).topic for _ in range(4)]
    assert got == ["one/open", "one/" + "long" * 200] * 2


def test_copies_to_keys_that_nobody_has_asked_about_are_refused(
    channel: pika.adapters.blocking_connection.BlockingChannel,
) -> None:
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "plain", b"x", pika.BasicProperties(headers={"a": "b"}))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=r"403.*CC and BCC"):
        channel.basic_publish("amq.topic", "plain", b"x", pika.BasicProperties(headers={"CC": ["other"]}))


def test_a_refused_subscription_of_several_is_told(broker: HubbubServer) -> None:
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V5)
    # at QoS 1 the session's queue `mqtt-subscription-…qos1` is asked about, at QoS 0 only the exchange
    assert raw.connect("peter-closed", user="peter", password=PASSWORD.encode()).reason == 0
    assert raw.subscribe(mqtt_codec.Filter("$queue/closed", 1), mqtt_codec.Filter("x", 0)).reasons == (0x87, 0)
    raw.close()


def test_while_one_login_waits_others_are_served(broker: HubbubServer, web: AuthenticationService) -> None:
    outcomes: list[str] = []

    def come_in() -> None:
        try:
            enter(broker, "mqtt", "held", "any")
        except RefusedError as refused:
            outcomes.append(str(refused))

    held = threading.Thread(target=come_in)
    held.start()
    eventually(lambda: any(asked["username"] == "held" for _, _, asked in web.asked))

    assert enter(broker, "amqp", "guest", "guest") == "guest"
    assert enter(broker, "http", "peter", PASSWORD) == "peter"
    assert outcomes == []

    RELEASED.set()
    held.join(10)
    assert outcomes
    assert outcomes[0].startswith("0x86")


def test_no_password_reaches_the_log(broker: HubbubServer) -> None:
    assert PASSWORD not in broker.log
    assert "another-s3cret" not in broker.log
