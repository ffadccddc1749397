"""What fills the memory, each for itself: slow readers, retained messages and sessions, halves of what is published."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mqtt_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw
from tests.support.native_raw import NativeRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.websocket_frames import TEXT, frame

pytestmark = pytest.mark.hubbub_only
BUDGET = 2 * 1024 * 1024
BODY = b"x" * 100_000


class Broker(HubbubServer):
    """With a small budget, and little patience."""

    def __init__(self, directory: Path) -> None:
        ports = {f"{name}.port": free_port() for name in ("mqtt", "websocket", "metrics")}
        addresses = {f"{name}.address": HOST for name in ("mqtt", "websocket")}
        limits = {
            "memory.messages_bytes_max": BUDGET,
            "limits.begun_stalled_ms": 1_000,
            "limits.output_high_bytes": 500_000,
        }
        super().__init__(directory, {**ports, **addresses, **limits})
        self.mqtt: tuple[str, int] = (HOST, ports["mqtt.port"])
        self.websocket: tuple[str, int] = (HOST, ports["websocket.port"])

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{HOST}:{self.settings['metrics.port']}/metrics", timeout=10) as answer:
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        return {name: float(value) for name, value in lines.items()}

    def part(self, name: str) -> float:
        return self.metrics()[f'hubbub_memory_bytes{{part="{name}"}}']

    def is_blocked(self) -> bool:
        return self.metrics().get('hubbub_alarm{alarm="memory"}', 0) == 1


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with serving(Broker(tmp_path)) as running:
        eventually(lambda: "is ready" in running.log)
        yield running


def publisher(broker: Broker) -> RawConnection:
    connection = RawConnection(broker.address)
    connection.open()
    connection.open_channel()
    return connection


def small(raw: Any) -> Any:
    """A reader whose socket takes little."""
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return raw


def amqp_reader(broker: Broker) -> RawConnection:
    reader: RawConnection = small(publisher(broker))
    queue = reader.rpc("queue.declare", queue="", exclusive=True).fields["queue"]
    reader.rpc("queue.bind", queue=queue, exchange="amq.topic", routing_key="news")
    reader.send("basic.consume", queue=queue, no_ack=True)
    return reader


def mqtt_reader(broker: Broker) -> MqttRaw:
    reader: MqttRaw = small(MqttRaw(broker.mqtt, V5))
    reader.connect()
    reader.subscribe("news")
    return reader


def native_reader(broker: Broker) -> NativeRaw:
    reader: NativeRaw = small(NativeRaw(broker.websocket))
    reader.say(type="subscribe", id=1, topic="news", ack=False, credit=1000)
    reader.expect("subscribed")
    return reader


@pytest.mark.parametrize("make", [amqp_reader, mqtt_reader, native_reader], ids=["amqp", "mqtt", "websocket"])
def test_readers_that_take_nothing_are_cut_off_and_publishers_go_on(broker: Broker, make: Any) -> None:
    readers = [make(broker) for _ in range(6)]
    sender = publisher(broker)
    published = 0
    while not broker.is_blocked():
        assert published < 400, "they take it all"
        sender.publish("amq.topic", "news", BODY)
        published += 1
    sender.expect("connection.blocked")
    assert broker.part("output") > BUDGET / 2

    sender.expect("connection.unblocked")
    assert broker.metrics()["hubbub_connections_cut_for_memory_total"] >= 1
    assert "memory is short, and nothing moves here: cut off" in broker.log
    for reader in readers:
        reader.close()


def test_retained_messages_and_sessions_never_block_publishers(broker: Broker) -> None:
    client = MqttRaw(broker.mqtt, V5)
    client.connect()

    def retain(number: int) -> int:
        answer = client.deliver(f"kept/{number}", BODY, qos=1, retain=True)
        assert answer is not None
        return answer.reason

    refused = 0
    for number in range(60):
        refused += retain(number) == 0x97
        eventually(lambda: broker.metrics()["hubbub_memory_full_of_lasting"] == (broker.part("retained") > BUDGET / 2))
    assert refused >= 40
    assert not broker.is_blocked()
    assert BUDGET / 2 < broker.part("retained") < BUDGET / 2 + 5 * len(BODY)

    stored, three, fleeting = MqttRaw(broker.mqtt, V5), MqttRaw(broker.mqtt, V311), MqttRaw(broker.mqtt, V5)
    assert stored.connect("stored", clean=False, properties={"session_expiry": 100}).reason == 0x97
    assert three.connect("three", clean=False).reason == 3
    assert fleeting.connect("fleeting").reason == 0
    sender = publisher(broker)
    sender.rpc("queue.declare", queue="q")
    sender.publish("", "q", BODY)
    assert sender.rpc("basic.get", queue="q", no_ack=True).body == BODY

    for number in range(60):
        client.deliver(f"kept/{number}", b"", qos=1, retain=True)
    eventually(lambda: broker.metrics()["hubbub_memory_full_of_lasting"] == 0)
    assert retain(1) in (0, 0x10)
    again = MqttRaw(broker.mqtt, V5)
    assert again.connect("stored", clean=False, properties={"session_expiry": 100}).reason == 0
    for each in (client, fleeting, again):
        each.close()
    sender.close()


def amqp_half(broker: Broker) -> Any:
    half = publisher(broker)
    whole = half.encode_publish("amq.topic", "news", BODY * 5)
    half.send_bytes(whole[: len(whole) // 2])
    return half


def mqtt_half(broker: Broker) -> Any:
    half = MqttRaw(broker.mqtt, V5)
    half.connect()
    whole = codec.publish(V5, "news", BODY * 5)
    half.socket.sendall(whole[: len(whole) // 2])
    return half


def native_half(broker: Broker) -> Any:
    half = NativeRaw(broker.websocket)
    whole = frame(TEXT, b'{"type": "publish", "topic": "news", "body": "' + BODY * 5 + b'"}')
    half.socket.sendall(whole[: len(whole) // 2])
    return half


@pytest.mark.parametrize("make", [amqp_half, mqtt_half, native_half], ids=["amqp", "mqtt", "websocket"])
def test_halves_that_never_end_are_cut_off_and_publishers_go_on(broker: Broker, make: Any) -> None:
    sender = publisher(broker)
    halves = [make(broker) for _ in range(12)]  # half as much again as the budget
    eventually(broker.is_blocked, what="the halves count")
    sender.publish("", "nobody", b"x")
    sender.expect("connection.blocked")

    sender.expect("connection.unblocked")
    assert not broker.is_blocked()
    held = broker.part("incoming") + broker.part("gathered")
    assert held < BUDGET
    sender.close()
    for half in halves:
        half.close()
