"""Queues, exchanges, bindings, connections over HTTP: RabbitMQ's shapes, status codes and refusals."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, ObservedCore, login

QUEUE = "/api/queues/%2F/q"


async def test_a_queue_is_declared_shown_and_deleted(api: Api, core: Core) -> None:
    await api("PUT", QUEUE, {"durable": True, "arguments": {"x-max-length": 5}}, status=201)
    await api("PUT", QUEUE, {"durable": True, "arguments": {"x-max-length": 5}}, status=204)
    shown = await api.get(QUEUE)

    assert (shown["name"], shown["vhost"], shown["durable"], shown["type"]) == ("q", "/", True, "classic")
    assert shown["arguments"] == {"x-max-length": 5}
    assert shown["messages"] == 0
    assert shown["messages_details"] == {"rate": 0.0}
    assert shown["message_stats"]["publish_details"] == {"rate": 0.0}
    assert shown["consumer_details"] == []
    await api("DELETE", QUEUE, status=204)
    await api.get(QUEUE, status=404)
    assert "q" not in core.vhost.queues


async def test_a_change_is_answered_when_the_store_has_it(api: Api, server: ObservedCore) -> None:
    await api("PUT", QUEUE, {}, status=201)
    assert server.commits == 1
    await api.get(QUEUE)
    assert server.commits == 1


async def test_another_declaration_is_refused_in_the_cores_words(api: Api) -> None:
    await api("PUT", QUEUE, {"durable": True}, status=201)
    answer = await api("PUT", QUEUE, {"durable": False}, status=400)

    assert answer["error"] == "bad_request"
    assert "inequivalent arg 'durable' for queue 'q' in vhost '/'" in answer["reason"]
    wrong = await api("PUT", "/api/queues/%2F/other", {"arguments": {"x-max-length": -1}}, status=400)
    assert "x-max-length" in wrong["reason"]


async def test_messages_are_published_looked_at_and_taken(api: Api) -> None:
    await api("PUT", QUEUE, {}, status=201)
    message = {"properties": {"delivery_mode": 2, "headers": {"a": 1}}, "routing_key": "q", "payload": "hello",
               "payload_encoding": "string"}  # fmt: skip
    assert await api("POST", "/api/exchanges/%2F/amq.default/publish", message, status=200) == {"routed": True}
    nowhere = {**message, "routing_key": "none"}
    assert await api("POST", "/api/exchanges/%2F/amq.default/publish", nowhere, status=200) == {"routed": False}
    binary = {**message, "payload": base64.b64encode(b"\xff\x00").decode(), "payload_encoding": "base64"}
    await api("POST", "/api/exchanges/%2F/amq.default/publish", binary, status=200)

    ask = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
    first, second = await api("POST", f"{QUEUE}/get", ask, status=200)
    assert (first["payload"], first["payload_encoding"], first["redelivered"]) == ("hello", "string", False)
    assert first["properties"] == {"delivery_mode": 2, "headers": {"a": 1}}
    assert (first["message_count"], second["message_count"]) == (1, 0)
    assert (second["payload"], second["payload_encoding"]) == (binary["payload"], "base64")

    again = await api("POST", f"{QUEUE}/get", {**ask, "ackmode": "ack_requeue_false", "truncate": 2}, status=200)
    assert [(each["redelivered"], each["payload_bytes"]) for each in again] == [(True, 5), (True, 2)]
    assert again[0]["payload"] == "he"
    shown = await api.get(QUEUE)
    assert (shown["messages"], shown["hubbub"]["ledger"]["unaccounted"]) == (0, 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"ackmode": "ack_requeue_true", "encoding": "auto"}, "key_missing,count"),
        ({"count": "x", "ackmode": "ack_requeue_true", "encoding": "auto"}, "count: expected an integer, got a string"),
        ({"count": -1, "ackmode": "ack_requeue_true", "encoding": "auto"}, "count: expected 0 to"),
        ({}, "[{key_missing,ackmode},{key_missing,count},{key_missing,encoding}]"),
        ({"count": 1, "ackmode": "maybe", "encoding": "auto"}, "ackmode: expected one of"),
        (
            {"count": 1, "ackmode": "ack_requeue_true", "encoding": "rot13"},
            "Unsupported encoding. Please use auto or base64.",
        ),
        ([1], "not_json"),
    ],
)
async def test_what_is_wrong_with_a_get_is_said(api: Api, core: Core, body: Any, text: str) -> None:
    core.vhost.declare_queue("q")
    answer = await api("POST", f"{QUEUE}/get", body, status=400)
    assert text in answer["reason"]


async def test_broken_json_is_a_bad_request(client: Client, core: Core) -> None:
    answer = await client.put(QUEUE, data=b"{", headers=login())
    assert answer.status == 400
    assert "not_json" in (await answer.json())["reason"]


async def test_an_exclusive_queue_is_its_connections_alone(api: Api, core: Core, peer: Peer) -> None:
    peer.call("queue.declare", queue="own", exclusive=True)
    for method, path in (("DELETE", ""), ("DELETE", "/contents"), ("POST", "/get")):
        answer = await api(method, f"/api/queues/%2F/own{path}", status=400)
        assert "RESOURCE_LOCKED" in answer["reason"]
    shown = await api.get("/api/queues/%2F/own")
    assert shown["exclusive"] is True
    assert shown["owner_pid_details"]["name"].endswith(core.peers[0].connection.listener)


async def test_purge_and_conditions_of_deleting(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.publish("q", b"m")
    answer = await api("DELETE", f"{QUEUE}?if-empty=true", status=400)
    assert "not empty" in answer["reason"]
    await api("DELETE", f"{QUEUE}/contents", status=204)
    await api("DELETE", f"{QUEUE}?if-empty=true", status=204)


async def test_exchanges_and_their_bindings(api: Api, core: Core) -> None:
    await api("PUT", "/api/exchanges/%2F/e", {"type": "topic"}, status=201)
    await api("PUT", "/api/exchanges/%2F/e", {"type": "topic"}, status=204)
    await api("PUT", "/api/exchanges/%2F/x", {"type": "magic"}, status=400)
    await api("PUT", "/api/exchanges/%2F/x", {}, status=201)
    assert (await api.get("/api/exchanges/%2F/x"))["type"] == "direct"
    await api("PUT", QUEUE, {}, status=201)
    between = "/api/bindings/%2F/e/e/q/q"
    await api("POST", between, {"routing_key": "a.*", "arguments": {"k": "v"}}, status=201)
    await api("POST", between, {"routing_key": ""}, status=201)

    rows = await api.get(between)
    assert {(row["routing_key"], row["properties_key"]) for row in rows} == {("a.*", "a.%2A~k%3Dv"), ("", "~")}
    assert await api.get("/api/exchanges/%2F/e/bindings/source") == rows
    assert await api.get("/api/exchanges/%2F/e/bindings/destination") == []
    assert len(await api.get(f"{QUEUE}/bindings")) == 3
    assert len(await api.get("/api/bindings/%2F")) == 3
    assert (await api.get(f"{between}/~"))["routing_key"] == ""
    await api("DELETE", f"{between}/a.%252A~k%253Dv", status=204)
    await api("DELETE", f"{between}/~", status=204)
    await api("DELETE", f"{between}/~", status=404)
    await api("DELETE", "/api/exchanges/%2F/e", status=204)
    await api("DELETE", "/api/exchanges/%2F/amq.topic", status=401)


async def test_listings_are_filtered_sorted_paged_and_cut(api: Api, core: Core) -> None:
    for index in range(25):
        core.vhost.declare_queue(f"q{index:02}")
    assert len(await api.get("/api/queues/%2F?name=q1")) == 10
    assert len(await api.get("/api/queues?name=^q0[1-3]$&use_regex=true")) == 3
    page = await api.get(
        "/api/queues/%2F?page=2&page_size=10&sort=name&sort_reverse=true&columns=name,message_stats.ack"
    )

    assert (page["total_count"], page["filtered_count"], page["page_count"], page["item_count"]) == (25, 25, 3, 10)
    assert page["items"][0] == {"name": "q14", "message_stats": {"ack": 0}}
    assert (await api.get("/api/queues?page=4&page_size=10", status=400))["error"] == "page_out_of_range"
    for wrong, error in (
        ("page=x", "bad_request"),
        ("name=(&use_regex=true", "bad_request"),
        ("page=1&page_size=501", "invalid_pagination_parameters"),
        ("page=0", "invalid_pagination_parameters"),
    ):
        assert (await api.get(f"/api/queues?{wrong}", status=400))["error"] == error


async def test_a_long_listing_lets_others_run_in_between(api: Api, core: Core) -> None:
    for index in range(2000):
        core.vhost.declare_queue(f"q{index}")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    rows = await api.get("/api/queues")
    ticking.cancel()

    assert len(rows) == 2000
    assert ticks > 10


async def test_connections_channels_and_consumers(api: Api, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.call("basic.consume", queue="q", consumer_tag="tag")
    (row,) = await api.get("/api/connections")

    assert (row["user"], row["vhost"], row["channels"], row["protocol"]) == ("guest", "/", 1, "AMQP 0-9-1")
    assert row["recv_oct"] == peer.connection.output.bytes_received
    name = row["name"].replace(" ", "%20")
    assert (await api.get(f"/api/connections/{name}"))["name"] == row["name"]
    (channel,) = await api.get("/api/channels")
    assert (channel["number"], channel["consumer_count"], channel["confirm"]) == (1, 1, False)
    assert await api.get(f"/api/connections/{name}/channels") == [channel]
    (consumer,) = await api.get("/api/consumers/%2F")
    assert (consumer["consumer_tag"], consumer["queue"]["name"], consumer["ack_required"]) == ("tag", "q", True)
    assert consumer["channel_details"]["name"] == channel["name"]
    assert (await api.get("/api/queues/%2F/q"))["consumer_details"] == [consumer]

    await api("DELETE", f"/api/connections/{name}", status=401, user="watcher")
    await api("DELETE", f"/api/connections/{name}", status=204)
    assert peer.take()[-1].name == "connection.close"
    await api("DELETE", "/api/connections/none", status=404)


async def test_rates_are_made_of_two_looks(api: Api, core: Core, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.declare("q")
    now = [100.0]
    monkeypatch.setattr("broker.management.rates.Rates.rates", _rates_at(now))
    await api.get(QUEUE)
    for _ in range(20):
        peer.publish("q", b"m")
    now[0] += 2
    shown = await api.get(QUEUE)

    assert shown["message_stats"]["publish"] == 20
    assert shown["message_stats"]["publish_details"] == {"rate": 10.0}
    assert shown["messages_details"] == {"rate": 10.0}


def _rates_at(now: list[float]) -> Any:
    from broker.management.rates import Rates

    rates = Rates.rates

    def at(self: Rates, key: Any, counts: dict[str, int]) -> dict[str, float]:
        self.now_s = lambda: now[0]
        return rates(self, key, counts)

    return at


async def test_names_with_braces_slashes_and_quotes_are_names(api: Api) -> None:
    for name in ("a%7Bb%7D", "a%2Fb", "a%22%27%60%3B%3C%3E"):
        await api("PUT", f"/api/queues/%2F/{name}", {}, status=201)
        await api.get(f"/api/queues/%2F/{name}")
        await api("PUT", f"/api/vhosts/{name}", {}, status=201)
        await api("PUT", f"/api/permissions/{name}/admin", {"configure": "", "write": "", "read": ""}, status=204)
        await api("DELETE", f"/api/vhosts/{name}", status=204)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/queues/%2F/q", r'{"arguments": {"x-a": "\ud800"}}'),
        ("PUT", "/api/queues/%2F/q", r'{"arguments": {"\udc00": 1}}'),
        ("PUT", "/api/queues/%2F/q", '{"arguments": {"x-a": NaN}}'),
        ("PUT", "/api/queues/%2F/q", '{"arguments": {"x-a": 1e999}}'),
        ("PUT", "/api/queues/%2F/q", '{"arguments": ' + "[" * 100_000),
        ("PUT", "/api/users/u", r'{"password": "\ud800", "tags": ""}'),
        ("PUT", "/api/vhosts/v", r'{"description": "\ud800"}'),
        ("PUT", "/api/policies/%2F/p", r'{"pattern": "", "definition": {"dead-letter-exchange": "\ud800"}}'),
        ("POST", "/api/exchanges/%2F/amq.topic/publish", r'{"routing_key": "\ud800"}'),
        ("POST", "/api/definitions", r'{"queues": [{"vhost": "/", "name": "q"}, {"vhost": "/", "name": "\ud800"}]}'),
        ("POST", "/api/definitions", r'{"queues": [{"vhost": "/", "name": "q"}, 1e999]}'),
        ("POST", "/api/definitions", '{"queues": [{"vhost": "/", "name": "q"}, {]}'),
        ("POST", "/api/definitions", "[]"),
    ],
)
async def test_what_no_text_can_hold_is_refused_and_changes_nothing(
    client: Client, api: Api, core: Core, method: str, path: str, body: str
) -> None:
    answer = await client.request(method, path, data=body, headers=login("admin"))

    assert answer.status == 400
    assert (await answer.json())["reason"] in ("not_json", "failed_to_parse_json")
    assert list(core.vhost.queues) == []
    assert list(core.broker.vhosts) == ["/"]
    await api.get("/api/definitions")
