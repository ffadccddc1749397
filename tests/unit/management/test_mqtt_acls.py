"""`/api/hubbub/mqtt/acls`: rules in MQTT's words, their order, and that they are in force at once."""

from __future__ import annotations

from typing import Any

import pytest

from broker.config import Mqtt
from broker.mqtt.acl import row_of, rule_of
from broker.sections import MqttAcl
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter
from tests.unit.management.conftest import Api, ObservedCore
from tests.unit.management.test_api_mqtt import arrive

ACLS = "/api/hubbub/mqtt/acls"
ONE = f"{ACLS}/%2F"


def rule(permission: str = "allow", topic: str = "#", action: str = "all", user: str | None = None) -> dict[str, Any]:
    return {"permission": permission, "action": action, "topic": topic, "user": user}


async def topics(api: Api) -> list[str]:
    return [each["topic"] for each in (await api.get(ONE))["rules"]]


async def test_rules_are_replaced_added_and_removed_in_order(api: Api) -> None:
    await api("PUT", ONE, {"rules": [rule("deny", "a/+/x.y"), rule("allow", "dev/%c/#", "publish", "ann")]}, status=204)
    found = await api.get(ONE)
    assert (found["vhost"], found["default"]) == ("/", "allow")
    assert found["rules"] == [
        {"vhost": "/", "number": 1, "source": "stored", **rule("deny", "a/+/x.y")},
        {"vhost": "/", "number": 2, "source": "stored", **rule("allow", "dev/%c/#", "publish", "ann")},
    ]
    added = await api("POST", ONE, rule("deny", "first") | {"number": 1}, status=201)
    assert (added["number"], added["topic"]) == (1, "first")
    await api("POST", ONE, {"permission": "deny", "topic": "last"}, status=201)
    assert await topics(api) == ["first", "a/+/x.y", "dev/%c/#", "last"]
    await api("DELETE", f"{ONE}/2", status=204)
    assert await topics(api) == ["first", "dev/%c/#", "last"]
    await api("PUT", ONE, {"rules": (await api.get(ONE))["rules"]}, status=204)
    assert await topics(api) == ["first", "dev/%c/#", "last"]
    assert [each["vhost"] for each in await api.get(ACLS)] == ["/"]


async def test_they_are_in_force_at_once(api: Api, server: ObservedCore) -> None:
    client = arrive(server, "lamp")
    await api("POST", ONE, rule("deny", "secret/%c", "subscribe"), status=201)
    client.hear(codec.subscribe(V5, 1, [Filter("secret/lamp"), Filter("secret/other"), Filter("x")]))
    assert client.talk()[0].reasons == (0x87, 0, 0)
    await api("POST", ONE, rule("deny", "x"), status=201)
    assert [held.topic_filter for held in client.connection.session.subscriptions.values()] == [b"secret/other"]


async def test_rules_of_the_configuration_stand_in_front_and_are_not_changed_here(
    api: Api, server: ObservedCore
) -> None:
    settings = Mqtt(acls=[MqttAcl(permission="deny", topic="fixed/+", vhost="/")], acl_default="deny")
    server.mqtt.use(settings, server.core.limits)
    await api("POST", ONE, rule("allow", "mine"), status=201)
    found = await api.get(ONE)
    assert found["default"] == "deny"
    assert [(each["source"], each["number"], each["topic"]) for each in found["rules"]] == [
        ("configuration", None, "fixed/+"), ("stored", 1, "mine"),
    ]  # fmt: skip
    await api("PUT", ONE, {"rules": found["rules"]}, status=204)
    assert await topics(api) == ["fixed/+", "mine"]
    await api("DELETE", f"{ONE}/2", status=404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", ONE, {"rules": [rule("maybe")]}, 400),
        ("PUT", ONE, {"rules": [rule(action="read")]}, 400),
        ("PUT", ONE, {"rules": [rule(topic="a/#/b")]}, 400),
        ("PUT", ONE, {"rules": [rule(topic="a+")]}, 400),
        ("PUT", ONE, {"rules": [rule(topic="")]}, 400),
        ("PUT", ONE, {"rules": [rule() | {"user": 7}]}, 400),
        ("PUT", ONE, {"rules": [rule() | {"client": "x"}]}, 400),
        ("PUT", ONE, {"rules": [7]}, 400),
        ("PUT", ONE, {"rules": {}}, 400),
        ("PUT", ONE, {}, 400),
        ("POST", ONE, rule() | {"number": 2}, 400),
        ("POST", ONE, rule() | {"number": 0}, 400),
        ("DELETE", f"{ONE}/1", None, 404),
        ("DELETE", f"{ONE}/x", None, 404),
        ("GET", f"{ACLS}/none", None, 404),
    ],
)
async def test_what_is_wrong_is_refused_and_changes_nothing(
    api: Api, method: str, path: str, body: object, status: int
) -> None:
    await api(method, path, body, status=status)
    assert (await api.get(ONE))["rules"] == []


@pytest.mark.parametrize("user", ["manager", "watcher", "policy"])
async def test_they_are_for_administrators(api: Api, user: str) -> None:
    for method, path in (("GET", ACLS), ("GET", ONE), ("PUT", ONE), ("POST", ONE), ("DELETE", f"{ONE}/1")):
        await api(method, path, {}, status=401, user=user)


def test_words_and_rules_are_the_same_thing() -> None:
    for row in (rule("deny", "a.b/+/#", "publish", "ann"), rule("allow", "$SYS/#", "subscribe")):
        assert row_of(rule_of(row)) == row
