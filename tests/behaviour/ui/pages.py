"""Every page of the UI by its place, and a broker in which each has something to show."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import quote

import paho.mqtt.client as mqtt
import pika
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.server import HOST, HubbubServer
from tests.support.web_ui import login

PAGES = [
    "overview", "node", "connections", "channels", "exchanges", "graph", "queues", "consumers", "ledger", "sessions",
    "subscriptions", "subscriptions?as=tree", "retained", "acls", "socket", "explain", "trace", "users", "vhosts",
    "policies", "definitions",
]  # fmt: skip
TIMEOUT_S = 10


class Furnished(NamedTuple):
    """What was put in."""

    pages: list[str]
    """Places of single objects."""


def ask(broker: HubbubServer, method: str, path: str, body: Any = None) -> Any:
    """The HTTP API, as the administrator."""
    request = urllib.request.Request(
        f"http://{HOST}:{broker.settings['management.port']}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={**login(), "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def place(*names: str) -> str:
    """Names in a path."""
    return "/".join(quote(each, safe="") for each in names)


@contextmanager
def furnished(broker: HubbubServer, name: str = "furnished", topic: str = "furnished/topic") -> Iterator[Furnished]:
    """One of everything, called `name` wherever a client may call things as it likes."""
    parameters = pika.ConnectionParameters(*broker.address, client_properties={"connection_name": name, name: name})
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.exchange_declare(name, "topic")
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": name, "x-max-length": 100})
    channel.queue_bind(name, name, name, arguments={name: name})
    ask(broker, "PUT", f"vhosts/{place(name)}", {"description": name, "tags": [name.replace(",", "")]})
    ask(broker, "PUT", f"users/{place(name)}", {"password": "secret", "tags": "monitoring"})
    ask(broker, "PUT", f"permissions/{place('/', name)}", {"configure": "^a", "write": ".*", "read": ".*"})
    ask(broker, "PUT", f"topic-permissions/{place('/', name)}", {"exchange": name, "write": "^a", "read": ".*"})
    ask(broker, "PUT", f"user-limits/{place(name)}/max-connections", {"value": 10})
    ask(broker, "PUT", f"vhost-limits/{place(name)}/max-queues", {"value": 10})
    definition = {"max-length": 100_000, "dead-letter-exchange": name}
    for kind in ("policies", "operator-policies"):
        wanted = definition if kind == "policies" else {"max-length": 100_000}
        rule = {"pattern": "^furnish", "definition": wanted, "priority": 1, "apply-to": "queues"}
        ask(broker, "PUT", f"{kind}/{place('/', name)}", rule)
    ask(
        broker,
        "POST",
        "hubbub/mqtt/acls/%2F",
        {"permission": "deny", "action": "publish", "topic": name.replace("#", "").replace("+", ""), "user": name},
    )
    trace = ask(broker, "POST", "hubbub/traces", {"vhost": "/", "exchange": name, "messages_max": 10, "seconds": 60})
    headers = pika.BasicProperties(headers={name: name}, content_type=name[:200], message_id=name[:200])
    for _ in range(3):
        channel.basic_publish(name, name, name.encode(), headers)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(name, lambda *_: None, consumer_tag=name[:200])
    client = subscriber(broker, name, topic)
    client.publish(topic, name.encode(), 1, retain=True).wait_for_publish(TIMEOUT_S)
    peer = f"{quote(connection_of(broker, name), safe='')}"
    try:
        yield Furnished(
            [
                f"queue/{place('/', name)}", f"exchange/{place('/', name)}", "exchange/%2F/", f"user/{place(name)}",
                f"vhost/{place(name)}", f"session/{place('/', name)}", f"connection/{peer}",
                f"channel/{peer}{quote(' (1)')}", f"traced/{trace['id']}",
                f"explain?exchange={place(name)}&key={place(name)}",
                f"explain?topic={place(topic)}&client={place(name)}",
            ]
        )  # fmt: skip
    finally:
        client.publish(topic, b"", 1, retain=True).wait_for_publish(TIMEOUT_S)
        client.disconnect()
        client.loop_stop()
        channel.queue_delete(name)
        channel.exchange_delete(name)
        connection.close()
        ask(broker, "PUT", "hubbub/mqtt/acls/%2F", {"rules": []})
        ask(broker, "DELETE", f"hubbub/traces/{trace['id']}")
        for path in (f"policies/{place('/', name)}", f"operator-policies/{place('/', name)}", f"users/{place(name)}"):
            ask(broker, "DELETE", path)
        ask(broker, "DELETE", f"vhosts/{place(name)}")


def subscriber(broker: HubbubServer, client_id: str, topic: str) -> mqtt.Client:
    """A client of MQTT 5 with that identifier, subscribed to the topic."""
    subscribed = Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda each, *_: each.subscribe(topic, 1)
    client.connect(HOST, int(str(broker.settings["mqtt.port"])))
    client.loop_start()
    assert subscribed.wait(TIMEOUT_S)
    return client


def connection_of(broker: HubbubServer, name: str) -> str:
    """The API's name of the connection that calls itself so."""
    found = ask(broker, "GET", "connections")
    names = [each["name"] for each in found if each["client_properties"].get("connection_name") == name]
    assert names
    return str(names[0])
