"""Who may see and do what over HTTP, and what administers users, vhosts, policies and definitions."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.broker import Broker
from broker.limits import Limits
from storage.memory_store import MemoryStore
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, login


@pytest.mark.parametrize(
    ("user", "method", "path", "status"),
    [
        ("plain", "GET", "/api/overview", 401),
        ("watcher", "GET", "/api/overview", 200),
        ("watcher", "GET", "/api/queues/%2F", 200),
        ("watcher", "PUT", "/api/queues/%2F/q", 401),
        ("manager", "PUT", "/api/queues/%2F/mine.1", 201),
        ("manager", "PUT", "/api/queues/%2F/yours", 401),
        ("manager", "GET", "/api/queues/other", 401),
        ("manager", "GET", "/api/users", 401),
        ("watcher", "GET", "/api/users", 401),
        ("watcher", "POST", "/api/hubbub/backup", 401),
        ("watcher", "GET", "/api/definitions", 401),
        ("manager", "PUT", "/api/vhosts/new", 401),
        ("manager", "PUT", "/api/policies/%2F/p", 401),
        ("policy", "PUT", "/api/operator-policies/%2F/p", 401),
        ("manager", "GET", "/api/whoami", 200),
        ("manager", "GET", "/api/none", 404),
        ("admin", "GET", "/api/queues/none", 404),
        ("admin", "DELETE", "/api/overview", 405),
    ],
)
async def test_who_may_do_what(api: Api, core: Core, user: str, method: str, path: str, status: int) -> None:
    core.broker.add_vhost("other")
    await api(method, path, {} if method == "PUT" else None, status=status, user=user)


async def test_listings_hold_what_the_user_may_see(api: Api, core: Core, peer: Peer) -> None:
    core.broker.add_vhost("other").declare_queue("hidden")
    core.vhost.declare_queue("shown")

    assert [each["name"] for each in await api.get("/api/queues", user="manager")] == ["shown"]
    assert {each["name"] for each in await api.get("/api/queues", user="watcher")} == {"shown", "hidden"}
    assert [each["name"] for each in await api.get("/api/vhosts", user="manager")] == ["/"]
    assert {each["vhost"] for each in await api.get("/api/exchanges", user="manager")} == {"/"}
    assert await api.get("/api/connections", user="manager") == []
    assert len(await api.get("/api/connections", user="watcher")) == 1


async def test_a_wrong_login_is_refused(client: Client) -> None:
    for headers in ({}, login("admin", "wrong"), login("nobody")):
        answer = await client.get("/api/overview", headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert (await answer.json())["error"] in ("not_authorised", "not_authorized")


async def test_users_and_permissions(api: Api, core: Core) -> None:
    await api("PUT", "/api/users/ann", {"password": "secret", "tags": "monitoring,policymaker"}, status=201)
    await api("PUT", "/api/users/ann", {"tags": ["monitoring"]}, status=204)
    await api("PUT", "/api/users/bob", {"password": "x"}, status=400)
    shown = await api.get("/api/users/ann")
    assert (shown["tags"], shown["hashing_algorithm"]) == (["monitoring"], "argon2id")
    assert (await api.get("/api/whoami", user="ann")) == {
        "name": "ann", "tags": ["monitoring"], "is_internal_user": True,
    }  # fmt: skip

    rights = {"configure": "", "write": "^w", "read": ".*"}
    await api("PUT", "/api/permissions/%2F/ann", rights, status=201)
    await api("PUT", "/api/permissions/%2F/ann", rights, status=204)
    await api("PUT", "/api/permissions/%2F/nobody", rights, status=400)
    await api("PUT", "/api/permissions/%2F/ann", {**rights, "read": "("}, status=400)
    assert await api.get("/api/permissions/%2F/ann") == {"user": "ann", "vhost": "/", **rights}
    assert {"user": "ann", "vhost": "/", **rights} in await api.get("/api/permissions")
    await api("DELETE", "/api/permissions/%2F/ann", status=204)
    await api.get("/api/permissions/%2F/ann", status=404)
    assert "ann" in {each["name"] for each in await api.get("/api/users/without-permissions")}
    await api("POST", "/api/users/bulk-delete", {"users": ["ann", "nobody"]}, status=400)
    await api.get("/api/users/ann")
    await api("POST", "/api/users/bulk-delete", {"users": ["ann", "ann"]}, status=204)
    await api.get("/api/users/ann", status=404)


async def test_a_user_without_a_password_logs_in_by_none(api: Api, client: Client, core: Core) -> None:
    """A certificate may still name the user."""
    await api("PUT", "/api/users/certified", {"tags": "administrator"}, status=201)
    await api("PUT", "/api/users/imported", {"tags": "administrator", "password_hash": ""}, status=201)
    await api("PUT", "/api/users/blank", {"tags": "administrator", "password": ""}, status=201)

    for name, password in (("certified", ""), ("certified", "x"), ("imported", ""), ("blank", "")):
        assert (await client.get("/api/whoami", headers=login(name, password))).status == 401
    assert core.broker.access.admit_external("certified", True).name == "certified"


async def test_rabbitmqs_password_hashes_are_taken(api: Api, core: Core) -> None:
    hashed = (await api.get("/api/auth/hash_password/secret"))["ok"]
    await api("PUT", "/api/users/old", {"password_hash": hashed, "tags": "management"}, status=201)
    assert (await api.get("/api/whoami", user="old"))["name"] == "old"
    await api("PUT", "/api/users/bad", {"password_hash": "not base64!", "tags": ""}, status=400)


async def test_vhosts_come_and_go_with_all_that_is_in_them(api: Api, core: Core) -> None:
    await api("PUT", "/api/vhosts/new", status=201)
    await api("PUT", "/api/vhosts/new", status=204)
    await api("PUT", "/api/queues/new/q", {"durable": True}, status=201)
    await api("PUT", "/api/policies/new/p", {"pattern": ".*", "definition": {"max-length": 3}}, status=201)
    core.broker.access.set_permission("new", "guest", ".*", ".*", ".*")
    peer = Peer(core)
    peer.handshake("new")

    await api("DELETE", "/api/vhosts/new", status=204)
    assert peer.take()[-1].name == "connection.close"
    await api.get("/api/vhosts/new", status=404)
    await api("DELETE", "/api/vhosts/new", status=404)
    again = Broker(core.store, core.clock, Limits())
    again.restore()
    assert "new" not in again.vhosts


async def test_policies_over_http(api: Api, core: Core) -> None:
    queue = core.vhost.declare_queue("orders")
    body = {"pattern": "^ord", "definition": {"max-length": 3}, "apply-to": "queues", "priority": 1}
    await api("PUT", "/api/policies/%2F/limit", body, status=201, user="policy")
    await api("PUT", "/api/policies/%2F/limit", body, status=204)
    assert queue.settings.max_length == 3
    assert await api.get("/api/policies/%2F/limit") == {"vhost": "/", "name": "limit", **body}
    shown = await api.get("/api/queues/%2F/orders")
    assert (shown["policy"], shown["effective_policy_definition"]) == ("limit", {"max-length": 3})

    operator = {"pattern": ".*", "definition": {"max-length": 2}}
    await api("PUT", "/api/operator-policies/%2F/all", operator, status=201)
    assert queue.settings.max_length == 2
    wrong = await api("PUT", "/api/policies/%2F/x", {**body, "definition": {"max-lenght": 1}}, status=400)
    assert "max-lenght" in wrong["reason"]
    await api("DELETE", "/api/operator-policies/%2F/all", status=204)
    await api("DELETE", "/api/policies/%2F/limit", status=204)
    await api("DELETE", "/api/policies/%2F/limit", status=404)
    assert queue.settings.max_length is None


async def test_limits_of_a_vhost(api: Api, core: Core) -> None:
    await api("PUT", "/api/vhost-limits/%2F/max-queues", {"value": 1}, status=204)
    assert await api.get("/api/vhost-limits/%2F") == [{"vhost": "/", "value": {"max-queues": 1}}]
    await api("PUT", "/api/queues/%2F/first", {}, status=201)
    refused = await api("PUT", "/api/queues/%2F/second", {}, status=400)
    assert refused["reason"] == "cannot declare queue 'second': queue limit in vhost '/' (1) is reached"
    await api("PUT", "/api/vhost-limits/%2F/max-cows", {"value": 1}, status=400)
    await api("DELETE", "/api/vhost-limits/%2F/max-queues", status=204)
    await api("PUT", "/api/queues/%2F/second", {}, status=201)


async def test_parameters_of_components_that_are_not_here_are_kept(api: Api, core: Core) -> None:
    path = "/api/parameters/shovel/%2F/s"
    await api("PUT", path, {"value": {"src-queue": "a"}}, status=201)
    await api("PUT", path, {"value": {"src-queue": "b"}}, status=204)
    kept = {"component": "shovel", "vhost": "/", "name": "s", "value": {"src-queue": "b"}}
    assert await api.get(path) == kept
    assert await api.get("/api/parameters/shovel") == [kept]
    await api("DELETE", path, status=204)
    await api.get(path, status=404)
    await api("PUT", "/api/global-parameters/g", {"value": 5}, status=201)
    assert await api.get("/api/global-parameters") == [{"name": "g", "value": 5}]


async def test_definitions_go_out_and_into_another_broker(api: Api, core: Core, make_core: Any) -> None:
    await api("PUT", "/api/vhosts/v", status=201)
    await api("PUT", "/api/exchanges/v/e", {"type": "headers", "arguments": {"alternate-exchange": "x"}}, status=201)
    await api("PUT", "/api/queues/v/q", {"arguments": {"x-max-length": 5}}, status=201)
    await api("POST", "/api/bindings/v/e/e/q/q", {"routing_key": "k", "arguments": {"x-match": "any"}}, status=201)
    await api("PUT", "/api/policies/v/p", {"pattern": ".*", "definition": {"message-ttl": 7}}, status=201)
    await api("PUT", "/api/vhost-limits/v/max-queues", {"value": 9}, status=204)
    exported = await api.get("/api/definitions")
    await api("DELETE", "/api/vhosts/v", status=204)
    await api("DELETE", "/api/users/plain", status=204)

    await api("POST", "/api/definitions", exported, status=204)
    await api("POST", "/api/definitions", exported, status=204)

    vhost = core.broker.vhosts["v"]
    assert vhost.queues["q"].settings.max_length == 5
    assert vhost.queues["q"].settings.message_ttl_ms == 7
    assert len(vhost.exchanges["e"].bindings) == 1
    assert core.broker.parameters.vhost_limit("v", "max-queues") == 9
    assert await api.get("/api/definitions") == exported
    assert (await api.get("/api/definitions/v"))["queues"][0]["name"] == "q"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"queues": {}}, "queues: expected a list, got an object"),
        ({"queues": ["q"]}, "queues: expected objects, got a string"),
        ({"queues": [{"vhost": "/", "durable": True}]}, "key_missing,name"),
        ({"exchanges": [{"vhost": "/", "name": "x", "type": "magic"}]}, "unknown exchange type"),
        ({"bindings": [{"vhost": "/", "source": "amq.topic", "destination": "q", "destination_type": "cow"}]}, "cow"),
    ],
)
async def test_a_wrong_document_is_refused(api: Api, body: Any, text: str) -> None:
    answer = await api("POST", "/api/definitions", body, status=400)
    assert text in answer["reason"]


async def test_health_checks(api: Api, core: Core) -> None:
    for path in ("alarms", "local-alarms", "virtual-hosts", "is-in-service", "below-node-connection-limit",
                 "port-listener/5672", "protocol-listener/amqp", "ready-to-serve-clients"):  # fmt: skip
        assert (await api.get(f"/api/health/checks/{path}"))["status"] == "ok", path
    assert (await api.get("/api/aliveness-test/%2F")) == {"status": "ok"}
    assert (await api.get("/api/health/checks/port-listener/1", status=503))["missing"] == 1
    await api.get("/api/health/checks/port-listener/x", status=400)
    await api.get("/api/health/checks/protocol-listener/mqtt", status=503)
    core.broker.raise_alarm("disk", "the disk is full")
    failed = await api.get("/api/health/checks/alarms", status=503)
    assert failed["alarms"][0]["resource"] == "disk"


async def test_nodes_and_small_questions(api: Api) -> None:
    (node,) = await api.get("/api/nodes")
    assert node["running"] is True
    assert node["mem_limit"] == 1_000_000
    assert (await api.get(f"/api/nodes/{node['name']}"))["name"] == node["name"]
    await api.get("/api/nodes/other", status=404)
    assert await api.get("/api/extensions") == []
    await api("PUT", "/api/cluster-name", {"name": "house"}, status=204)
    assert await api.get("/api/cluster-name") == {"name": "house"}
    assert (await api.get("/api/overview"))["cluster_name"] == "house"


async def test_what_a_vhost_is_for_is_kept_exported_and_restored(api: Api, core: Core) -> None:
    await api("PUT", "/api/vhosts/shop", {"description": "orders", "tags": "production, eu"}, status=201)
    await api("PUT", "/api/vhosts/shop", {}, status=204)
    said = {"description": "orders", "tags": ["production", "eu"]}
    shown = await api.get("/api/vhosts/shop")
    assert (shown["description"], shown["tags"], shown["metadata"]) == ("orders", ["production", "eu"], said)

    exported = await api.get("/api/definitions")
    assert {"name": "shop", **said, "metadata": said} in exported["vhosts"]
    await api("PUT", "/api/vhosts/shop", {"tags": []}, status=204)
    assert (await api.get("/api/vhosts/shop"))["tags"] == []
    await api("POST", "/api/definitions", exported, status=204)
    restored = Core(MemoryStore(state=core.stop())).broker.vhosts["shop"]
    assert (restored.description, restored.tags) == ("orders", ("production", "eu"))


@pytest.mark.parametrize("body", [{"description": 5}, {"tags": 5}, {"tags": [5]}, {"description": "x" * 5000}])
async def test_nonsense_about_a_vhost_is_refused(api: Api, core: Core, body: Any) -> None:
    await api("PUT", "/api/vhosts/shop", body, status=400)
    assert "shop" not in core.broker.vhosts


async def test_definitions_hold_queues_that_the_broker_named_and_none_that_it_made_for_shares(
    api: Api, core: Core
) -> None:
    vhost, everybody = core.vhost, core.vhost.exchange("amq.fanout")
    options: dict[str, Any] = {"durable": True, "exclusive": False, "auto_delete": False, "arguments": {}}
    for name in ("amq.gen-abc", "$share/group/noise.#"):
        vhost.bind(everybody, vhost.create_queue(name, owner=None, **options), "queue", b"")
    exported = await api.get("/api/definitions")
    vhost.remove_queue(vhost.queues["amq.gen-abc"])

    await api("POST", "/api/definitions", exported, status=204)
    await api("POST", "/api/definitions", exported, status=204)

    assert [row["name"] for row in exported["queues"]] == ["amq.gen-abc"]
    assert len(vhost.queues["amq.gen-abc"].bindings) == 1
    assert await api.get("/api/definitions") == exported
