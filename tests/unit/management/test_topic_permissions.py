"""`/api/topic-permissions`: RabbitMQ's shapes, who may, and that they are in force over HTTP as well."""

from __future__ import annotations

import pytest

from tests.support.peer import Core
from tests.unit.management.conftest import Api

ONE = "/api/topic-permissions/%2F/manager"
ROW = {"user": "manager", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "^b"}


async def put(api: Api, status: int = 201, **changes: str) -> None:
    body = {name: value for name, value in ROW.items() if name not in ("user", "vhost")} | changes
    await api("PUT", ONE, body, status=status)


async def test_they_are_set_shown_and_cleared(api: Api, core: Core) -> None:
    await put(api)
    await put(api, 204, exchange="events", write=".*")
    assert await api.get(ONE) == [ROW, ROW | {"exchange": "events", "write": ".*"}]
    assert await api.get("/api/topic-permissions") == await api.get(ONE)
    assert await api.get("/api/users/manager/topic-permissions") == await api.get(ONE)
    assert await api.get("/api/vhosts/%2F/topic-permissions") == await api.get(ONE)
    assert await api.get("/api/users/admin/topic-permissions") == []
    assert await api.get(f"{ONE}/amq.topic") == ROW

    await api("DELETE", f"{ONE}/events", status=204)
    assert await api.get(ONE) == [ROW]
    await api("DELETE", ONE, status=204)
    await api.get(ONE, status=404)
    await api.get(f"{ONE}/amq.topic", status=404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", ONE, {"exchange": "e", "write": "(", "read": ""}, 400),
        ("PUT", ONE, {"exchange": "e", "write": ""}, 400),
        ("PUT", ONE, {"exchange": 7, "write": "", "read": ""}, 400),
        ("PUT", "/api/topic-permissions/%2F/nobody", {"exchange": "e", "write": "", "read": ""}, 400),
        ("PUT", "/api/topic-permissions/none/manager", {"exchange": "e", "write": "", "read": ""}, 400),
        ("GET", "/api/topic-permissions/%2F/nobody", None, 404),
        ("DELETE", "/api/topic-permissions/%2F/nobody", None, 404),
        ("POST", ONE, None, 405),
    ],
)
async def test_what_is_wrong_is_refused(api: Api, method: str, path: str, body: object, status: int) -> None:
    await api(method, path, body, status=status)


@pytest.mark.parametrize(
    "path", ["/api/topic-permissions", ONE, "/api/users/manager/topic-permissions", "/api/vhosts/%2F/topic-permissions"]
)
async def test_they_are_for_administrators(api: Api, path: str) -> None:
    await api.get(path, user="manager", status=401)
    await api.get(path, user="watcher", status=401)


async def test_definitions_carry_them_out_and_in(api: Api, core: Core) -> None:
    await put(api)
    exported = await api.get("/api/definitions")
    assert exported["topic_permissions"] == [ROW]
    await api("DELETE", ONE, status=204)
    await api("POST", "/api/definitions", {"topic_permissions": [ROW]}, status=204)
    assert await api.get(ONE) == [ROW]
    await api("POST", "/api/definitions", {"topic_permissions": [ROW | {"user": "nobody"}]}, status=400)


async def test_publishing_and_binding_over_http_need_them(api: Api, core: Core) -> None:
    core.broker.access.set_permission("/", "manager", ".*", ".*", ".*")
    core.vhost.declare_queue("q")
    await put(api)
    message = {"properties": {}, "payload": "m", "payload_encoding": "string"}
    publish = "/api/exchanges/%2F/amq.topic/publish"
    await api("POST", publish, message | {"routing_key": "a.1"}, status=200, user="manager")
    await api("POST", publish, message | {"routing_key": "b.1"}, status=401, user="manager")
    copies = {"properties": {"headers": {"CC": ["b.1"]}}, "routing_key": "a.1"}
    await api("POST", publish, message | copies, status=401, user="manager")
    bind = "/api/bindings/%2F/e/amq.topic/q/q"
    await api("POST", bind, {"routing_key": "b.#"}, status=201, user="manager")
    await api("POST", bind, {"routing_key": "#"}, status=401, user="manager")
