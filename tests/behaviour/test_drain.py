"""How the broker goes: not ready at once, everybody told in its own words, nothing accepted lost, exit 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pika
import pytest

from tests.support import mqtt_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.mqtt_codec import V5, V311, Will
from tests.support.mqtt_raw import MqttRaw
from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, REPOSITORY, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only
SERVER_SHUTTING_DOWN = 0x8B
WILL_DELAY, SESSION_EXPIRY = "will_delay", "session_expiry"


class Broker(HubbubServer):
    """With every port."""

    def __init__(self, directory: Path) -> None:
        ports = {f"{name}.port": free_port() for name in ("mqtt", "websocket", "management")}
        addresses = {f"{name}.address": HOST for name in ("mqtt", "websocket")}
        super().__init__(directory, {**ports, **addresses, "drain_after_s": 0})
        self.mqtt: tuple[str, int] = (HOST, ports["mqtt.port"])
        self.api = f"http://{HOST}:{ports['management.port']}"
        self.websocket = f"ws://{HOST}:{ports['websocket.port']}"

    def probe(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a probe."""
        try:
            with urllib.request.urlopen(f"{self.api}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def hubbub(self, *arguments: str) -> subprocess.Popen[str]:
        """An operator's command."""
        return subprocess.Popen(
            [sys.executable, "-m", "broker", *arguments],
            env={**os.environ, "HUBBUB_URL": self.api, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    running.start()
    eventually(lambda: "is ready" in running.log)
    try:
        yield running
        running.assert_clean()
    finally:
        running.kill()


def test_the_probes_cost_one_cheap_get_without_a_login(broker: Broker) -> None:
    for probe in ("live", "ready", "startup", "serving"):
        assert broker.probe(f"/health/{probe}") == (200, {"status": "ok"})


async def test_sigterm_tells_every_client_in_its_own_words(broker: Broker) -> None:
    amqp = RawConnection(broker.address)
    amqp.open()
    mqtt5, mqtt3 = MqttRaw(broker.mqtt, V5), MqttRaw(broker.mqtt, V311)
    mqtt5.connect()
    mqtt3.connect()
    async with aiohttp.ClientSession() as session:
        native = await session.ws_connect(f"{broker.websocket}/hubbub")
        await native.send_json({"type": "hello", "user": "guest", "password": "guest", "version": 1})
        assert (await native.receive_json())["type"] == "welcome"
        carried = await session.ws_connect(f"{broker.websocket}/ws", protocols=["mqtt"])
        await carried.send_bytes(codec.connect(V5, "carried"))
        assert (await carried.receive_bytes())[0] >> 4 == codec.CONNACK
        assert broker.process is not None
        broker.process.send_signal(signal.SIGTERM)

        closing = amqp.expect("connection.close").fields
        assert closing["reply_code"] == 320
        assert closing["reply_text"] == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        amqp.send("connection.close-ok")
        said = mqtt5.until_closed()
        assert [(each.kind, each.reason) for each in said] == [(codec.DISCONNECT, SERVER_SHUTTING_DOWN)]
        assert mqtt3.until_closed() == []
        assert (await native.receive()).type == aiohttp.WSMsgType.CLOSE
        assert native.close_code == 1001
        last = codec.read_packet(V5, await carried.receive_bytes())
        assert last is not None
        assert last[0].reason == SERVER_SHUTTING_DOWN
        assert (await carried.receive()).type == aiohttp.WSMsgType.CLOSE
        assert carried.close_code == 1001
    assert broker.wait() == 0


def test_what_was_accepted_is_there_after_a_drain(broker: Broker) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("kept", durable=True)
    for number in range(100):
        channel.basic_publish("", "kept", str(number).encode(), pika.BasicProperties(delivery_mode=2))
    channel.basic_get("kept")  # and not acknowledged
    command = broker.hubbub("drain")
    said = command.communicate(timeout=30)[0].splitlines()

    assert command.returncode == 0, said
    assert said == ["draining: it stops in 0 s; 1 connections", "it has stopped"]
    assert broker.wait() == 0
    broker.start()
    again = connect(broker.url).channel()
    assert again.queue_declare("kept", passive=True).method.message_count == 100


def test_while_it_drains_it_serves_and_is_not_ready(broker: Broker) -> None:
    command = broker.hubbub("drain", "--after", "60", "--no-wait")
    assert command.communicate(timeout=30)[0] == "draining: it stops in 60 s; 0 connections\n"

    assert broker.probe("/health/ready") == (503, {"status": "draining"})
    assert broker.probe("/health/live")[0] == broker.probe("/health/startup")[0] == 200
    newcomer = connect(broker.url)
    newcomer.channel().queue_declare("served", exclusive=True)
    newcomer.close()
    assert broker.process is not None
    broker.process.send_signal(signal.SIGTERM)  # the second word: now
    assert broker.wait() == 0


def test_the_grace_of_a_drain_ends_by_itself(broker: Broker) -> None:
    began = time.monotonic()
    command = broker.hubbub("drain", "--after", "0.5")

    assert command.wait(30) == 0
    assert time.monotonic() - began >= 0.5
    assert broker.wait() == 0


def test_a_will_without_a_delay_is_published_by_the_stop_and_one_with_a_delay_waits_for_its_client(
    broker: Broker,
) -> None:
    hears = MqttRaw(broker.mqtt, V5)
    hears.connect("hears", clean=False, properties={SESSION_EXPIRY: 3600})
    hears.subscribe("wills/#", qos=1)
    for name, delay_s in (("plain", 0), ("back", 600), ("late", 1)):
        client = MqttRaw(broker.mqtt, V5)
        properties = {WILL_DELAY: delay_s} if delay_s else {}
        will = Will(f"wills/{name}", name.encode(), qos=1, properties=properties)
        client.connect(name, clean=False, will=will, properties={SESSION_EXPIRY: 3600})
    assert broker.stop() == 0
    broker.start()
    eventually(lambda: broker.log.count("is ready") == 2)
    back = MqttRaw(broker.mqtt, V5)
    assert back.connect("back", clean=False, properties={SESSION_EXPIRY: 3600}).reason == 0
    again = MqttRaw(broker.mqtt, V5)
    again.connect("hears", clean=False, properties={SESSION_EXPIRY: 3600})

    assert sorted(again.message().payload for _ in range(2)) == [b"late", b"plain"]
    again.nothing()
