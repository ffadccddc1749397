"""RabbitMQ's counters by protocol, dead letters by reason, logins: each moves when it should, and only then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from broker.management.attempts import LoginAttempts
from broker.management.metrics import exposition
from broker.mqtt.observed import Observed
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V31, V311, Filter
from tests.support.mqtt_peer import MqttPeer, MqttPeers
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import ObservedCore


def figures(server: ObservedCore, name: str) -> Mapping[str, float]:
    """Values other than 0 of a metric, by their labels."""
    found = re.findall(rf"^rabbitmq_{name}\{{(.*)\}} (\S+)$", exposition(server).decode(), re.M)
    assert found, name
    values = {labels.replace('"', ""): float(value) for labels, value in found}
    return {labels: value for labels, value in values.items() if value}


def of_protocols(server: ObservedCore, name: str) -> Mapping[str, float]:
    return {labels.removeprefix("protocol="): value for labels, value in figures(server, f"global_{name}").items()}


@pytest.fixture
def mqtt(server: ObservedCore) -> MqttPeers:
    peers = MqttPeers(server.core)
    server.observed_mqtt = Observed(peers.mqtt)
    return peers


def test_what_is_published_is_told_apart_by_protocol(server: ObservedCore, mqtt: MqttPeers, peer: Peer) -> None:
    peer.declare("q")
    peer.call("queue.bind", queue="q", exchange="amq.topic", routing_key="a.*")
    for _ in range(2):
        peer.publish("q", b"m")
    peer.publish("nowhere", b"m")
    for version in (V31, V311, V311, V5):
        client = mqtt.enter(f"client{version}", version=version)
        client.publish("a/b", qos=1)
        client.publish("a/b")
    client.publish("a/b", qos=2)
    client.ask(codec.ack(codec.PUBREL, 1))
    client.publish("nobody/wants/it")

    assert of_protocols(server, "messages_received_total") == {
        "amqp091": 3, "mqtt310": 2, "mqtt311": 4, "mqtt50": 4,
    }  # fmt: skip
    assert of_protocols(server, "messages_received_confirm_total") == {"mqtt310": 1, "mqtt311": 2, "mqtt50": 2}
    assert of_protocols(server, "messages_confirmed_total") == {"mqtt310": 1, "mqtt311": 2, "mqtt50": 2}
    assert of_protocols(server, "messages_routed_total") == {"amqp091": 2, "mqtt310": 2, "mqtt311": 4, "mqtt50": 3}
    assert of_protocols(server, "messages_unroutable_dropped_total") == {"amqp091": 1, "mqtt50": 1}
    assert of_protocols(server, "publishers") == {"amqp091": 1, "mqtt310": 1, "mqtt311": 1, "mqtt50": 1}


def test_what_is_published_in_the_read_of_connect_is_mqtts(server: ObservedCore, mqtt: MqttPeers, peer: Peer) -> None:
    eager = MqttPeer(mqtt, V311, "127.0.0.1:1")
    eager.feed(codec.connect(V311, "eager") + codec.publish(V311, "a/b", b"1"))
    eager.feed(codec.publish(V311, "a/b", b"2") + codec.disconnect(V311))
    peer.publish("nowhere", b"m")

    assert of_protocols(server, "messages_received_total") == {"amqp091": 1, "mqtt311": 2}


def test_what_is_delivered_is_told_apart_by_protocol_and_kind_of_queue(
    server: ObservedCore, mqtt: MqttPeers, peer: Peer
) -> None:
    peer.declare("q")
    peer.publish("q", b"m")
    peer.publish("q", b"m")
    peer.send("basic.get", queue="q", no_ack=True)
    peer.consume("q", no_ack=True)
    subscriber = mqtt.enter("subscriber", version=V311)
    subscriber.subscribe(Filter("a/#", 1))
    publisher = mqtt.enter("publisher", version=V5)
    publisher.publish("a/b", qos=1)
    publisher.publish("a/b")
    (first, second) = [each for each in subscriber.heard() if each.name == "publish"]
    assert {first.qos, second.qos} == {0, 1}
    subscriber.ask(codec.ack(codec.PUBACK, max(first.packet_id or 0, second.packet_id or 0)))

    classic, direct = "queue_type=rabbit_classic_queue", "queue_type=rabbit_mqtt_qos0_queue"
    assert of_protocols(server, "messages_delivered_total") == {
        f"amqp091,{classic}": 2, f"mqtt311,{classic}": 1, f"mqtt311,{direct}": 1,
    }  # fmt: skip
    assert of_protocols(server, "messages_delivered_consume_auto_ack_total") == {
        f"amqp091,{classic}": 1, f"mqtt311,{direct}": 1,
    }  # fmt: skip
    assert of_protocols(server, "messages_delivered_consume_manual_ack_total") == {f"mqtt311,{classic}": 1}
    assert of_protocols(server, "messages_delivered_get_auto_ack_total") == {f"amqp091,{classic}": 1}
    assert of_protocols(server, "messages_acknowledged_total") == {f"mqtt311,{classic}": 1}
    assert of_protocols(server, "consumers") == {"amqp091": 1, "mqtt311": 1}
    subscriber.feed(codec.disconnect(V311))  # its session, and its queue, end
    assert of_protocols(server, "messages_delivered_consume_manual_ack_total") == {f"mqtt311,{classic}": 1}


@pytest.mark.parametrize("strategy", ["at_most_once", "disabled"])
def test_dead_letters_are_counted_by_reason(server: ObservedCore, core: Core, peer: Peer, strategy: str) -> None:
    dead: Any = {"dead_letter_exchange": "amq.fanout"} if strategy == "at_most_once" else {}
    peer.declare("short", max_length=1, **dead)
    peer.declare("brief", message_ttl=10, **dead)
    peer.declare("plain", **dead)
    peer.declare("once", delivery_limit=1, **dead)
    for _ in range(3):
        peer.publish("short", b"m")
    for name in ("brief", "plain", "once"):
        peer.publish(name, b"m")
    core.pass_ms(20)
    peer.consume("plain")
    peer.send("basic.reject", delivery_tag=1, requeue=False)
    peer.consume("once", "again")
    for tag in (2, 3):
        peer.send("basic.reject", delivery_tag=tag, requeue=True)

    labels = f"dead_letter_strategy={strategy},queue_type=rabbit_classic_queue"
    found = {
        reason: dict(figures(server, f"global_messages_dead_lettered_{reason}_total"))
        for reason in ("maxlen", "expired", "rejected", "delivery_limit")
    }
    assert found == {
        "maxlen": {labels: 2}, "expired": {labels: 1}, "rejected": {labels: 1}, "delivery_limit": {labels: 1},
    }  # fmt: skip


def test_logins_are_counted_by_protocol_and_by_who_tried(server: ObservedCore, core: Core) -> None:
    server.attempts = LoginAttempts()
    core.broker.events.login_watcher = server.attempts.watch
    core.connect()
    core.broker.events.attempted("MQTT 5", "192.0.2.1", "eve", False)
    core.broker.events.attempted("MQTT 5", "192.0.2.1", "eve", False)

    assert figures(server, "auth_attempts_total") == {"protocol=amqp091": 1, "protocol=mqtt": 2}
    assert figures(server, "auth_attempts_succeeded_total") == {"protocol=amqp091": 1}
    assert figures(server, "auth_attempts_failed_total") == {"protocol=mqtt": 2}


def test_the_alarm_of_descriptors_stands_while_nobody_is_accepted(server: ObservedCore) -> None:
    assert "rabbitmq_alarms_file_descriptor_limit 0.0" in exposition(server).decode()
    server.accepting = False
    assert "rabbitmq_alarms_file_descriptor_limit 1.0" in exposition(server).decode()
