"""What definitions carry besides RabbitMQ's objects: MQTT's access rules, and limits of users."""

from __future__ import annotations

from typing import Any

import pytest

from broker.commands.definitions import difference, key_of, title
from tests.support.peer import Core
from tests.unit.management.conftest import Api

ACLS = "/api/hubbub/mqtt/acls/%2F"


def rule(topic: str, permission: str = "allow", action: str = "all", user: str | None = None) -> dict[str, Any]:
    return {"permission": permission, "action": action, "topic": topic, "user": user}


async def topics(api: Api) -> list[str]:
    return [each["topic"] for each in (await api.get(ACLS))["rules"]]


async def test_access_rules_go_out_and_come_back_in_their_order(api: Api) -> None:
    rules = [rule("a/+", "deny", "publish"), rule("a/#", user="guest"), rule("#", "deny")]
    await api("PUT", ACLS, {"rules": rules}, status=204)
    exported = await api.get("/api/definitions")
    assert exported["mqtt_acls"] == [{"vhost": "/", **each} for each in rules]
    assert (await api.get("/api/definitions/%2F"))["mqtt_acls"] == rules

    await api("PUT", ACLS, {"rules": [rule("#", "deny"), rule("mine")]}, status=204)
    await api("POST", "/api/definitions", {"mqtt_acls": exported["mqtt_acls"]}, status=204)
    assert await topics(api) == ["a/+", "a/#", "#", "mine"]  # nothing is removed; what is imported decides first
    await api("POST", "/api/definitions", {"mqtt_acls": exported["mqtt_acls"]}, status=204)
    assert await topics(api) == ["a/+", "a/#", "#", "mine"]


async def test_access_rules_of_one_vhost(api: Api, core: Core) -> None:
    core.broker.add_vhost("other")
    await api("POST", "/api/definitions/%2F", {"mqtt_acls": [{"permission": "allow", "topic": "t"}]}, status=204)

    assert await topics(api) == ["t"]
    other = await api.get("/api/hubbub/mqtt/acls")
    assert {each["vhost"]: len(each["rules"]) for each in other} == {"/": 1, "other": 0}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{"vhost": "/", "permission": "maybe", "topic": "t"}], "permission: expected allow or deny"),
        ([{"vhost": "/", "permission": "allow", "topic": "a/#/b"}], "topic"),
        ([{"vhost": "none", "permission": "allow", "topic": "t"}], "vhost 'none' not found"),
        ([{"permission": "allow", "topic": "t"}], "key_missing,vhost"),
        (["t"], "mqtt_acls: expected objects, got a string"),
    ],
)
async def test_wrong_access_rules_are_refused(api: Api, rows: list[Any], text: str) -> None:
    answer = await api("POST", "/api/definitions", {"mqtt_acls": rows}, status=400)
    assert text in answer["reason"]
    assert await topics(api) == []


async def test_limits_of_users_are_carried(api: Api, core: Core) -> None:
    await api("PUT", "/api/users/ann", {"password": "x", "tags": ""}, status=201)
    await api("PUT", "/api/user-limits/ann/max-channels", {"value": 7}, status=204)
    exported = await api.get("/api/definitions")
    await api("DELETE", "/api/users/ann", status=204)
    await api("DELETE", "/api/user-limits/ann/max-channels", status=404)

    await api("POST", "/api/definitions", exported, status=204)
    assert core.broker.parameters.user_limit("ann", "max-channels") == 7
    wrong = {"users": [{"name": "ann", "password_hash": "", "tags": "", "limits": {"cows": 1}}]}
    assert "cows" in (await api("POST", "/api/definitions", wrong, status=400))["reason"]


# ── the command's difference ──────────────────────────────────────────────────────────────────────────────────────────


def acls(*topics: str) -> dict[str, Any]:
    return {"mqtt_acls": [{"vhost": "/", **rule(topic)} for topic in topics]}


def test_an_access_rule_that_is_new_or_too_much_is_told() -> None:
    added, changed, extra = difference(acls("a", "b"), acls("b", "c"))

    assert [row["topic"] for _, row in added] == ["c"]
    assert [row["topic"] for _, row in extra] == ["a"]
    assert changed == []
    assert title(*added[0]) == "allow all c in /"


def test_access_rules_in_another_order_are_a_change() -> None:
    added, changed, extra = difference(acls("a", "b", "c"), acls("a", "c", "b"))

    assert (added, extra) == ([], [])
    assert [row["topic"] for _, row in changed] == ["c", "b"]


def test_what_a_rule_does_not_say_is_what_it_means() -> None:
    short = {"vhost": "/", "permission": "allow", "topic": "t"}
    assert key_of("mqtt_acls", short) == key_of("mqtt_acls", {"vhost": "/", **rule("t")})


def test_a_users_limits_and_global_parameters_are_compared() -> None:
    found = {"users": [{"name": "a", "limits": {}}], "global_parameters": [{"name": "g", "value": 1}]}
    wanted = {"users": [{"name": "a", "limits": {"max-channels": 1}}], "global_parameters": [{"name": "g", "value": 2}]}
    _, changed, _ = difference(found, wanted)

    assert [section for section, _ in changed] == ["users", "global_parameters"]
