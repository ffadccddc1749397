"""What an operator tells the process over HTTP, and who may."""

from __future__ import annotations

import pytest

from tests.unit.management.conftest import Api, Client, ObservedCore


async def test_a_drain_is_answered_at_once_and_the_node_is_not_ready(
    api: Api, client: Client, server: ObservedCore
) -> None:
    assert (await client.get("/health/ready")).status == 200
    said = await api("POST", "/api/hubbub/drain", {"after": 3600}, status=202)
    assert said == {"after": pytest.approx(3600, abs=30), "connections": 0}  # less what passed since

    for probe, status in (("live", 200), ("startup", 200), ("ready", 503), ("serving", 503)):
        assert (await client.get(f"/health/{probe}")).status == status
    for check in ("is-in-service", "ready-to-serve-clients"):
        assert (await api.get(f"/api/health/checks/{check}", status=503))["reason"] == (
            "this node is in maintenance mode"
        )
    assert (await api.get("/api/nodes"))[0]["being_drained"] is True
    assert not server.draining.over.is_set()


async def test_without_a_time_a_drain_takes_as_long_as_the_settings_say(api: Api) -> None:
    assert (await api("POST", "/api/hubbub/drain", status=202))["after"] == 7


@pytest.mark.parametrize("after", [-1, 3601, "1", True, []])
async def test_a_drain_with_a_wrong_time_changes_nothing(api: Api, server: ObservedCore, after: object) -> None:
    await api("POST", "/api/hubbub/drain", {"after": after}, status=400)

    assert not server.draining.is_begun


@pytest.mark.parametrize("user", ["watcher", "policy", "manager", "plain"])
async def test_only_an_administrator_drains(api: Api, server: ObservedCore, user: str) -> None:
    await api("POST", "/api/hubbub/drain", {"after": 0}, status=401, user=user)

    assert not server.draining.is_begun


async def test_a_reload_says_what_changed_and_what_needs_a_restart(api: Api) -> None:
    assert await api("POST", "/api/hubbub/reload", status=200) == {
        "changed": ["log.level"],
        "needs_restart": ["amqp.port"],
    }


async def test_settings_that_cannot_be_used_are_a_bad_request(api: Api, server: ObservedCore) -> None:
    server.wrong_settings = "hubbub.yaml:3: amqp.prot: expected one of address, …"

    assert (await api("POST", "/api/hubbub/reload", status=400))["reason"] == server.wrong_settings


@pytest.mark.parametrize("user", ["watcher", "policy", "manager", "plain"])
async def test_only_an_administrator_reloads(api: Api, user: str) -> None:
    await api("POST", "/api/hubbub/reload", status=401, user=user)


async def test_an_administrator_sees_the_settings_in_force(api: Api, server: ObservedCore) -> None:
    assert await api("GET", "/api/hubbub/config", status=200) == server.shown_settings()


@pytest.mark.parametrize("user", ["watcher", "policy", "manager", "plain"])
async def test_only_an_administrator_sees_the_settings(api: Api, user: str) -> None:
    await api("GET", "/api/hubbub/config", status=401, user=user)


async def test_while_an_alarm_stands_the_broker_serves_and_is_not_ready(client: Client, server: ObservedCore) -> None:
    server.broker.raise_alarm("disk", "the disk is full")

    for probe, status in (("serving", 200), ("live", 200), ("startup", 200), ("ready", 503)):
        assert (await client.get(f"/health/{probe}")).status == status


async def test_while_an_alarm_stands_nothing_is_published_over_http(api: Api, server: ObservedCore) -> None:
    server.broker.raise_alarm("memory", "messages take more than they may")
    message = {"properties": {}, "routing_key": "q", "payload": "m", "payload_encoding": "string"}
    said = await api("POST", "/api/exchanges/%2F/amq.default/publish", message, status=429)
    assert said == {"error": "blocked", "reason": "publishing is blocked: messages take more than they may"}
    server.broker.clear_alarm("memory")

    assert await api("POST", "/api/exchanges/%2F/amq.default/publish", message, status=200) == {"routed": False}
