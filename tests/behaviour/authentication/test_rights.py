"""Rights on sockets: a change reaches what is connected, failed logins are slowed down, topics are what they are."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pika
import pika.exceptions
import pytest

from tests.support import mqtt_codec as codec
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances
from tests.support.mqtt_raw import MqttRaw
from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.skipping import skip_unless_ci

pytestmark = pytest.mark.hubbub_only
BOSS = "Basic " + base64.b64encode(b"guest:guest").decode()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    settings: dict[str, object] = {"metrics.port": free_port(), "login_failures.wait_first_ms": 30_000}
    running = server_with_entrances(tmp_path_factory.mktemp("rights"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def ask(broker: HubbubServer, method: str, path: str, body: Any = None) -> int:
    """The HTTP API, as an administrator; the status."""
    url = f"http://{HOST}:{broker.settings['management.port']}/api/{path}"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Authorization", BOSS)
    with urllib.request.urlopen(request, timeout=10) as answer:
        status: int = answer.status
        return status


def make_user(broker: HubbubServer, name: str) -> None:
    ask(broker, "PUT", f"users/{name}", {"password": name, "tags": "management"})
    ask(broker, "PUT", f"permissions/%2F/{name}", {"configure": ".*", "write": ".*", "read": ".*"})


def mqtt(broker: HubbubServer, name: str, version: int = codec.V5) -> MqttRaw:
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), version)
    assert raw.connect(user=name, password=name.encode()).reason == 0
    return raw


def amqp(broker: HubbubServer, name: str) -> pika.BlockingConnection:
    return connect(f"amqp://{name}:{name}@{HOST}:{broker.port}/%2F")


def test_connections_of_a_deleted_user_end_over_every_protocol(broker: HubbubServer) -> None:
    make_user(broker, "leaver")
    rabbit, five, three = amqp(broker, "leaver"), mqtt(broker, "leaver"), mqtt(broker, "leaver", codec.V311)
    assert ask(broker, "DELETE", "users/leaver") == 204

    assert [(each.name, each.reason) for each in five.until_closed()] == [("disconnect", 0x98)]
    assert three.until_closed() == []
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        rabbit.process_data_events(time_limit=10)
    assert (closed.value.reply_code, "is deleted" in closed.value.reply_text) == (320, True)
    for entrance in ENTRANCES:
        with pytest.raises(RefusedError):
            enter(broker, entrance, "leaver", "leaver")


def test_a_topic_permission_set_over_http_holds_for_clients_that_are_connected(broker: HubbubServer) -> None:
    make_user(broker, "narrow")
    listener, client = mqtt(broker, "guest"), mqtt(broker, "narrow")
    listener.subscribe("free/#", "shut/#")
    channel = amqp(broker, "narrow").channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "free.1", b"amqp")
    client.deliver("shut/1", b"mqtt", qos=1)
    assert sorted(each.payload for each in listener.messages(2)) == [b"amqp", b"mqtt"]

    body = {"exchange": "amq.topic", "write": r"^free\.", "read": r"^free\."}
    ask(broker, "PUT", "topic-permissions/%2F/narrow", body)
    assert client.subscribe("free/+", "shut/+").reasons == (0, 0x87)
    packet_id = client.publish("shut/2", b"m", qos=1)
    refused = client.expect(codec.PUBACK)
    assert (refused.packet_id, refused.reason) == (packet_id, 0x87)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_publish("amq.topic", "shut.2", b"m")
    assert closed.value.reply_code == 403
    listener.nothing()


def test_mosquittos_clients_get_what_the_rules_allow(broker: HubbubServer) -> None:
    program = shutil.which("mosquitto_sub")
    if program is None:
        skip_unless_ci("mosquitto_sub is not installed (Debian: mosquitto-clients)")
    make_user(broker, "ruled")
    rules = [
        {"permission": "allow", "action": "subscribe", "topic": "devices/%c/#", "user": "ruled"},
        {"permission": "deny", "topic": "devices/#", "user": "ruled"},
    ]
    ask(broker, "PUT", "hubbub/mqtt/acls/%2F", {"rules": rules})
    mqtt(broker, "guest").deliver("devices/lamp/state", b"on", qos=1, retain=True)
    common = [program, "-h", HOST, "-p", str(broker.settings["mqtt.port"]), "-u", "ruled", "-P", "ruled", "-i", "lamp"]
    mine = subprocess.run(
        [*common, "-t", "devices/lamp/#", "-C", "1", "-W", "10"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (mine.returncode, mine.stdout) == (0, "on\n")
    others = subprocess.run(
        [*common, "-t", "devices/door/#", "-C", "1", "-W", "5"], capture_output=True, text=True, timeout=30, check=False
    )
    assert others.stdout == ""
    assert "denied" in (others.stdout + others.stderr).lower()


def test_failed_logins_count_together_over_every_protocol(broker: HubbubServer) -> None:
    make_user(broker, "guessed")
    for entrance in (*ENTRANCES, "amqp"):
        with pytest.raises(RefusedError):
            enter(broker, entrance, "guessed", "wrong")
    for entrance in ENTRANCES:
        with pytest.raises(RefusedError) as refused:
            enter(broker, entrance, "guessed", "guessed")
        if entrance != "amqp":  # whose clients are sent to the log
            assert "too often" in str(refused.value)
    url = f"http://{HOST}:{broker.settings['metrics.port']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    assert "hubbub_logins_throttled_total 4.0" in text
