"""`/api/hubbub/explain`: every rule with its verdict, every way, who gets it and who does not; and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.binding import EXCHANGE, QUEUE
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter
from tests.support.mqtt_in_process import MqttClient
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, ObservedCore
from tests.unit.management.test_api_mqtt import arrive

EXPLAIN = "/api/hubbub/explain"


async def amqp(api: Api, exchange: str, routing_key: str, **more: Any) -> dict[str, Any]:
    body = {"protocol": "amqp", "exchange": exchange, "routing_key": routing_key, **more}
    found: dict[str, Any] = await api("POST", EXPLAIN, body, status=200)
    return found


async def mqtt(api: Api, topic: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = await api("POST", EXPLAIN, {"protocol": "mqtt", "topic": topic, **more}, status=200)
    return found


def outcomes(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["outcome"], row["reason"]) for row in rows}


def verdicts(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["kind"], row["verdict"]) for row in found["rules"]]


def subscribed(server: ObservedCore, client_id: str, *filters: Filter, **options: Any) -> MqttClient:
    client = arrive(server, client_id, **options)
    client.hear(codec.subscribe(V5, 1, list(filters)))
    client.talk()
    return client


async def test_bindings_that_match_and_those_that_do_not(api: Api, core: Core, peer: Peer) -> None:
    core.vhost.declare_exchange("events", "topic")
    for name, key in (("all", "a.#"), ("other", "b.*"), ("twice", "a.1"), ("twice", "x")):
        core.vhost.declare_queue(name)
        core.vhost.bind(core.vhost.exchanges["events"], core.vhost.queues[name], QUEUE, key.encode())
    peer.consume("all")
    peer.consume("all")
    found = await amqp(api, "events", "a.1")

    assert found["allowed"]
    assert found["routed"]
    assert outcomes(found["targets"]) == {
        "all": ("delivered", "to one of its 2 consumers, as soon as one has credit"),
        "twice": ("waits", "behind 0 others, as there is no consumer"),
    }
    assert outcomes(found["others"]) == {"other": ("nothing", "the binding key 'b.*' does not match")}
    (exchange,) = found["route"]
    assert [(each["binding_key"], each["matches"]) for each in exchange["bindings"]] == [
        ("a.#", True), ("b.*", False), ("a.1", True), ("x", False),
    ]  # fmt: skip
    assert len(found["targets"][0]["competing"]) == 2


async def test_ways_through_other_exchanges_and_alternates(api: Api, core: Core) -> None:
    vhost = core.vhost
    vhost.declare_exchange("first", "direct", arguments={"alternate-exchange": "rest"})
    vhost.declare_exchange("second", "fanout")
    vhost.declare_exchange("rest", "fanout")
    for name in ("end", "left"):
        vhost.declare_queue(name)
    vhost.bind(vhost.exchanges["first"], vhost.exchanges["second"], EXCHANGE, b"k")
    vhost.bind(vhost.exchanges["second"], vhost.queues["end"], QUEUE, b"")
    vhost.bind(vhost.exchanges["rest"], vhost.queues["left"], QUEUE, b"")

    found = await amqp(api, "first", "k")
    assert [(each["exchange"], each["way"], each["from"]) for each in found["route"]] == [
        ("first", "published", ""), ("second", "binding", "first"),
    ]  # fmt: skip
    assert list(outcomes(found["targets"])) == ["end"]

    found = await amqp(api, "first", "other")
    assert found["route"][0]["alternate"] == {"exchange": "rest", "exists": True}
    assert (found["route"][1]["exchange"], found["route"][1]["way"]) == ("rest", "alternate")
    assert list(outcomes(found["targets"])) == ["left"]


async def test_headers_hashes_and_the_nameless_exchange(api: Api, core: Core) -> None:
    vhost = core.vhost
    vhost.declare_exchange("hash", "x-consistent-hash")
    for name in ("h1", "h2"):
        vhost.declare_queue(name)
        vhost.bind(vhost.exchanges["hash"], vhost.queues[name], QUEUE, b"1")
    vhost.bind(vhost.exchanges["amq.headers"], vhost.queues["h1"], QUEUE, b"", {"kind": "a", "x-match": "all"})

    found = await amqp(api, "hash", "k")
    assert (len(found["targets"]), len(found["others"])) == (1, 1)
    assert found["others"][0]["reason"] == "the hash names another destination"
    found = await amqp(api, "amq.headers", "", properties={"headers": {"kind": "a"}})
    assert list(outcomes(found["targets"])) == ["h1"]
    found = await amqp(api, "amq.headers", "", properties={"headers": {"kind": "b"}})
    assert outcomes(found["others"]) == {"h1": ("nothing", "the headers do not match its arguments")}
    assert list(outcomes((await amqp(api, "amq.default", "h2"))["targets"])) == ["h2"]
    assert (await amqp(api, "amq.default", "none"))["routed"] is False


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (
            {"x-max-length": 1, "x-overflow": "reject-publish"},
            ("nothing", "the queue is full (max-length 1), and refuses"),
        ),
        ({"x-max-length": 1, "x-overflow": "drop-tail"}, ("nothing", "the queue is full (max-length 1), and drops")),
        ({"x-max-length": 1}, ("waits", "behind 1 others, as there is no consumer; the queue is full (max-length 1)")),
    ],
)
async def test_a_full_queue(
    api: Api, core: Core, peer: Peer, arguments: dict[str, Any], outcome: tuple[str, str]
) -> None:
    core.vhost.declare_queue("q", arguments=arguments)
    peer.publish("q", b"m")
    found = await amqp(api, "amq.default", "q")
    (told,) = found["targets"] + found["others"]
    assert told["outcome"] == outcome[0]
    assert told["reason"].startswith(outcome[1])


async def test_rules_with_their_verdicts(api: Api, core: Core) -> None:
    access = core.broker.access
    core.vhost.declare_queue("q")
    core.vhost.bind(core.vhost.exchanges["amq.topic"], core.vhost.queues["q"], QUEUE, b"#")
    assert verdicts(await amqp(api, "amq.topic", "a", user="admin")) == [
        ("permission", "allows"), ("topic permission", "does not apply"),
    ]  # fmt: skip
    found = await amqp(api, "amq.topic", "a", user="manager")
    assert (found["allowed"], found["rules"][0]["pattern"], found["targets"]) == (False, "^mine", [])
    assert outcomes(found["others"]) == {"q": ("nothing", "the message may not be published")}
    assert verdicts(await amqp(api, "amq.topic", "a", user="plain")) == [("vhost", "refuses")]

    access.set_topic_permission("/", "admin", "amq.topic", "^a", ".*")
    await api(
        "PUT",
        "/api/hubbub/mqtt/acls/%2F",
        {"rules": [
            {"permission": "deny", "topic": "#", "user": "manager"},
            {"permission": "deny", "topic": "#", "action": "subscribe"},
            {"permission": "deny", "topic": "b/#"},
            {"permission": "allow", "topic": "a/%c/#"},
            {"permission": "deny", "topic": "a/#"},
            {"permission": "allow", "topic": "#"},
        ]},
        status=204,
    )  # fmt: skip
    found = await mqtt(api, "a/7/t", client_id="7")
    assert found["allowed"]
    assert verdicts(found)[1:] == [
        ("topic permission", "allows"), ("rule", "does not apply"), ("rule", "does not apply"),
        ("rule", "does not apply"), ("rule", "allows"), ("rule", "not asked"), ("rule", "not asked"),
        ("default", "not asked"),
    ]  # fmt: skip
    assert found["rules"][5]["rule"] == {"permission": "allow", "action": "all", "topic": "a/%c/#", "user": None}
    found = await mqtt(api, "a/7/t", client_id="8")
    assert not found["allowed"]
    assert [row["verdict"] for row in found["rules"]].count("refuses") == 1
    assert not (await mqtt(api, "b"))["allowed"]


async def test_sessions_that_get_it_and_those_that_do_not(api: Api, server: ObservedCore, core: Core) -> None:
    subscribed(server, "near", Filter("a/+", 1))
    subscribed(server, "own", Filter("a/#", 0, no_local=True))
    subscribed(server, "away", Filter("a/1", 1), properties={"session_expiry": 100}).lose()
    subscribed(server, "elsewhere", Filter("b", 0))
    for name in ("m1", "m2"):
        subscribed(server, name, Filter("$share/g/a/1", 1))
    core.broker.access.add_user("ann", b"secret")

    found = await mqtt(api, "a/1", client_id="own", qos=1)
    assert outcomes(found["targets"]) == {
        "near": ("delivered", "to its consumer, as soon as one has credit"),
        "away": ("waits", "behind 0 others, as there is no consumer"),
        "$share/g/a.1": ("delivered", "to one of its 2 consumers, as soon as one has credit"),
    }
    (share,) = [each for each in found["targets"] if each["kind"] == "shared subscription"]
    assert sorted(each["tag"] for each in share["competing"]) == ["m1", "m2"]
    assert outcomes(found["others"]) == {
        "own": ("nothing", "no local: it is the publisher itself"),
        "elsewhere": ("nothing", "the binding key 'b' does not match"),
    }
    found = await mqtt(api, "a/1")
    assert outcomes(found["others"])["away"] == ("nothing", "QoS 0, and its client is away")
    assert outcomes(found["targets"])["own"] == ("delivered", "QoS 0, at once")

    await api(
        "POST", "/api/hubbub/mqtt/acls/%2F", {"permission": "deny", "topic": "a/1", "action": "subscribe"}, status=201
    )
    found = await mqtt(api, "a/1")
    assert outcomes(found["others"])["own"] == ("nothing", "its user may not have this topic")


async def test_what_is_retained(api: Api, server: ObservedCore) -> None:
    client = arrive(server, "lamp")
    client.hear(codec.publish(V5, "a", b"kept", retain=True))
    found = await mqtt(api, "a", retain=True)
    assert found["retained"]["now"]["payload_bytes"] == 4
    assert found["retained"]["is_replaced"]
    assert (await mqtt(api, "b"))["retained"] == {"now": None, "is_replaced": False}


async def test_asking_changes_nothing(api: Api, server: ObservedCore, core: Core, peer: Peer) -> None:
    subscribed(server, "near", Filter("#", 1))
    core.vhost.declare_queue("q")
    core.vhost.bind(core.vhost.exchanges["amq.topic"], core.vhost.queues["q"], QUEUE, b"#")
    peer.consume("q", "one")
    peer.consume("q", "two")

    def counts() -> Any:
        queues = {name: (queue.counts, queue.ready_count) for name, queue in core.vhost.queues.items()}
        return core.broker.exchange_counts(), queues, server.mqtt.counters.as_dict()

    before = counts()
    for _ in range(3):
        await mqtt(api, "a", qos=1)
    assert counts() == before
    for _ in range(2):
        peer.publish("a", b"m", exchange="amq.topic")
    assert sorted(each.fields["consumer_tag"] for each in peer.deliveries()) == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "status", "user"),
    [
        ({"exchange": "none", "routing_key": ""}, 404, "admin"),
        ({"exchange": "amq.topic"}, 400, "admin"),
        ({"exchange": "amq.topic", "routing_key": "", "vhost": "none"}, 404, "admin"),
        ({"exchange": "amq.topic", "routing_key": "", "user": "nobody"}, 400, "admin"),
        ({"exchange": "amq.topic", "routing_key": "", "user": "admin"}, 401, "manager"),
        ({"exchange": "amq.topic", "routing_key": "", "properties": {"none": 1}}, 400, "admin"),
        ({"topic": "a/#"}, 400, "admin"),
        ({"topic": ""}, 400, "admin"),
        ({"topic": "a", "qos": 3}, 400, "admin"),
        ({"topic": "a", "qos": "1"}, 400, "admin"),
        ({"topic": "a", "protocol": "smtp"}, 400, "admin"),
        ({"topic": "a", "vhost": "other"}, 401, "manager"),
        ({"topic": "a"}, 200, "manager"),
    ],
)
async def test_what_is_wrong_is_refused(api: Api, core: Core, body: dict[str, Any], status: int, user: str) -> None:
    core.broker.add_vhost("other")
    await api("POST", EXPLAIN, body, status=status, user=user)
