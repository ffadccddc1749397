"""`/api/hubbub/traces` and the firehose's switch: shapes, refusals, rights."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.firehose import TRACE_EXCHANGE
from broker.core.message import Message

pytestmark = pytest.mark.asyncio(loop_scope="function")


def publish(server: Any, exchange: str, key: bytes) -> None:
    server.core.vhost.exchanges[exchange].publish_message(Message(exchange.encode(), key, b"\0\0", b"body"))


async def test_a_trace_tells_what_happened_to_the_messages_it_chose(api: Any, server: Any) -> None:
    server.core.vhost.declare_queue("q")
    begun = await api("POST", "/api/hubbub/traces", {"queue": "q", "messages_max": 1}, status=201)
    assert begun["running"]
    assert begun["filter"]["queue"] == "q"
    publish(server, "", b"q")
    publish(server, "", b"other")
    shown = await api.get(f"/api/hubbub/traces/{begun['id']}")
    assert [(each["event"], each["queue"]) for each in shown["events"]] == [("published", ""), ("enqueued", "q")]
    assert shown["messages"] == 1
    assert shown["events"][0]["payload_bytes"] == 4
    assert "body" not in str(shown)
    later = await api.get(f"/api/hubbub/traces/{begun['id']}?after=1&count=5")
    assert [each["number"] for each in later["events"]] == [2]
    assert [each["id"] for each in await api.get("/api/hubbub/traces")] == [begun["id"]]
    await api("DELETE", f"/api/hubbub/traces/{begun['id']}", status=204)
    await api.get(f"/api/hubbub/traces/{begun['id']}", status=404)
    assert server.core.vhost.watch is None


async def test_a_topic_is_a_filter_in_mqtts_words(api: Any, server: Any) -> None:
    begun = await api("POST", "/api/hubbub/traces", {"topic": "a/+"}, status=201)
    assert begun["filter"]["routing_key"] == "a.*"
    publish(server, "amq.topic", b"a.b")
    publish(server, "amq.topic", b"a.b.c")
    assert (await api.get(f"/api/hubbub/traces/{begun['id']}"))["messages"] == 1


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"vhost": "nowhere"}, 404, "Not Found"),
        ({"seconds": 0}, 400, "seconds: expected 1 to 3600, got 0"),
        ({"messages_max": "many"}, 400, "messages_max: expected an integer, got a string"),
        ({"topic": "a/#/b"}, 400, "topic: "),
        ({"topic": "a", "routing_key": "a"}, 400, "expected topic or routing_key, got both"),
        ({"quueue": "q"}, 400, "quueue: expected one of"),
        ({"queue": 1}, 400, "queue: expected a string, got an integer"),
    ],
)
async def test_what_is_wrong_with_a_trace_is_said(api: Any, body: Any, status: int, reason: str) -> None:
    assert (await api("POST", "/api/hubbub/traces", body, status=status))["reason"].startswith(reason)


async def test_traces_are_for_who_sees_everything(api: Any) -> None:
    await api("POST", "/api/hubbub/traces", {}, status=201)
    await api("POST", "/api/hubbub/traces", {}, status=401, user="watcher")
    await api("DELETE", "/api/hubbub/traces/1", status=401, user="watcher")
    await api.get("/api/hubbub/traces/1", user="watcher")
    await api.get("/api/hubbub/traces", user="manager", status=401)
    await api.get("/api/hubbub/traces/1", user="manager", status=401)
    await api.get("/api/hubbub/traces/x", status=404)
    await api.get("/api/hubbub/traces/1?after=-1", status=400)


async def test_the_firehose_is_a_switch_of_the_vhost_as_in_rabbitmq(api: Any, server: Any) -> None:
    assert (await api.get("/api/vhosts/%2F"))["tracing"] is False
    await api("PUT", "/api/vhosts/%2F", {"tracing": True}, status=204)
    assert (await api.get("/api/vhosts/%2F"))["tracing"] is True
    await api("PUT", "/api/vhosts/%2F", {}, status=204)  # says nothing of it
    assert list(server.core.broker.firehoses) == ["/"]
    vhost = server.core.vhost
    vhost.bind(vhost.exchanges[TRACE_EXCHANGE], vhost.declare_queue("trace"), "queue", b"#")
    publish(server, "amq.direct", b"k")
    server.core.pass_ms(1)
    assert vhost.queues["trace"].ready_count == 1
    await api("PUT", "/api/vhosts/%2F", {"tracing": "false"}, status=204)
    assert (await api.get("/api/vhosts/%2F"))["tracing"] is False
    await api("PUT", "/api/vhosts/%2F", {"tracing": "maybe"}, status=400)
    await api("PUT", "/api/vhosts/%2F", {"tracing": True}, status=401, user="watcher")
