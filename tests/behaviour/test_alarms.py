"""One memory budget for all: publishers of every protocol wait in their protocol's words, and consumers drain."""

from __future__ import annotations

import base64
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import mqtt_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.mqtt_codec import V5
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only
BODY = b"x" * 100_000
BUDGET = 1024 * 1024


class Broker(HubbubServer):
    """With a small budget."""

    def __init__(self, directory: Path) -> None:
        ports = {f"{name}.port": free_port() for name in ("mqtt", "websocket", "management", "metrics")}
        addresses = {f"{name}.address": HOST for name in ("mqtt", "websocket")}
        limits = {"memory.messages_bytes_max": BUDGET, "limits.output_high_bytes": 65536}
        super().__init__(directory, {**ports, **addresses, **limits})
        self.mqtt: tuple[str, int] = (HOST, ports["mqtt.port"])

    def url(self, listener: str, path: str, scheme: str = "http") -> str:  # type: ignore[override]
        return f"{scheme}://{HOST}:{self.settings[f'{listener}.port']}{path}"

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url("management", path), data)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def publish(self) -> tuple[int, Any]:
        """One message over HTTP."""
        message = {"properties": {}, "routing_key": "full", "payload": "over HTTP", "payload_encoding": "string"}
        return self.ask("/api/exchanges/%2F/amq.default/publish", message)

    def alarm(self) -> bool:
        return self.ask("/health/ready")[0] == 503

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(self.url("metrics", "/metrics"), timeout=10) as answer:
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        return float(lines[name])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with serving(Broker(tmp_path)) as running:
        eventually(lambda: "is ready" in running.log)
        yield running


def heard_nothing(client: MqttRaw) -> bool:
    """Whether no packet is there."""
    client.socket.setblocking(False)
    try:
        client.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        client.socket.settimeout(client.timeout_s)
    return False


async def test_every_protocol_is_told_and_consumers_drain(broker: Broker) -> None:
    amqp = RawConnection(broker.address)
    amqp.open()
    amqp.open_channel()
    amqp.rpc("queue.declare", queue="full")
    mqtt = MqttRaw(broker.mqtt, V5)
    mqtt.connect()
    assert mqtt.deliver("t", b"", qos=1) is not None  # from now on it is a publisher
    for _ in range(12):
        amqp.publish("", "full", BODY)
    reason = amqp.expect("connection.blocked").fields["reason"]
    assert "memory" in reason

    assert broker.alarm()
    mqtt.publish("t", b"waits", qos=1)
    status, said = broker.publish()
    assert (status, said["error"], said["reason"]) == (429, "blocked", f"publishing is blocked: {reason}")
    async with aiohttp.ClientSession() as session:
        native = await session.ws_connect(broker.url("websocket", "/hubbub", "ws"))
        await native.send_json({"type": "hello", "user": "guest", "password": "guest", "version": 1})
        assert (await native.receive_json())["type"] == "welcome"
        await native.send_json({"type": "publish", "id": 1, "queue": "full", "body": "over WebSocket"})
        refused = await native.receive_json()
        assert (refused["type"], refused["code"]) == ("error", "unavailable")
        assert heard_nothing(mqtt)

        consumer = RawConnection(broker.address)
        consumer.open()
        consumer.open_channel()
        consumer.rpc("basic.consume", queue="full", no_ack=True)
        assert [consumer.expect("basic.deliver").body for _ in range(12)] == [BODY] * 12
        amqp.expect("connection.unblocked")
        assert mqtt.expect(codec.PUBACK).reason in (0, 0x10)
        assert broker.publish() == (200, {"routed": True})
        await native.send_json({"type": "publish", "id": 2, "queue": "full", "body": "over WebSocket"})
        assert (await native.receive_json())["type"] == "accepted"
    assert not broker.alarm()


def test_a_slow_consumer_is_visible_and_bounded(broker: Broker) -> None:
    slow = RawConnection(broker.address)
    slow.open()
    slow.open_channel()
    slow.rpc("queue.declare", queue="slow")
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.send("basic.consume", queue="slow", no_ack=True)
    publisher = RawConnection(broker.address)
    publisher.open()
    publisher.open_channel()
    for _ in range(400):  # 40 MB, of which sockets' buffers take some
        publisher.publish("", "slow", BODY)
        if broker_is_slow(broker):
            break
    pending = broker.metric("hubbub_output_pending_bytes")

    rows = [each for each in broker.ask("/api/connections")[1] if each["hubbub"]["is_slow"]]
    assert [each["peer_port"] for each in rows] == [slow.socket.getsockname()[1]]
    assert 65536 < rows[0]["send_pend"] <= 65536 + 2 * len(BODY)
    assert 65536 < pending <= 65536 + 2 * len(BODY)
    slow.close()
    eventually(lambda: broker.metric("hubbub_connections_slow") == 0)


def broker_is_slow(broker: Broker) -> bool:
    return broker.metric("hubbub_connections_slow") == 1


def test_a_blocked_mqtt_publisher_is_not_taken_for_dead(broker: Broker) -> None:
    amqp = RawConnection(broker.address)
    amqp.open()
    amqp.open_channel()
    amqp.rpc("queue.declare", queue="full")
    mqtt = MqttRaw(broker.mqtt, V5, timeout_s=20)
    mqtt.connect(keep_alive=1)
    mqtt.deliver("t", b"", qos=1)
    for _ in range(12):
        amqp.publish("", "full", BODY)
    amqp.expect("connection.blocked")
    mqtt.publish("t", b"waits", qos=1)
    blocked_at = time.monotonic()
    eventually(lambda: time.monotonic() - blocked_at > 3, what="twice its keep-alive, and more")

    amqp.rpc("queue.purge", queue="full")
    assert mqtt.expect(codec.PUBACK).reason in (0, 0x10)
