"""What an administrator changes reaches who is connected, in each protocol's own words.

    change                    AMQP            MQTT 5   MQTT 3.1.1   WebSocket          HTTP API and UI
    user deleted              320             0x98     closed       refused, 1008      401
    vhost deleted             320             0x98     closed       refused, 1008      404
    no permission any more    403             0x87     closed       refused, 1008      401
    topic not to be written   403 (channel)   0x87     dropped      refused            –
    closed by its name        320             0x98     closed       refused, 1008      –
    password, limit           stays           stays    stays        stays              401; stays
    tags taken away           stays           stays    stays        stays              401

A user's token that expires is `test_oauth.py`'s.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.amqp_raw import RawConnection
from tests.support.entrances import server_with_entrances
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw, PeerClosedError
from tests.support.native_raw import NativeRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer

pytestmark = pytest.mark.hubbub_only
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = server_with_entrances(tmp_path_factory.mktemp("live"), {})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


def ask(broker: HubbubServer, method: str, path: str, body: Any = None, login: str = "guest:guest") -> int:
    """The HTTP API's status."""
    url = f"http://{HOST}:{broker.settings['management.port']}/api/{path}"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class Live:
    """A session of the user, who may do everything in a vhost of its own; both have the same name."""

    def __init__(self, broker: HubbubServer, name: str) -> None:
        self.broker, self.name = broker, name
        self.open()

    def open(self) -> None: ...

    def told(self) -> str:
        """What is heard of its own accord, or when something is published to `topic`."""
        raise NotImplementedError

    def close(self) -> None: ...


class Amqp(Live):
    def open(self) -> None:
        self.raw = RawConnection(self.broker.address)
        self.raw.start()
        self.raw.start_ok(user=self.name, password=self.name)
        self.raw.tune_ok()
        self.raw.rpc("connection.open", virtual_host=self.name)
        self.raw.open_channel()
        self.raw.rpc("confirm.select")

    def told(self) -> str:
        self.raw.publish("amq.topic", "topic", b"m")
        method = self.raw.read_method()
        if method.name == "basic.ack":
            return "stays"
        kind = "channel " if method.name == "channel.close" else ""
        return f"{kind}{method.fields['reply_code']} {method.fields['reply_text']}"

    def close(self) -> None:
        self.raw.close()


class Mqtt(Live):
    version = V5

    def open(self) -> None:
        self.raw = MqttRaw((HOST, int(str(self.broker.settings["mqtt.port"]))), self.version)
        assert self.raw.connect(user=f"{self.name}:{self.name}", password=self.name.encode()).reason == 0

    def told(self) -> str:
        try:
            self.raw.publish("topic", b"m", qos=1)
            packet = self.raw.receive()
        except (OSError, PeerClosedError):
            return "closed"
        if packet.name == "puback":
            return "stays" if packet.reason in (0, 0x10) else f"puback {packet.reason:#x}"
        return f"{packet.name} {packet.reason:#x}"

    def close(self) -> None:
        self.raw.close()


class Mqtt3(Mqtt):
    version = V311


class Native(Live):
    def open(self) -> None:
        address = (HOST, int(str(self.broker.settings["websocket.port"])))
        self.raw = NativeRaw(address, user=self.name, password=self.name, vhost=self.name)

    def told(self) -> str:
        self.raw.say(type="publish", id=1, topic="topic", body="m")
        heard = self.raw.receive()
        if heard["type"] == "accepted":
            return "stays"
        return f"{heard['type']} {heard.get('code')}"

    def close(self) -> None:
        self.raw.close()


class Http(Live):
    def told(self) -> str:
        status = ask(self.broker, "GET", f"queues/{self.name}", login=f"{self.name}:{self.name}")
        return "stays" if status == 200 else str(status)


PROTOCOLS: dict[str, type[Live]] = {"amqp": Amqp, "mqtt5": Mqtt, "mqtt3": Mqtt3, "websocket": Native, "http": Http}
Change = Callable[[HubbubServer, str], int]
CHANGES: dict[str, Change] = {
    "user deleted": lambda broker, name: ask(broker, "DELETE", f"users/{name}"),
    "vhost deleted": lambda broker, name: ask(broker, "DELETE", f"vhosts/{name}"),
    "no permission": lambda broker, name: ask(broker, "DELETE", f"permissions/{name}/{name}"),
    "topic permission": lambda broker, name: ask(
        broker, "PUT", f"topic-permissions/{name}/{name}", {"exchange": "amq.topic", "write": "^no$", "read": ".*"}
    ),
    "rule": lambda broker, name: ask(
        broker,
        "PUT",
        f"hubbub/mqtt/acls/{name}",
        {"rules": [{"permission": "deny", "topic": "topic", "action": "publish"}]},
    ),
    "password": lambda broker, name: ask(broker, "PUT", f"users/{name}", {"password": "another", "tags": "management"}),
    "closed": lambda broker, name: ask(broker, "DELETE", f"connections/username/{name}"),
    "tags": lambda broker, name: ask(broker, "PUT", f"users/{name}", {"password": name, "tags": ""}),
    "limit": lambda broker, name: ask(broker, "PUT", f"user-limits/{name}/max-connections", {"value": 0}),
}
STAYS = dict.fromkeys(PROTOCOLS, "stays")
EXPECTED: dict[str, dict[str, str]] = {
    "user deleted": {
        "amqp": "320 CONNECTION_FORCED - user '{name}' is deleted",
        "mqtt5": "disconnect 0x98",
        "mqtt3": "closed",
        "websocket": "error refused",
        "http": "401",
    },
    "vhost deleted": {
        "amqp": "320 CONNECTION_FORCED - vhost '{name}' is deleted",
        "mqtt5": "disconnect 0x98",
        "mqtt3": "closed",
        "websocket": "error refused",
        "http": "404",
    },
    "no permission": {
        "amqp": "403 ACCESS_REFUSED - access to vhost '{name}' refused for user '{name}'",
        "mqtt5": "disconnect 0x87",
        "mqtt3": "closed",
        "websocket": "error refused",
        "http": "401",
    },
    "closed": {
        "amqp": "320 CONNECTION_FORCED - Closed via management plugin",
        "mqtt5": "disconnect 0x98",
        "mqtt3": "closed",
        "websocket": "error refused",
        "http": "stays",
    },
    "topic permission": {
        **STAYS,
        "amqp": "channel 403 ACCESS_REFUSED - access to topic 'topic' in exchange 'amq.topic' in vhost '{name}' "
        "refused for user '{name}'",
        "mqtt5": "puback 0x87",
        "websocket": "error refused",
    },
    "password": {**STAYS, "http": "401"},
    "tags": {**STAYS, "http": "401"},
    "limit": STAYS,
}
EXPECTED["rule"] = EXPECTED["topic permission"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reaches_who_is_connected(broker: HubbubServer, change: str, protocol: str) -> None:
    name = f"{change}-{protocol}".replace(" ", "-")
    assert ask(broker, "PUT", f"vhosts/{name}", {}) == 201
    assert ask(broker, "PUT", f"users/{name}", {"password": name, "tags": "management"}) == 201
    assert ask(broker, "PUT", f"permissions/{name}/{name}", ALL) == 201
    session = PROTOCOLS[protocol](broker, name)
    assert session.told() == "stays"

    assert CHANGES[change](broker, name) in (201, 204)

    assert session.told() == EXPECTED[change][protocol].format(name=name)
    session.close()
