"""mosquitto_pub, mosquitto_sub and mosquitto_rr: the commands that everybody tries first."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mqtt_raw import Client
from tests.support.server import Server
from tests.support.skipping import skip_unless_ci

VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]


class Commands:
    """Runs the commands against a server; those that stay are ended with the test."""

    def __init__(self, server: Server) -> None:
        if shutil.which("mosquitto_sub") is None:
            skip_unless_ci("mosquitto_sub is not installed (Debian: mosquitto-clients)")
        self.server = server
        self.running: list[subprocess.Popen[bytes]] = []

    def _command(self, name: str, arguments: tuple[Any, ...]) -> list[str]:
        host, port = self.server.address
        return [f"mosquitto_{name}", "-h", host, "-p", str(port), *map(str, arguments)]

    def run(self, name: str, *arguments: Any, stdin: bytes = b"") -> bytes:
        done = subprocess.run(self._command(name, arguments), input=stdin, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, *arguments: Any) -> subprocess.Popen[bytes]:
        self.running.append(subprocess.Popen(self._command(name, arguments), stdout=subprocess.PIPE))
        return self.running[-1]


@pytest.fixture
def commands(mqtt_server: Server) -> Iterator[Commands]:
    made = Commands(mqtt_server)
    yield made
    for each in made.running:
        each.kill()
        each.wait()
        assert each.stdout is not None
        each.stdout.close()


def _await_subscriber(client: Client, topic: str, probe: bytes = b"probe") -> None:
    """Publish a retained probe: whoever subscribes, now or later, sees it first."""
    client().deliver(topic, probe, qos=1, retain=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_pub_and_sub(commands: Commands, client: Client, topic: str, version: str, qos: int) -> None:
    _await_subscriber(client, topic)
    subscriber = commands.start("sub", "-V", version, "-t", topic, "-q", qos, "-C", 4, "-F", "%q %p")
    assert subscriber.stdout is not None
    assert subscriber.stdout.readline() == b"%d probe\n" % min(qos, 1)
    commands.run("pub", "-V", version, "-t", topic, "-q", qos, "-l", stdin=b"1\n2\n3\n")
    output, _ = subscriber.communicate(timeout=20)

    assert output == b"".join(b"%d %d\n" % (qos, number) for number in (1, 2, 3))
    client().deliver(topic, b"", qos=1, retain=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_that_stays(commands: Commands, topic: str, version: str) -> None:
    session = ["-V", version, "-t", topic, "-q", 1, "-i", f"stays-{topic.replace('/', '-')}", "-c"]
    session += ["-x", 300] if version == "mqttv5" else []
    commands.run("sub", *session, "-E")
    commands.run("pub", "-t", topic, "-q", 1, "-m", "kept")

    assert commands.run("sub", *session, "-C", 1) == b"kept\n"


def test_request_and_response(commands: Commands, client: Client, topic: str) -> None:
    """mosquitto_rr asks in MQTT 5; a raw client answers where it is told to."""
    server = client(5)
    server.subscribe(topic, qos=1)
    asking = commands.start("rr", "-V", "mqttv5", "-t", topic, "-e", f"{topic}/answer", "-m", "question", "-q", 1)
    request = server.message()
    assert request.payload == b"question"
    where = request.properties["response_topic"]
    correlation = {key: request.properties[key] for key in ("correlation_data",) if key in request.properties}
    server.deliver(where, b"answer", qos=1, properties=correlation)
    output, _ = asking.communicate(timeout=20)

    assert output == b"answer\n"


def test_a_will_of_a_killed_subscriber(commands: Commands, client: Client, topic: str) -> None:
    watcher = client()
    watcher.subscribe(f"{topic}/will", qos=1)
    _await_subscriber(client, topic)
    doomed = commands.start("sub", "-t", topic, "--will-topic", f"{topic}/will", "--will-payload", "killed")
    assert doomed.stdout is not None
    assert doomed.stdout.readline() == b"probe\n"
    doomed.kill()

    assert watcher.message().payload == b"killed"
    client().deliver(topic, b"", qos=1, retain=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_retained_message_and_its_end(commands: Commands, topic: str, version: str) -> None:
    commands.run("pub", "-V", version, "-t", topic, "-q", 1, "-r", "-m", "kept")
    assert commands.run("sub", "-V", version, "-t", topic, "-C", 1, "-F", "%r %p") == b"1 kept\n"

    commands.run("pub", "-V", version, "-t", topic, "-q", 1, "-r", "-n")

    commands.run("pub", "-V", version, "-t", f"{topic}/end", "-q", 1, "-r", "-m", "end")
    assert commands.run("sub", "-V", version, "-t", f"{topic}/#", "-C", 1) == b"end\n"
    commands.run("pub", "-V", version, "-t", f"{topic}/end", "-q", 1, "-r", "-n")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_member_of_a_group_that_stays(commands: Commands, topic: str, version: str) -> None:
    name = f"member-{topic.replace('/', '-')}"
    stays = ["-V", version, "-t", f"$share/group/{topic}", "-q", 1, "-c", *(["-x", 300] if version == "mqttv5" else [])]
    commands.run("sub", *stays, "-i", name, "-E")
    commands.run("pub", "-t", topic, "-q", 1, "-l", stdin=b"1\n2\n")

    heard = commands.run("sub", *stays, "-i", name, "-C", 2)

    assert heard == b"1\n2\n"


def test_properties_of_mqtt_5(commands: Commands, client: Client, topic: str) -> None:
    watcher = client(5)
    watcher.subscribe(topic, qos=1)
    said = ["content-type", "text/plain"], ["message-expiry-interval", 60], ["user-property", "k", "1"]
    options = [word for each in (*said, ["user-property", "k", "2"]) for word in ("-D", "publish", *each)]

    commands.run("pub", "-V", "mqttv5", "-t", topic, "-q", 1, "-m", "m", *options)

    found = watcher.message().properties
    assert (found["content_type"], found["user"]) == ("text/plain", [("k", "1"), ("k", "2")])
    assert found["message_expiry"] in (59, 60)
