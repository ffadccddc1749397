"""685 requests that a RabbitMQ 3.10.8 was asked once, and what it answered: wrong methods, broken and mistyped bodies,
missing rights, objects that are not there, pages, columns. Hubbub answers the same, but where DEVIATIONS says why not.

`rabbitmq_answers.jsonl`: one request a line, in the order in which they were asked, with the status, the word
(`error`) and, if it is a plain sentence, the reason. `set_up` is what was there before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, login

ANSWERS = Path(__file__).with_name("rabbitmq_answers.jsonl")
THEIRS = {"configure": "^m", "write": "^m", "read": "^m"}
POLICY = {"pattern": "^q$", "priority": 1, "apply-to": "queues"}
OBJECTS: list[tuple[str, str, Any]] = [
    ("PUT", "users/mgr", {"password": "s", "tags": "management"}),
    ("PUT", "users/mon", {"password": "s", "tags": "monitoring"}),
    ("PUT", "users/pol", {"password": "s", "tags": "policymaker"}),
    ("PUT", "users/none", {"password": "s", "tags": ""}),
    ("PUT", "permissions/v1/mgr", THEIRS),
    ("PUT", "permissions/v1/pol", THEIRS),
    ("PUT", "topic-permissions/v1/mgr", {"exchange": "amq.topic", "write": ".*", "read": ".*"}),
    ("PUT", "exchanges/v1/ex", {"type": "direct"}),
    ("PUT", "queues/v1/q", {"durable": True}),
    ("PUT", "queues/v1/q2", {"durable": True}),
    ("POST", "bindings/v1/e/ex/q/q", {"routing_key": "k"}),
    ("POST", "bindings/v1/e/ex/e/amq.fanout", {"routing_key": "k2"}),
    ("PUT", "policies/v1/p", {**POLICY, "definition": {"max-length": 1000}}),
    ("PUT", "operator-policies/v1/op", {**POLICY, "definition": {"max-length": 500}}),
    ("PUT", "global-parameters/gp", {"value": {"a": 1}}),
    ("PUT", "vhost-limits/v1/max-queues", {"value": 100}),
    ("PUT", "user-limits/mgr/max-channels", {"value": 100}),
]

STRICT = "a value of the wrong type, or that means nothing, is an error"
MONITORS = "who sees everything in listings sees it by its own path, too"
VISIBLE = "whoever may enter a vhost may look at it, as in later releases"
KEPT = "parameters of components that are not here are kept: definitions pass through unharmed"
PRIVATE = "limits of users are for who sees everything"

# (pattern of `question`, our status, why), each of them one that differs
DEVIATIONS: list[tuple[str, int, str]] = [
    (r'POST /api/queues/v1/q/get {"count": -1', 400, STRICT),
    (r'POST /api/exchanges/v1/ex/publish {"properties": {"bogus": 1}', 400, STRICT),
    (r'POST /api/exchanges/v1/ex/publish {"properties": {}, "routing_key": 5', 400, STRICT),
    (r'POST /api/bindings/v1/e/ex/q/q {"routing_key": 5}', 400, STRICT),
    (r"GET /api/queues\?name=\(&use_regex=true", 400, STRICT),
    (r"GET /api/overview\?msg_rates_age=x", 400, STRICT),
    (r"PUT /api/parameters/nope/v1/x", 201, KEPT),
    (r"DELETE /api/parameters/nope/v1/x", 204, KEPT),
    (r"PUT /api/parameters/shovel/v1/x {.*pol:s", 201, KEPT),
    (r"PUT /api/global-parameters/x .*pol:s", 401, "the cluster's name is among them"),
    (r"GET /api/queues/v1/none/bindings", 404, "RabbitMQ tells of a default binding to a queue that is not there"),
    (r"GET /api/vhosts/v1 null  (mgr|pol):s", 200, VISIBLE),
    (r"GET /api/consumers/%2F null  (mgr|pol):s", 401, "as for every other listing of a vhost"),
    (r"GET /api/user-limits(/mgr)? null  (mgr|pol):s", 401, PRIVATE),
    (r"GET /api/vhosts/(v1|%2F|v1/connections) null  mon:s", 200, MONITORS),
    (r"GET /api/(queues|exchanges|bindings|policies)/(v1|%2F)(/q)? null  mon:s", 200, MONITORS),
    (r"GET /api/overview null  nobody", 401, "a broken Authorization header is no login"),
]


async def set_up(api: Api, core: Core) -> None:
    """The objects that RabbitMQ had: a queue with a consumer, one with messages, users of every kind."""
    core.broker.access.set_tags("guest", ("administrator",))
    core.broker.add_vhost("v1")
    core.broker.access.set_permission("v1", "guest", ".*", ".*", ".*")
    for method, path, body in OBJECTS:
        answer = await api.client.request(method, f"/api/{path}", json=body, headers=login("guest", "guest"))
        assert answer.status in (201, 204), path
    peer = Peer(core)
    peer.handshake("v1")
    peer.call("channel.open")
    peer.call("basic.consume", queue="q", consumer_tag="tag")
    for _ in range(5):
        peer.publish("q2", b"m")


def question(row: dict[str, Any]) -> str:
    """A request in one line: what DEVIATIONS match."""
    user = row.get("login", "guest:guest") or "nobody"
    return f"{row['method']} {row['path']} {json.dumps(row.get('body'))} {row.get('raw', '')} {user}"


async def answered(client: Client, row: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and `Allow` of one request."""
    headers = dict(row.get("headers", {}))
    user = row.get("login", "guest:guest")
    if user is not None:
        headers |= login(*user.split(":"))
    body = row["raw"].encode() if "raw" in row else None
    path = row["path"].replace("%N", "hubbub@localhost")
    answer = await client.request(row["method"], path, json=row.get("body"), data=body, headers=headers)
    text = await answer.text()
    said = json.loads(text) if text else {}
    return answer.status, said if isinstance(said, dict) else {}, answer.headers.get("Allow", "")


async def test_the_same_requests_get_the_same_answers(api: Api, client: Client, core: Core) -> None:
    await set_up(api, core)
    rows = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
    deviating: set[str] = set()
    for row in rows:
        core.pass_ms(60_000)  # nobody has to wait for having failed to log in
        status, said, allow = await answered(client, row)
        asked = question(row)
        expected = row["status"]
        for pattern, ours, _ in DEVIATIONS:
            if ours != expected and re.match(pattern, asked):
                deviating.add(pattern)
                expected = ours
                break
        if expected == 500:  # it failed, and we need not
            assert status < 500, asked
            continue
        assert status == expected, f"{asked}: expected {expected}, got {status} {said}"
        if expected == row["status"] >= 400 and status != 503 and row["method"] != "HEAD":
            assert set(said) == {"error", "reason"}, asked
            assert said["reason"], asked
        if "allow" in row and expected == 405:
            assert allow.removeprefix("HEAD, ") == row["allow"].removeprefix("HEAD, "), asked
    assert deviating == {pattern for pattern, _, _ in DEVIATIONS}, "a deviation that is none any more"


async def test_every_answer_is_one_that_the_openapi_document_has(api: Api, client: Client, core: Core) -> None:
    await set_up(api, core)
    paths = (await api.get("/api/hubbub/openapi.json"))["paths"]
    patterns = {re.compile(re.sub(r"{\w+}", "[^/]+", path)): methods for path, methods in paths.items()}
    seen = set()
    for line in ANSWERS.read_text().splitlines():
        row = json.loads(line)
        core.pass_ms(60_000)
        status, _, _ = await answered(client, row)
        path = row["path"].partition("?")[0]
        matching = [methods for pattern, methods in patterns.items() if pattern.fullmatch(path)]
        operations = [methods[row["method"].lower()] for methods in matching if row["method"].lower() in methods]
        if status != 405 and operations:
            assert any(str(status) in each["responses"] for each in operations), question(row)
            seen.add((row["method"], path))

    assert len(seen) > 150
