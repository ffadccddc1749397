"""What a RabbitMQ's management API was asked and answered, and what there was before: recorded once, compared for ever.

Owns the file's form, the broker that is asked (objects, a client that publishes and consumes), and what of an answer is
worth comparing: statuses, errors word for word, headers, and of successes the keys and the JSON types at every depth.
Refuses to know Hubbub.

    python -m tests.support.recorded_api http://127.0.0.1:15672 127.0.0.1:5672

asks a fresh RabbitMQ (with `collect_statistics_interval = 1000`, `management.rates_mode = detailed`) every request of
the file again, and writes the answers down. A new line needs only `method` and `path`, and what is sent: `body` or
`raw`, `headers`, `login`.
"""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

ANSWERS = Path(__file__).parents[1] / "unit" / "management" / "rabbitmq_answers.jsonl"
SENT = ("method", "path", "body", "raw", "headers", "login")
"""What a line says of the request; the rest is the answer."""
HEADERS = ("allow", "content-type", "location", "cache-control", "vary", "www-authenticate")
CORS = "access-control-"

THEIRS = {"configure": "^m", "write": "^m", "read": "^m"}
POLICY = {"pattern": "^q$", "priority": 1, "apply-to": "queues"}
OBJECTS: list[tuple[str, str, Any]] = [
    ("PUT", "vhosts/v1", {"description": "first", "tags": "a,b"}),
    ("PUT", "users/mgr", {"password": "s", "tags": "management"}),
    ("PUT", "users/mon", {"password": "s", "tags": "monitoring"}),
    ("PUT", "users/pol", {"password": "s", "tags": "policymaker"}),
    ("PUT", "users/none", {"password": "s", "tags": ""}),
    ("PUT", "permissions/v1/guest", {"configure": ".*", "write": ".*", "read": ".*"}),
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
    # What the others may not see:
    ("PUT", "vhosts/hidden", {}),
    ("PUT", "users/hidden", {"password": "s", "tags": "administrator"}),
    ("PUT", "permissions/hidden/guest", {"configure": ".*", "write": ".*", "read": ".*"}),
    ("PUT", "exchanges/hidden/hidden-x", {"type": "topic", "durable": True}),
    ("PUT", "queues/hidden/hidden-q", {"durable": True, "arguments": {"x-max-length": 9_000_000}}),
    ("POST", "bindings/hidden/e/hidden-x/q/hidden-q", {"routing_key": "hidden-key"}),
    ("PUT", "policies/hidden/hidden-p", {**POLICY, "pattern": "hidden", "definition": {"max-length": 9}}),
    ("PUT", "operator-policies/hidden/hidden-p", {**POLICY, "pattern": "hidden", "definition": {"max-length": 9}}),
    ("PUT", "vhost-limits/hidden/max-queues", {"value": 9}),
    ("PUT", "user-limits/hidden/max-channels", {"value": 9}),
    ("PUT", "topic-permissions/hidden/hidden", {"exchange": "hidden-x", "write": ".*", "read": ".*"}),
]
"""Then, in v1, on one channel with confirms: a consumer `tag` of `q`; three messages to `ex` with key `k`, which it
acknowledges, and one with a key that nobody has bound; six to `q2`, of which one is got and acknowledged."""

Row = dict[str, Any]


def rows() -> list[Row]:
    """The lines of the file, in the order in which they were asked."""
    return [json.loads(line) for line in ANSWERS.read_text().splitlines()]


def question(row: Row) -> str:
    """A request in one line."""
    user = row.get("login", "guest:guest") or "nobody"
    return f"{row['method']} {row['path']} {json.dumps(row.get('body'))} {row.get('raw', '')} {user}"


def request_headers(row: Row) -> dict[str, str]:
    """With the login."""
    headers: dict[str, str] = dict(row.get("headers", {}))
    user = row.get("login", "guest:guest")
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    return headers


def request_body(row: Row) -> bytes | None:
    """The bytes that are sent."""
    if "raw" in row:
        return str(row["raw"]).encode("utf-8", "surrogateescape")
    return json.dumps(row["body"]).encode() if "body" in row else None


def answer_of(row: Row, status: int, headers: Iterable[tuple[str, str]], body: bytes, node: str) -> Row:
    """What is written down of an answer; of successes the shape, as an administrator sees it."""
    body = body.replace(node.encode(), b"%N")
    kept = {name.lower(): value for name, value in headers if name.lower() in HEADERS or name.lower().startswith(CORS)}
    answer: Row = {"status": status, "sent": dict(sorted(kept.items()))}
    try:
        value = json.loads(body) if body else None
    except ValueError:
        return answer
    if status >= 400 and isinstance(value, dict):
        answer |= {word: value[word] for word in ("error", "reason") if word in value}
        if "error" not in value:
            answer["shape"] = shape(value)
    elif body and row["method"] != "HEAD" and "login" not in row:
        answer["shape"] = shape(value)
    return answer


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

Shape = Any
"""Of a value: `"str"`, `"num"`, `"bool"` or `"null"`; `{key: shape}`; `[]`, or `[shape]` of all elements in one, whose
keys end in `?` where not each element has them. Several in one: `{"any": [shape, …]}`."""


def shape(value: Any) -> Shape:
    """The keys and types of a JSON value."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [merged(list(map(shape, value)))] if value else []
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "num" if isinstance(value, int | float) else "str"


def merged(shapes: list[Shape]) -> Shape:
    """Several shapes as one."""
    kinds: list[Shape] = list(dict.fromkeys(each for each in shapes if isinstance(each, str)))
    tables = [each for each in shapes if isinstance(each, dict)]
    lists = [each for each in shapes if isinstance(each, list)]
    if tables:
        keys = sorted({key for each in tables for key in each})
        kinds.append(
            {
                key if all(key in each for each in tables) else f"{key}?": merged([e[key] for e in tables if key in e])
                for key in keys
            }
        )
    if lists:
        inner = [each[0] for each in lists if each]
        kinds.append([merged(inner)] if inner else [])
    return kinds[0] if len(kinds) == 1 else {"any": kinds}


def alternatives(of: Shape) -> list[Shape]:
    """What a value of that shape may be."""
    return of["any"] if isinstance(of, dict) and set(of) == {"any"} else [of]


def missing(theirs: Shape, ours: Shape, path: str = "") -> list[str]:
    """What `theirs` has and `ours` has not: paths (`.key`, `[]`), with the types where these differ."""
    found: list[str] = []
    for want in alternatives(theirs):
        for have in alternatives(ours):
            if isinstance(want, dict) and isinstance(have, dict):
                for key, inner in want.items():
                    name = key.removesuffix("?")
                    if name in have or (key.endswith("?") and key in have):
                        found += missing(inner, have[name if name in have else key], f"{path}.{name}")
                    else:
                        found.append(f"{path}.{name}")
            elif isinstance(want, list) and isinstance(have, list) and want:
                found += missing(want[0], have[0], f"{path}[]") if have else [f"{path}[] is empty"]
    kinds = [set(map(kind, alternatives(each))) for each in (theirs, ours)]
    if not kinds[1] <= kinds[0]:
        found.append(f"{path}: {'|'.join(sorted(kinds[0]))}, not {'|'.join(sorted(kinds[1] - kinds[0]))}")
    return found


def kind(of: Shape) -> str:
    """The JSON type of a shape."""
    return of if isinstance(of, str) else "object" if isinstance(of, dict) else "list"


# ── recording ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def path_of(row: Row, node: str, connection: str) -> str:
    """The path, with the names that only a running broker knows: `%N` is the node's, `%C` the client's connection's."""
    return str(row["path"]).replace("%N", node).replace("%C", quote(connection, safe=""))


def asked(url: str, row: Row, node: str, connection: str = "") -> Row:
    """The row with the answer that it gets now."""
    request = urllib.request.Request(
        url + path_of(row, node, connection), request_body(row), request_headers(row), method=row["method"]
    )
    if request.data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = answer_of(row, answer.status, answer.headers.items(), answer.read(), node)
    except urllib.error.HTTPError as error:
        got = answer_of(row, error.code, error.headers.items(), error.read(), node)
    return {**{word: row[word] for word in SENT if word in row}, **got}


def record(url: str, host: str, port: int) -> None:
    """Set a RabbitMQ up, ask it everything, and write the file anew."""
    import pika
    import pika.exceptions

    overview = urllib.request.Request(f"{url}/api/overview", headers=request_headers({}))
    node = json.loads(urllib.request.urlopen(overview).read())["node"]
    for method, path, body in OBJECTS:
        made = asked(url, {"method": method, "path": f"/api/{path}", "body": body}, node)
        assert made["status"] in (201, 204), (path, made)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, port, "v1"))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_consume("q", lambda ch, deliver, *_: ch.basic_ack(deliver.delivery_tag), consumer_tag="tag")
    for exchange, key, count in (("ex", "k", 3), ("ex", "unbound", 1), ("", "q2", 6)):
        for _ in range(count):
            channel.basic_publish(exchange, key, b"m")
    method, _, _ = channel.basic_get("q2")
    channel.basic_ack(method.delivery_tag)
    until = time.monotonic() + 6
    while time.monotonic() < until:  # RabbitMQ's statistics come now and then
        connection.process_data_events(0.5)
    listed = urllib.request.Request(f"{url}/api/connections", headers=request_headers({}))
    (name,) = (each["name"] for each in json.loads(urllib.request.urlopen(listed).read()))
    answers = []
    for row in rows():
        answers.append(asked(url, row, node, name))
        if connection.is_open:  # one of the last requests closes it
            with suppress(pika.exceptions.AMQPError):
                connection.process_data_events(0)
            if not connection.is_open:
                print("closed by", question(row))
    ANSWERS.write_text("".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in answers))


if __name__ == "__main__":
    address, _, amqp_port = sys.argv[2].rpartition(":")
    record(sys.argv[1], address, int(amqp_port))
