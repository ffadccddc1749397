"""`/api/hubbub/mqtt`: sessions, subscriptions and retained messages, and who may see and end them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from broker.core.message import Message
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_in_process import MqttClient
from tests.support.peer import Core
from tests.unit.management.conftest import Api, ObservedCore

MQTT = "/api/hubbub/mqtt"
NO_PROPERTIES = b"\0\0"


def arrive(server: ObservedCore, client_id: str, version: int = V5, **options: Any) -> MqttClient:
    """A client that is connected."""
    inside: Any = SimpleNamespace(broker=server.broker, mqtt=server.mqtt, commit=server.core.commit)
    client = MqttClient(inside, version, "127.0.0.1:5000")
    client.hear(codec.connect(version, client_id, user="admin", password="secret", **options))
    assert client.talk()[0].reason == 0
    return client


def retain(core: Core, topic: bytes, body: bytes) -> None:
    core.vhost.retained.keep(Message(b"amq.topic", topic.translate(bytes.maketrans(b"/.", b"./")), NO_PROPERTIES, body))


async def test_a_session_is_shown_while_connected_and_while_it_waits(api: Api, server: ObservedCore) -> None:
    client = arrive(server, "lamp", properties={"session_expiry": 60}, keep_alive=30)
    client.hear(codec.subscribe(V5, 1, [Filter("home/+/set", 1)], {"subscription_identifier": [7]}))
    client.talk()

    (listed,) = await api.get(f"{MQTT}/sessions")
    assert (listed["client_id"], listed["connected"], listed["stored"], listed["protocol"]) == (
        "lamp", True, True, "MQTT 5-0",
    )  # fmt: skip
    assert (listed["user"], listed["peer"], listed["keep_alive_s"]) == ("admin", "127.0.0.1:5000", 30)
    assert (listed["expiry_interval_s"], listed["expires_in_s"]) == (60, None)

    client.lose()
    server.core.pass_ms(20_000)
    found = await api.get(f"{MQTT}/sessions/%2F/lamp")
    assert (found["connected"], found["queued"], found["peer"], found["expires_in_s"]) == (False, 0, None, 40)
    (held,) = found["subscriptions"]
    assert (held["topic_filter"], held["qos"], held["identifier"], held["share_name"]) == ("home/+/set", 1, 7, None)
    assert await api.get(f"{MQTT}/sessions/%2F/nobody", status=404) == {
        "error": "Object Not Found", "reason": "Not Found",
    }  # fmt: skip


async def test_what_waits_and_what_is_in_flight_is_counted(api: Api, server: ObservedCore) -> None:
    client = arrive(server, "slow", properties={"session_expiry": 60, "receive_maximum": 1})
    client.hear(codec.subscribe(V5, 1, [Filter("t", 1)]))
    client.hear(codec.publish(V5, "t", b"one", qos=1, packet_id=2) + codec.publish(V5, "t", b"two", qos=1, packet_id=3))
    client.talk()

    found = await api.get(f"{MQTT}/sessions/%2F/slow")
    assert (found["inflight"], found["queued"], found["queued_bytes"]) == (1, 1, 3)
    assert found["queue"] == "mqtt-subscription-slowqos1"


@pytest.mark.parametrize(("version", "said"), [(V5, ["disconnect"]), (V311, [])])
async def test_an_operator_ends_a_session(api: Api, server: ObservedCore, version: int, said: list[str]) -> None:
    options = {"clean": False} if version == V311 else {"properties": {"session_expiry": 60}}
    client = arrive(server, "lamp", version, **options)
    await api("DELETE", f"{MQTT}/sessions/%2F/lamp", status=401, user="manager")

    await api("DELETE", f"{MQTT}/sessions/%2F/lamp", status=204)

    assert client.is_over
    heard = client.talk()
    assert [each.name for each in heard] == said
    assert [each.reason for each in heard] == [0x98] * len(said)
    assert await api.get(f"{MQTT}/sessions") == []
    await api("DELETE", f"{MQTT}/sessions/%2F/lamp", status=404)


async def test_subscriptions_are_listed_searched_and_paged(api: Api, server: ObservedCore) -> None:
    client = arrive(server, "lamp")
    filters = ["a/#", "$share/team/b/+", "c"]
    client.hear(codec.subscribe(V5, 1, [Filter(each, 0) for each in filters]))
    client.talk()

    assert {each["topic_filter"] for each in await api.get(f"{MQTT}/subscriptions")} == set(filters)
    found = await api.get(f"{MQTT}/subscriptions?name=team&page=1&page_size=2")
    assert (found["filtered_count"], found["total_count"]) == (1, 3)
    assert (found["items"][0]["share_name"], found["items"][0]["client_id"]) == ("team", "lamp")
    assert await api.get(f"{MQTT}/subscriptions/none", status=404)


async def test_whoever_sees_no_connections_of_others_learns_none_here(api: Api, server: ObservedCore) -> None:
    server.broker.add_vhost("other")
    arrive(server, "lamp")

    (seen,) = await api.get(f"{MQTT}/sessions", user="manager")
    assert (seen["client_id"], seen["user"], seen["peer"], seen["listener"]) == ("lamp", None, None, None)
    assert (await api.get(f"{MQTT}/sessions/%2F/lamp", user="manager"))["peer"] is None
    assert (await api.get(f"{MQTT}/sessions/%2F/lamp", user="watcher"))["peer"] == "127.0.0.1:5000"
    await api.get(f"{MQTT}/sessions/other", user="manager", status=401)


async def test_retained_messages_are_found_by_filter_read_and_cleared(api: Api, core: Core) -> None:
    for topic, body in (
        (b"home/kitchen/temp", b"21"), (b"home/hall/temp", b"19"), (b"/v1.2//odd", b"\xff\x00"), (b"long", b"x" * 999),
    ):  # fmt: skip
        retain(core, topic, body)

    found = await api.get(f"{MQTT}/retained/%2F?filter={quote('home/+/temp')}")
    assert sorted((each["topic"], each["payload"], each["vhost"]) for each in found["items"]) == [
        ("home/hall/temp", "19", "/"), ("home/kitchen/temp", "21", "/"),
    ]  # fmt: skip
    assert (found["filtered_count"], found["total_count"]) == (2, 4)
    pages = [await api.get(f"{MQTT}/retained?page={page}&page_size=3") for page in (1, 2, 3)]
    assert [each["item_count"] for each in pages] == [3, 1, 0]
    assert len({item["topic"] for each in pages for item in each["items"]}) == 4

    odd = f"{MQTT}/retained/%2F/{quote('/v1.2//odd', safe='')}"
    assert (await api.get(odd))["payload"] == "/wA="
    long = await api.get(f"{MQTT}/retained/%2F?filter=long")
    assert (len(long["items"][0]["payload"]), long["items"][0]["payload_bytes"]) == (256, 999)
    assert len((await api.get(f"{MQTT}/retained/%2F/long"))["payload"]) == 999

    await api("DELETE", odd, status=204)
    await api("DELETE", odd, status=404)
    await api.get(odd, status=404)


async def test_a_preview_is_cut_between_characters(api: Api, core: Core) -> None:
    retain(core, b"t", ("x" + "é" * 200).encode())

    found = await api.get(f"{MQTT}/retained")
    assert (found["items"][0]["payload_encoding"], found["items"][0]["payload"]) == ("string", "x" + "é" * 127)


async def test_retained_messages_are_for_whoever_may_read_and_write_topics(api: Api, core: Core) -> None:
    retain(core, b"secret", b"1")

    assert (await api.get(f"{MQTT}/retained", user="manager"))["total_count"] == 0
    for path in (f"{MQTT}/retained/%2F", f"{MQTT}/retained/%2F/secret"):
        await api.get(path, user="manager", status=401)
    await api("DELETE", f"{MQTT}/retained/%2F/secret", status=401, user="manager")
    assert core.vhost.retained.get(b"secret") is not None


@pytest.mark.parametrize("query", ["filter=a%2F%23%2Fb", "filter=", "filter=a%2B", "page=0", "page=x", "page_size=501"])
async def test_nonsense_is_refused_in_words(api: Api, query: str) -> None:
    refused = await api.get(f"{MQTT}/retained?{query}", status=400)

    assert refused["error"] in ("bad_request", "invalid_pagination_parameters")
    assert len(refused["reason"]) > 10
