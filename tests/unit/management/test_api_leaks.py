"""No endpoint tells what the user may not see: every GET route, asked by users of another vhost."""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import quote

import pytest

from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.core.traces import Filter
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, login

HIDDEN = "hidden"
"""A part of every name and text that the vhost has."""
NAMES = {
    "vhost": ["hidden-vhost", "open"],
    "name": ["hidden-queue", "hidden-exchange", "hidden-policy", "hidden-parameter", "CONNECTION", "CHANNEL"],
    "user": ["hidden-user", "guest"],
    "source": ["hidden-exchange", "amq.topic"],
    "exchange": ["hidden-exchange", "amq.topic"],
    "destination": ["hidden-queue"],
    "kind": ["q"],
    "properties": ["hidden-key"],
    "component": ["hidden-component"],
    "node": ["hubbub@localhost"],
    "client_id": ["hidden-client"],
    "topic": ["hidden-topic"],
    "within": ["1"],
    "number": ["1"],
    "unit": ["days"],
    "port": ["5672"],
    "protocol": ["amqp"],
    "password": ["any"],
}


def hide(core: Core) -> Peer:
    """One of everything, in a vhost of its own."""
    access = core.broker.access
    vhost = core.broker.add_vhost("hidden-vhost")
    core.broker.add_vhost("open")
    access.add_user("hidden-user", b"hidden", tags=("administrator",))
    for name in ("hidden-user", "guest"):
        access.set_permission("hidden-vhost", name, ".*", ".*", ".*")
    queue = vhost.declare_queue("hidden-queue", arguments={"x-hidden": "hidden-value"})
    exchange = vhost.declare_exchange("hidden-exchange", "topic")
    vhost.bind(exchange, queue, "queue", b"hidden-key", {})
    core.broker.traces.start(vhost, Filter(queue="hidden-queue"))
    core.broker.parameters.put("hidden-component", "hidden-vhost", "hidden-parameter", {"hidden": 1})
    core.broker.parameters.set_vhost_limit("hidden-vhost", "max-queues", 5)
    core.broker.parameters.set_user_limit("hidden-user", "max-channels", 5)
    vhost.retained.keep(Message(b"amq.topic", b"hidden-topic", encode_properties({}), b"hidden-payload"))
    peer = Peer(core)
    peer.handshake("hidden-vhost")
    peer.call("channel.open")
    peer.call("basic.consume", queue="hidden-queue", consumer_tag="hidden-tag")
    return peer


@pytest.mark.parametrize("tag", ["management", "policymaker"])
async def test_what_is_in_another_vhost_is_not_told(api: Api, client: Client, core: Core, tag: str) -> None:
    peer = hide(core)
    core.broker.access.add_user("outsider", b"secret", tags=(tag,))
    core.broker.access.set_permission("open", "outsider", ".*", ".*", ".*")
    paths = (await api.get("/api/hubbub/openapi.json"))["paths"]
    connection = f"{peer.connection.peer} -> {peer.connection.listener}"
    told = asked = 0
    for path, methods in paths.items():
        if "get" not in methods:
            continue
        names = re.findall(r"{(\w+)}", path)
        for values in itertools.product(*(NAMES.get(name, ["hidden-name", "1"]) for name in names)):
            made = path
            for name, value in zip(names, values, strict=True):
                real = value.replace("CONNECTION", connection).replace("CHANNEL", f"{connection} (1)")
                made = made.replace(f"{{{name}}}", quote(real, safe=""))
            answer = await client.get(made, headers=login("outsider"))
            text = await answer.text()
            asked += 1
            if answer.status < 400:
                told += 1
                assert HIDDEN not in text, f"{made}: {text}"
                assert connection not in text, made
            else:
                assert answer.status in (400, 401, 404, 503), f"{made}: {answer.status}"
                assert "hidden-value" not in text, made
                assert "hidden-payload" not in text, made

    assert told > 40  # what is open to everybody, and the listings without what is hidden
    assert asked > 200


async def test_the_same_walk_finds_all_of_it_as_an_administrator(api: Api, core: Core) -> None:
    """Otherwise the test above would prove nothing."""
    hide(core)
    core.broker.access.set_permission("hidden-vhost", "admin", ".*", ".*", ".*")

    for path in (
        "queues", "queues/hidden-vhost", "exchanges", "bindings", "vhosts", "users", "permissions", "vhost-limits",
        "user-limits", "parameters", "connections", "channels", "consumers", "definitions",
        "hubbub/mqtt/retained",
    ):  # fmt: skip
        assert HIDDEN in str(await api.get(f"/api/{path}")), path


def example(schema: dict[str, Any]) -> Any:
    """A body that a schema of the document allows."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(inner) for name, inner in schema.get("properties", {}).items()}
    return {"string": "hidden", "integer": 1, "boolean": True, "array": [], "null": None}[kind]


@pytest.mark.parametrize("tag", ["", "management", "monitoring", "policymaker"])
async def test_nobody_changes_what_is_in_another_vhost(api: Api, client: Client, core: Core, tag: str) -> None:
    """Every route that changes something, with a body that it takes: refused, and all is as it was."""
    peer = hide(core)
    core.broker.access.add_user("outsider", b"secret", tags=(tag,) if tag else ())
    core.broker.access.set_permission("open", "outsider", ".*", ".*", ".*")
    before = await api.get("/api/definitions")
    connection = f"{peer.connection.peer} -> {peer.connection.listener}"
    asked = 0
    for path, methods in (await api.get("/api/hubbub/openapi.json"))["paths"].items():
        for method in set(methods) - {"get"}:
            made = path
            for name in re.findall(r"{(\w+)}", path):
                kind = path.split("/")[2]
                value = {"connections": connection, "exchanges": "hidden-exchange", "policies": "hidden-policy"}.get(
                    kind if name == "name" else "", NAMES.get(name, ["hidden-name"])[0]
                )
                made = made.replace(f"{{{name}}}", quote(value, safe=""))
            body = methods[method].get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            answer = await client.request(
                method.upper(), made, json=example(body) if body else None, headers=login("outsider")
            )
            asked += 1
            assert answer.status in (401, 404) or (method, path) in HARMLESS, f"{method} {made}: {answer.status}"

    assert await api.get("/api/definitions") == before
    assert peer.closed_with() == 0
    assert asked > 50


HARMLESS = {("delete", "/api/connections/username/{user}"), ("post", "/api/hubbub/explain")}
"""What closes one's own connections alone, and what changes nothing."""
