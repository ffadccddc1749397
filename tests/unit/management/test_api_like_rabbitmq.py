"""What a RabbitMQ 3.10.8 was asked once, and answered: wrong methods, broken and mistyped bodies, missing rights,
objects that are not there, pages, columns, samples; and every route that both have, as each kind of user, in a vhost of
theirs and in one that is not. Hubbub answers the same, in statuses, words, headers, keys and types, but where a list
below says why not. Each entry of a list must be needed.

`rabbitmq_answers.jsonl` and `tests.support.recorded_api`: the requests, and how they were recorded.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from yarl import URL

from broker.management import views
from tests.support import recorded_api as recorded
from tests.support.peer import Core, Peer
from tests.support.recorded_api import Row, question
from tests.unit.management.conftest import Api, Client, ObservedCore, login

STRICT = "a value of the wrong type, or that means nothing, is an error"
MONITORS = "who sees everything in listings sees it by its own path, too"
VISIBLE = "whoever may enter a vhost may look at it, as in later releases"
KEPT = "parameters of components that are not here are kept: definitions pass through unharmed"
PRIVATE = "limits of users are for who sees everything"
NOT_TOLD = "whether somebody else's connection is there is nobody's business"
LENIENT = "what is asked for can be answered"
ADMINISTRATORS = "what changes the broker is for administrators"

# (pattern of `question`, our status, why), each of them one that differs
STATUSES: list[tuple[str, int, str]] = [
    (r'POST /api/queues/v1/q/get {"count": -1', 400, STRICT),
    (r'POST /api/exchanges/v1/ex/publish {"properties": {"bogus": 1}', 400, STRICT),
    (r'POST /api/exchanges/v1/ex/publish {"properties": {}, "routing_key": 5', 400, STRICT),
    (r'POST /api/bindings/v1/e/ex/q/q {"routing_key": 5}', 400, STRICT),
    (r"GET /api/queues\?name=\(&use_regex=true", 400, STRICT),
    (r"GET /api/overview\?msg_rates_age=x", 400, STRICT),
    (r'PUT /api/vhosts/v2 {"description": 5}', 400, STRICT),
    (r'PUT /api/policies/v1/y7 .*"priority": 1.5', 400, STRICT),
    (r'PUT /api/topic-permissions/v1/mgr {"exchange": 5', 400, STRICT),
    (r'POST /api/definitions {"bindings": .*"source": "none"', 400, STRICT),
    (r"PUT /api/parameters/nope/v1/x", 201, KEPT),
    (r"DELETE /api/parameters/nope/v1/x", 204, KEPT),
    (r"PUT /api/parameters/shovel/v1/x {.*pol:s", 201, KEPT),
    (r'POST /api/definitions {"parameters": .*"component": "nope"', 204, KEPT),
    (r"PUT /api/global-parameters/(x|gp) .*pol:s", 401, "the cluster's name is among them"),
    (r"DELETE /api/global-parameters/gp .*pol:s", 401, "the cluster's name is among them"),
    (r"DELETE /api/auth/attempts/%N(/source)? null  mon:s", 401, ADMINISTRATORS),
    (r"GET /api/queues/v1/none/bindings", 404, "RabbitMQ tells of a default binding to a queue that is not there"),
    (r"GET /api/vhosts/v1 null  (mgr|pol):s", 200, VISIBLE),
    (r"GET /api/policies/v1/p null  mgr:s", 200, VISIBLE),
    (r"GET /api/consumers/(%2F|hidden) null  (mgr|pol):s", 401, "as for every other listing of a vhost"),
    (r"GET /api/user-limits(/mgr|/hidden)? null  (mgr|pol):s", 401, PRIVATE),
    (r"GET /api/vhosts/(v1|%2F|hidden)(/connections|/channels)? null  mon:s", 200, MONITORS),
    (r"GET /api/(queues|exchanges|bindings|policies|operator-policies)/\S+ null  mon:s", 200, MONITORS),
    (r"GET /api/overview null  nobody", 401, "a broken Authorization header is no login"),
    (r"\w+ /api/(connections|channels)/%C\S* null  (mgr|pol):s", 404, NOT_TOLD),
    (r"GET /api/(channels|consumers/v1)\?disable_stats=true", 200, LENIENT),
    (r"GET /api/overview null  guest:guest", 200, LENIENT),  # Accept: application/xml
    (r'PUT /api/queues/v1/d9 {"node": "nope@nowhere"}', 201, "there is one node, whatever it is called"),
    (r'POST /api/exchanges/v1/ex/publish .*"c": {"d": null}', 200, "null is a value that AMQP has"),
    (r"POST /api/(queues/nov/q2/get|exchanges/nov/ex/publish)", 404, "the vhost is not there"),
    (r"GET /api/auth/hash_password/x", 200, "later releases have it"),
    (r"OPTIONS /api/none", 404, "it is not there"),
]

ERLANG = "it is a term of Erlang's"
# (pattern of `question`, why): both refuse, in other words
WORDS: list[tuple[str, str]] = [
    (r"GET /api/overview null  nobody", "it says what is wrong with the login"),
    (r"(GET|PUT|DELETE) /api/(operator-)?policies/hidden/hidden-p ", "it says which right is missing"),
    (r"(PUT|POST) /api/definitions", "it says what is missing in words that mean something"),
    (r"POST /api/exchanges/v1/ex/publish {} ", "Erlang breaks lines"),
    (r"GET /api/vhosts/(%2F|hidden) ", "it says which right is missing"),
    (r'PUT /api/queues/v1/q {"durable": true, "arguments": {"x-max-length": 5}}', "JSON has one type of integers"),
    (r'PUT /api/policies/v1/x6 .*"apply-to": "nope"', "later releases have more to apply to"),
    (r"DELETE /api/auth/attempts/%N(/source)? ", ADMINISTRATORS),
]

ERLANGS = "Erlang's, or of a part that is not here: nothing stands behind it"
UNCOUNTED = "not counted: it would cost every message"
COLUMNS = "columns narrow single objects, too"
EMPTY = "an empty object is {}, as JSON has it, not []"
# (pattern of a key's or type's path, below the kind of object; why RabbitMQ has it and Hubbub does not)
SHAPES: list[tuple[str, str]] = [
    (r"\w+ .*\.(reductions|garbage_collection|backing_queue_status)(_details)?$", ERLANGS),
    (r"nodes .*\.(gc_\w+|mnesia_\w+|msg_store_\w+|queue_index_\w+|metrics_gc_queue_length|net_ticktime)$", ERLANGS),
    (r"nodes .*\.(io_read\w*|io_reopen\w*|io_seek\w*|io_write_avg_time\w*|io_sync_avg_time_details)$", ERLANGS),
    (r"nodes .*\.(ra_open_file_metrics|quorum_queue_dlx_procs)$", ERLANGS),
    (r"nodes .*\.db_dir$|nodes .*\.(config_files|log_files)\[\] is empty$", "paths of the machine are not told"),
    (r"(overview|nodes) .*contexts\[\]\.cowboy_opts$", ERLANGS),
    (r"overview \.listeners\[\]\.socket_opts$", ERLANGS),
    (r"overview \.message_stats\.disk_(reads|writes)(_details)?$", ERLANGS),
    (r"overview \.release_series_support_status$", "there are no series of releases"),
    (r"(queues|vhosts) .*\.(messages|message_bytes)_persistent$", UNCOUNTED),
    (r"queues .*\.incoming\[\] is empty$|exchanges .*\.outgoing\[\] is empty$", UNCOUNTED),
    (r"(channels|exchanges) .*\.stats\.confirm(_details)?$", "confirms are a channel's: batches know no exchanges"),
    (r"(connections|vhosts) .*\.(recv|send)_cnt$", "packets are the kernel's: octets are counted"),
    (r"connections \.(peer_cert|ssl)_\w+: str, not null$", "what is not there is null, as in its own listings"),
    (r"connections \.\w+$", COLUMNS),
    (r"overview \.object_totals\.\w+$|overview : list, not object$", COLUMNS),
    (r"(bindings|users) : list, not object$", "what is asked for in pages comes in pages"),
    (r"queues (\.items)?\[\]: list, not object$|queues \[\]\.properties: list, not object$", EMPTY),
    (r"queues \[\]\.properties\.\w+$", EMPTY),
    (r"queues .*policy: str, not null$", "what is not there is null, as in its own listings"),
    (r"queues .*\.effective_policy_definition\.\w+(-\w+)*$", "the order of queues that are not sorted is nobody's"),
    (r"queues \[\]\.arguments\.x-max-length$", "a name filters without pages, too"),
    (r"queues \[\] is empty$", "a name that is no UTF-8 matches nothing"),
    (r"vhosts .*\.messages\w*_details\.(avg|avg_rate|samples)$", "lengths have samples by lengths_age"),
    (r"extensions \[\] is empty$|parameters \[\] is empty$|feature-flags \[\] is empty$", "there are none"),
]


async def set_up(api: Api, core: Core, server: ObservedCore) -> str:
    """What `recorded_api.OBJECTS` says, and the client's doings; the connection's name."""
    for name, port in (("management", 15672), ("metrics", 15692)):
        server.listeners.append(SimpleNamespace(name=name, address="127.0.0.1", port=port, tls=None))
    core.broker.access.set_tags("guest", ("administrator",))
    for method, path, body in recorded.OBJECTS:
        answer = await api.client.request(method, f"/api/{path}", json=body, headers=login("guest", "guest"))
        assert answer.status in (201, 204), path
    peer = Peer(core)
    peer.handshake("v1")
    peer.call("channel.open")
    peer.call("confirm.select")
    peer.consume("q", "tag")
    for exchange, key, count in (("ex", "k", 3), ("ex", "unbound", 1), ("", "q2", 6)):
        for _ in range(count):
            peer.publish(key, b"m", exchange=exchange)
    core.commit()
    for each in (*peer.deliveries(), peer.got("q2")):
        peer.send("basic.ack", delivery_tag=each.tag)
    core.commit()
    return views.connection_name(peer.connection)


async def answered(client: Client, row: Row, connection: str) -> Row:
    """What Hubbub says to a request."""
    url = URL(recorded.path_of(row, views.NODE, connection), encoded=True)
    body, headers = recorded.request_body(row), recorded.request_headers(row)
    if body is not None:
        headers["Content-Type"] = "application/json"
    answer = await client.request(row["method"], url, data=body, headers=headers)
    return recorded.answer_of(row, answer.status, answer.headers.items(), await answer.read(), views.NODE)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return recorded.rows()


async def test_the_same_requests_get_the_same_answers(
    api: Api, client: Client, core: Core, server: ObservedCore, rows: list[Row]
) -> None:
    connection = await set_up(api, core, server)
    needed: set[str] = set()
    wrong: list[str] = []
    for row in rows:
        core.pass_ms(60_000)  # nobody has to wait for having failed to log in
        got = await answered(client, row, connection)
        core.commit()
        wrong += [f"{question(row)}: {each}" for each in differences(row, got, needed)]

    assert not wrong, "\n".join(wrong)
    listed = {pattern for each in (STATUSES, WORDS, SHAPES) for pattern, *_ in each}
    assert listed - needed == set(), "deviations that are none any more"


def differences(row: Row, got: Row, needed: set[str]) -> list[str]:
    """In statuses, words, headers and shapes; `needed`: the deviations that explain some of them."""
    status, asked = row["status"], question(row)
    if got["status"] != status:
        if status == 500:  # it failed, and we need not
            return [f"{got['status']}"] if got["status"] >= 500 else []
        for pattern, ours, _ in STATUSES:
            if ours == got["status"] and re.match(pattern, asked):
                needed.add(pattern)
                return []
        return [f"expected {status}, got {got['status']} {got.get('reason')}"]
    return [*words(row, got, needed), *headers(row, got), *shapes(row, got, needed)]


def words(row: Row, got: Row, needed: set[str]) -> list[str]:
    """`error` and `reason`."""
    theirs, ours = (row.get("error"), row.get("reason")), (got.get("error"), got.get("reason"))
    if row["status"] < 400 or row["status"] == 503 or row["method"] == "HEAD" or theirs == ours:
        return []
    if not isinstance(ours[1], str) or not ours[1]:
        return [f"no reason, but {got}"]
    is_term = isinstance(theirs[1], list) or any(each in str(theirs[1]) for each in ("<<", "&lt;", '{"', "{'EXIT'"))
    if theirs[1] is None or (is_term and theirs[0] == ours[0]):  # it says nothing, or ERLANG
        return []
    for pattern, _ in WORDS:
        if re.match(pattern, question(row)):
            needed.add(pattern)
            return []
    return [f"expected {theirs}, got {ours}"]


def headers(row: Row, got: Row) -> list[str]:
    """Those that mean something to clients. Nothing is negotiated here, so that nothing varies."""
    theirs, ours = dict(row["sent"]), dict(got["sent"])
    for sent in (theirs, ours):
        sent.pop("vary", None)
        sent["allow"] = sent.get("allow", "").removeprefix("HEAD, ")  # whatever can be got has a head
        if "www-authenticate" in sent:
            sent["www-authenticate"] = sent["www-authenticate"].partition(" realm=")[0]
        if "location" in sent:
            sent["location"] = re.sub(r"~.+", "~…", sent["location"])  # the digest of a binding's arguments
    if "error" not in row:  # RabbitMQ says no word, and so has no type of it
        theirs.pop("content-type", None)
        ours.pop("content-type", None)
    if row["status"] >= 400:
        theirs.pop("cache-control", None)
    return [] if theirs == ours else [f"expected {theirs}, got {ours}"]


def shapes(row: Row, got: Row, needed: set[str]) -> list[str]:
    """Keys and types that RabbitMQ has."""
    if "shape" not in row:
        return []
    kind = re.split(r"[/?]", row["path"])[2]
    found = []
    for each in recorded.missing(row["shape"], got.get("shape", {})):
        if ".client_properties." in each:  # they are the client's
            continue
        explained = [pattern for pattern, _ in SHAPES if re.match(pattern, f"{kind} {each}")]
        needed.update(explained)
        found += [] if explained else [f"missing {kind} {each}"]
    return found


async def test_every_answer_is_one_that_the_openapi_document_has(
    api: Api, client: Client, core: Core, server: ObservedCore, rows: list[Row]
) -> None:
    connection = await set_up(api, core, server)
    paths = (await api.get("/api/hubbub/openapi.json"))["paths"]
    patterns = {re.compile(re.sub(r"{\w+}", "[^/]+", path)): methods for path, methods in paths.items()}
    seen = set()
    for row in rows:
        core.pass_ms(60_000)
        status = (await answered(client, row, connection))["status"]
        core.commit()
        path = row["path"].partition("?")[0]
        matching = [methods for pattern, methods in patterns.items() if pattern.fullmatch(path)]
        operations = [methods[row["method"].lower()] for methods in matching if row["method"].lower() in methods]
        if status != 405 and operations:
            assert any(str(status) in each["responses"] for each in operations), question(row)
            seen.add((row["method"], path))

    assert len(seen) > 150


async def test_what_is_hidden_is_told_to_nobody_who_may_not_see_it(
    api: Api, client: Client, core: Core, server: ObservedCore, rows: list[Row]
) -> None:
    """Of every request of a user without a right in the vhost `hidden`: no answer names what is there."""
    connection = await set_up(api, core, server)
    told: dict[str, int] = {}
    for row in rows:
        user = row.get("login", "")
        if user not in ("mgr:s", "pol:s", "none:s") or "hidden" in str(row.get("body")):
            continue
        core.pass_ms(60_000)
        url = URL(recorded.path_of(row, views.NODE, connection), encoded=True)
        answer = await client.request(
            row["method"], url, data=recorded.request_body(row), headers=recorded.request_headers(row)
        )
        text = await answer.text()
        told[user] = told.get(user, 0) + 1
        if answer.status < 400:
            assert "hidden" not in text, question(row)
        for secret in ("hidden-key", "9000000"):
            assert secret not in text, question(row)

    assert min(told.values()) > 100


def test_a_shape_tells_keys_and_types_at_every_depth() -> None:
    theirs: Any = recorded.shape([{"a": 1, "b": {"c": [True]}}, {"a": None, "b": {"c": []}}])
    assert theirs == [{"a": {"any": ["null", "num"]}, "b": {"c": {"any": [["bool"], []]}}}] or theirs == [
        {"a": {"any": ["num", "null"]}, "b": {"c": [["bool"]][0]}}
    ]
    assert recorded.missing(recorded.shape({"a": 1, "b": {"c": "x"}}), recorded.shape({"a": "1", "b": {}})) == [
        ".a: num, not str",
        ".b.c",
    ]
