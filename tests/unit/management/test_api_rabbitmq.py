"""What tools that were written for RabbitMQ ask besides the objects: nodes, samples, moving, login attempts."""

from __future__ import annotations

import pytest

from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, login

NODE = "/api/nodes/hubbub@localhost"
ATTEMPTS = "/api/auth/attempts/hubbub@localhost"
MOVE = "/api/hubbub/queues/%2F/q/move"


async def test_a_node_says_what_its_memory_is_for(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.publish("q", b"m" * 1000)
    memory = (await api.get(f"{NODE}/memory"))["memory"]

    assert memory["queue_procs"] >= 1000
    total = memory.pop("total")
    assert memory.pop("strategy") == "rss"
    own = memory.pop("hubbub")
    assert sum(memory.values()) == total["rss"]
    assert (own["messages_ready"], own["output"]) == (memory["queue_procs"], memory["connection_writers"])
    assert (await api.get(f"{NODE}?memory=true"))["memory"].keys() == {*memory, "total", "strategy", "hubbub"}
    assert "memory" not in await api.get(NODE)
    await api.get("/api/nodes/other", status=404)
    await api.get("/api/nodes/other/memory", status=404)


async def test_only_monitors_see_nodes_and_who_tried_to_log_in(api: Api) -> None:
    for path in ("/api/nodes", NODE, f"{NODE}/memory", ATTEMPTS, f"{ATTEMPTS}/source"):
        assert (await api.get(path, user="manager", status=401))["reason"] == "Not monitor user"
        await api.get(path, user="watcher")


async def test_attempts_to_log_in_are_counted_by_protocol_and_source(api: Api, client: Client, peer: Peer) -> None:
    await client.get("/api/overview", headers=login("admin", "wrong"))
    rows = {row["protocol"]: row for row in await api.get(ATTEMPTS)}
    sources = {(row["username"], row["protocol"]): row for row in await api.get(f"{ATTEMPTS}/source")}

    assert rows["amqp091"]["auth_attempts_succeeded"] == 1  # the peer's
    assert rows["http"]["auth_attempts_failed"] == 1
    assert sources[("admin", "http")]["auth_attempts_failed"] == 1
    assert sources[("guest", "amqp091")]["auth_attempts_succeeded"] == 1
    await api("DELETE", ATTEMPTS, status=401, user="watcher")
    await api("DELETE", ATTEMPTS, status=204)
    assert all(row["auth_attempts_failed"] == 0 for row in await api.get(ATTEMPTS))


async def test_samples_come_with_what_is_asked_for(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    plain = await api.get("/api/queues/%2F/q")
    sampled = await api.get("/api/queues/%2F/q?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5")

    assert plain["messages_details"] == {"rate": 0.0}
    assert sampled["messages_details"].keys() == {"rate", "samples", "avg", "avg_rate"}
    assert sampled["message_stats"]["publish_details"]["samples"][0]["sample"] == 0
    await api.get("/api/queues/%2F/q?lengths_age=x&lengths_incr=5", status=400)
    await api.get("/api/queues/%2F/q?lengths_age=60&lengths_incr=0", status=400)


async def test_a_listing_of_queues_leaves_out_what_is_not_wanted(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    (bare,) = await api.get("/api/queues?disable_stats=true")
    (totals,) = await api.get("/api/queues?disable_stats=true&enable_queue_totals=true")

    assert bare["name"] == "q"
    assert "messages" not in bare
    assert totals.keys() - bare.keys() == {"messages", "messages_ready", "messages_unacknowledged"}


async def test_single_objects_are_narrowed_to_columns(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")

    assert await api.get("/api/queues/%2F/q?columns=name,messages") == {"name": "q", "messages": 0}
    overview = await api.get("/api/overview?columns=node,object_totals.queues")
    assert overview == {"node": "hubbub@localhost", "object_totals": {"queues": 1}}


async def test_messages_move_in_order_with_their_properties(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.declare("target")
    for body in (b"1", b"2", b"3"):
        peer.publish("q", body)

    assert await api("POST", MOVE, {"destination": "target", "count": 2}, status=200) == {"moved": 2, "left": 1}
    assert await api("POST", MOVE, {"destination": "target"}, status=200) == {"moved": 1, "left": 0}
    ask = {"count": 5, "ackmode": "ack_requeue_false", "encoding": "auto"}
    rows = await api("POST", "/api/queues/%2F/target/get", ask, status=200)
    assert [(row["payload"], row["routing_key"], row["redelivered"]) for row in rows] == [
        ("1", "q", False), ("2", "q", False), ("3", "q", False),
    ]  # fmt: skip
    for name in ("q", "target"):
        assert (await api.get(f"/api/queues/%2F/{name}"))["hubbub"]["ledger"]["unaccounted"] == 0


async def test_what_the_destination_refuses_stays_in_its_place(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    core.vhost.declare_queue("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    for body in (b"1", b"2", b"3"):
        peer.publish("q", body)

    assert await api("POST", MOVE, {"destination": "full"}, status=200) == {"moved": 1, "left": 2}
    ask = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
    rows = await api("POST", "/api/queues/%2F/q/get", ask, status=200)
    assert [row["payload"] for row in rows] == ["2", "3"]


@pytest.mark.parametrize(
    ("body", "user", "status"),
    [
        ({}, "admin", 400),
        ({"destination": "none"}, "admin", 400),
        ({"destination": "q"}, "admin", 400),
        ({"destination": 5}, "admin", 400),
        ({"destination": "target", "count": -1}, "admin", 400),
        ({"destination": "target"}, "manager", 401),
    ],
)
async def test_what_cannot_be_moved_is_said(api: Api, core: Core, body: object, user: str, status: int) -> None:
    core.vhost.declare_queue("q")
    core.vhost.declare_queue("target")

    assert (await api("POST", MOVE, body, status=status, user=user))["reason"]


async def test_operator_policies_are_exported_as_rabbitmq_has_them_and_taken_back(api: Api, core: Core) -> None:
    policy = {"pattern": "^q", "definition": {"max-length": 5}, "priority": 3, "apply-to": "queues"}
    await api("PUT", "/api/operator-policies/%2F/limit", policy, status=201)
    exported = await api.get("/api/definitions")

    assert {"component": "operator_policy", "vhost": "/", "name": "limit", "value": policy} in exported["parameters"]
    assert exported == await api.get("/api/all-configuration")
    of_vhost = await api.get("/api/definitions/%2F")
    assert {"component": "operator_policy", "vhost": "/", "name": "limit", "value": policy} in of_vhost["parameters"]
    await api("DELETE", "/api/operator-policies/%2F/limit", status=204)
    await api("POST", "/api/definitions", exported, status=204)
    assert (await api.get("/api/operator-policies/%2F/limit"))["definition"] == {"max-length": 5}


async def test_what_means_nothing_on_one_node_is_answered_as_rabbitmq_does(api: Api) -> None:
    await api("POST", "/api/rebalance/queues", status=204)
    await api("POST", "/api/rebalance/queues", status=401, user="watcher")
    await api("POST", "/api/vhosts/%2F/start/hubbub@localhost", status=204)
    failed = await api("POST", "/api/vhosts/%2F/start/other", status=400)
    assert failed["reason"] == "Request to node other failed with nodedown"


async def test_what_may_be_done_with_a_path_is_said(client: Client) -> None:
    wrong = await client.patch("/api/queues/%2F/q", headers=login())
    asked = await client.options("/api/queues/%2F/q", headers=login())

    assert (wrong.status, asked.status) == (405, 200)
    assert wrong.headers["Allow"] == asked.headers["Allow"] == "HEAD, GET, PUT, DELETE, OPTIONS"


async def test_slashes_behind_a_path_mean_nothing(api: Api, core: Core) -> None:
    core.vhost.declare_queue("q")

    for path in ("/api/queues/", "/api/queues//", "/api/queues/%2F/"):
        assert [row["name"] for row in await api.get(path)] == ["q"]
    assert (await api.get("/api/queues/%2F/q/"))["name"] == "q"
    assert (await api.get("/api/healthchecks/node/"))["status"] == "ok"


async def test_numbers_may_come_as_text_as_rabbitmqadmin_sends_them(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.publish("q", b"message")
    ask = {"count": "1", "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": "4"}

    assert (await api("POST", "/api/queues/%2F/q/get", ask, status=200))[0]["payload"] == "mess"


async def test_a_path_that_is_not_there_is_not_there_for_nobody(client: Client) -> None:
    answer = await client.get("/api/none")

    assert answer.status == 404
    assert await answer.json() == {"error": "Object Not Found", "reason": "Not Found"}
