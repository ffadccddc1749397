"""Trace contexts across protocols, and spans at an OTLP collector: pika and paho, and protobuf over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import paho.mqtt.client as paho
import pika
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.otlp_collector import Collector, collector
from tests.support.polling import eventually
from tests.support.server import HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


@pytest.fixture(scope="module")
def spans() -> Iterator[Collector]:
    with collector() as made:
        yield made


@pytest.fixture(scope="module")
def broker(spans: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(
        tmp_path_factory.mktemp("spans"),
        {"mqtt.port": free_port(), "mqtt.address": "127.0.0.1", "telemetry.endpoint": spans.url},
    )
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.fixture
def channel(broker: HubbubServer) -> Iterator[Any]:
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port)) as connection:
        yield connection.channel()


@pytest.fixture
def mqtt(broker: HubbubServer) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, "sensor", protocol=paho.MQTTv5)
    connected = Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", int(str(broker.settings["mqtt.port"])))
    client.loop_start()
    assert connected.wait(10)
    yield client
    client.disconnect()
    client.loop_stop()


def traced(value: str) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("traceparent", value), ("tracestate", "a=1,b=2")]
    return properties


def attributes(span: Any) -> dict[str, Any]:
    return {
        pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
        for pair in span.attributes
    }


def test_a_messages_way_is_two_spans_in_the_publishers_trace(spans: Collector, channel: Any) -> None:
    channel.queue_declare("orders")
    channel.basic_publish("", "orders", b"12345", pika.BasicProperties(headers={"traceparent": SAMPLED}))
    eventually(lambda: channel.basic_get("orders", auto_ack=True)[0])
    (delivered,) = eventually(lambda: spans.named("deliver orders"), timeout_s=20)
    (published,) = eventually(lambda: spans.named("publish amq.default"), timeout_s=20)
    assert published.trace_id.hex() == delivered.trace_id.hex() == TRACE
    assert published.parent_span_id.hex() == PARENT
    assert delivered.parent_span_id == published.span_id
    assert published.start_time_unix_nano <= delivered.end_time_unix_nano
    said = attributes(published)
    assert said["messaging.rabbitmq.destination.routing_key"] == "orders"
    assert said["messaging.message.body.size"] == 5
    assert attributes(delivered)["messaging.destination.name"] == "orders"
    assert spans.resources[0]["service.name"] == "hubbub"


def test_what_is_not_sampled_or_no_context_has_no_span(spans: Collector, channel: Any) -> None:
    channel.queue_declare("quiet")
    for value in (UNSAMPLED, "00-" + "0" * 32 + f"-{PARENT}-01", "nonsense", 7):
        channel.basic_publish("", "quiet", b"", pika.BasicProperties(headers={"traceparent": value}))
    channel.basic_publish("", "quiet", b"")
    channel.queue_declare("loud")
    channel.basic_publish("amq.direct", "loud", b"", pika.BasicProperties(headers={"traceparent": SAMPLED}))
    eventually(lambda: spans.named("publish amq.direct"), timeout_s=20)
    keys = {attributes(span)["messaging.rabbitmq.destination.routing_key"] for span in spans.spans}
    assert "quiet" not in keys


def test_a_context_goes_from_mqtt_to_amqp_with_spans(spans: Collector, channel: Any, mqtt: paho.Client) -> None:
    channel.queue_declare("alarms")
    channel.queue_bind("alarms", "amq.topic", "plant.*")
    mqtt.publish("plant/1", b"hot", qos=1, properties=traced(SAMPLED)).wait_for_publish(10)
    found = eventually(lambda: channel.basic_get("alarms", auto_ack=True)[1])
    assert found.headers["traceparent"] == SAMPLED
    assert found.headers["tracestate"] == "a=1,b=2"
    (published,) = eventually(lambda: spans.named("publish amq.topic"), timeout_s=20)
    assert attributes(published)["messaging.client.id"] == "sensor"
    assert published.parent_span_id.hex() == PARENT


def test_a_context_goes_from_amqp_to_mqtt(channel: Any, mqtt: paho.Client) -> None:
    got: list[Any] = []
    subscribed = Event()
    mqtt.on_subscribe = lambda *_: subscribed.set()
    mqtt.on_message = lambda _client, _data, message: got.append(message)
    mqtt.subscribe("orders/+")
    assert subscribed.wait(10)
    headers = {"traceparent": UNSAMPLED, "tracestate": "a=1"}
    channel.basic_publish("amq.topic", "orders.1", b"", pika.BasicProperties(headers=headers))
    (message,) = eventually(lambda: got)
    assert ("traceparent", UNSAMPLED) in message.properties.UserProperty
    assert ("tracestate", "a=1") in message.properties.UserProperty


def test_a_collector_that_is_away_stops_nothing(tmp_path: Path) -> None:
    running = HubbubServer(tmp_path, {"telemetry.endpoint": f"http://127.0.0.1:{free_port()}/v1/traces"})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", running.port)) as connection:
            channel = connection.channel()
            channel.queue_declare("q")
            channel.basic_publish("", "q", b"m", pika.BasicProperties(headers={"traceparent": SAMPLED}))
            assert eventually(lambda: channel.basic_get("q", auto_ack=True)[2]) == b"m"
        assert running.stop() == 0
    finally:
        running.kill()
