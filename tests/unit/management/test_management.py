"""Around the endpoints: logins, the overview, health, backup, the page, and the metrics."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from broker.core.message import Message
from broker.management.app import Management, credentials, is_loopback
from broker.management.metrics import exposition
from broker.mqtt.reasons import Reason
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, Client, ObservedCore, login


async def test_the_overview_has_rabbitmqs_shape_and_names_the_durability(
    api: Api, server: ObservedCore, core: Core, peer: Peer
) -> None:
    peer.declare("q")
    for _ in range(5):
        peer.publish("q", b"m")
    peer.send("basic.get", queue="q")
    core.broker.deleted_counts = {"accepted": 100}
    overview = await api.get("/api/overview", user="watcher")

    assert overview["product_name"] == "Hubbub"
    assert overview["object_totals"] == {
        "connections": 1, "channels": 1, "exchanges": 7, "queues": 1, "consumers": 0,
    }  # fmt: skip
    totals = overview["queue_totals"]
    assert (totals["messages"], totals["messages_ready"], totals["messages_unacknowledged"]) == (5, 4, 1)
    assert overview["message_stats"]["publish"] == 105
    assert overview["message_stats"]["deliver_get"] == 1
    assert overview["hubbub"]["durability"] == "fsync"
    assert overview["hubbub"]["ledger"]["accepted"] == 105
    assert overview["listeners"][0]["port"] == 5672
    assert server.turn.entered >= 1, "the core's clock is read for a request, too"


async def test_a_backup_is_asked_of_the_store(api: Api, server: ObservedCore, tmp_path: Path) -> None:
    path = "/api/hubbub/backup"
    await api("POST", path, {"directory": str(tmp_path / "copy")}, status=201)
    assert server.backups == [str(tmp_path / "copy")]

    await api("POST", path, {"directory": "copy"}, status=400)
    await api("POST", path, None, status=400)
    failed = await api("POST", path, {"directory": str(tmp_path / "refused")}, status=500)
    assert "no room" in failed["reason"]


async def test_health_needs_no_login_and_readiness_sees_alarms(client: Client, server: ObservedCore) -> None:
    assert (await client.get("/health/live")).status == 200
    assert (await client.get("/health/ready")).status == 200
    server.broker.alarms["disk"] = "the disk is full"
    blocked = await client.get("/health/ready")

    assert blocked.status == 503
    assert (await blocked.json())["alarms"] == {"disk": "the disk is full"}
    assert (await client.get("/health/live")).status == 200


async def test_the_page_is_served_and_loads_nothing_from_elsewhere(client: Client) -> None:
    answer = await client.get("/", headers=login())

    assert answer.content_type == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    script = await client.get("/ui/app.js", headers=login())
    assert script.status == 200
    assert script.content_type.endswith("javascript")
    assert script.headers["X-Content-Type-Options"] == "nosniff"
    assert script.headers["Cache-Control"] == "no-cache"
    again = await client.get("/ui/app.js", headers={**login(), "If-None-Match": script.headers["ETag"]})
    assert again.status == 304
    assert (await client.get("/ui/app.js")).status == 200  # it asks for the login itself
    assert (await client.get("/api/overview")).status == 401
    assert (await client.get("/ui/../app.py", headers=login())).status == 404


async def test_a_form_of_another_page_does_nothing(client: Client, server: ObservedCore) -> None:
    form = {**login(), "Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
    refused = await client.post("/api/users/bulk-delete", data='{"users": ["guest"]}', headers=form)

    assert refused.status == 415
    assert "guest" in server.broker.access.users
    asked = await client.options("/api/users/bulk-delete", headers={**login(), "Origin": "https://elsewhere.example"})
    assert not [name for name in asked.headers if name.startswith("Access-Control")]
    own = {**login(), "Origin": "http://127.0.0.1:15672", "Content-Type": "application/json"}
    assert (await client.post("/api/users/bulk-delete", data='{"users": []}', headers=own)).status == 204


async def test_a_script_of_the_page_is_refused_without_a_challenge(client: Client) -> None:
    asked = await client.get("/api/overview")
    assert (asked.status, "WWW-Authenticate" in asked.headers) == (401, True)

    from_script = await client.get("/api/overview", headers={"X-Requested-With": "XMLHttpRequest"})

    assert (from_script.status, "WWW-Authenticate" in from_script.headers) == (401, False)


async def test_prometheus_reads_metrics(server: ObservedCore, core: Core, peer: Peer) -> None:
    peer.declare("orders")
    for _ in range(3):
        peer.publish("orders", b"m")
    core.vhost.retained.keep(Message(b"amq.topic", b"a", b"\0\0", b"kept"))
    core.broker.raise_alarm("disk", "the disk is full")
    server.mqtt.counters.refuse("SUBSCRIBE", Reason.QUOTA_EXCEEDED)
    async with TestClient(TestServer(Management(server).metrics())) as client:
        text = await (await client.get("/metrics")).text()
        per_object = await (await client.get("/metrics/per-object")).text()

    assert 'hubbub_durability{mode="fsync"} 1.0' in text
    assert 'hubbub_alarm{alarm="disk"} 1.0' in text
    assert 'hubbub_messages_total{event="accepted"} 3.0' in text
    assert "hubbub_messages_unaccounted 0.0" in text
    assert 'hubbub_exchange_messages_total{event="published"} 3.0' in text
    assert "hubbub_messages_ready 3.0" in text
    assert "hubbub_connections_refused_total 1.0" in text
    assert 'hubbub_mqtt_refused_total{packet="SUBSCRIBE",reason="quota exceeded"} 1.0' in text
    assert 'hubbub_mqtt_events_total{event="dropped_offline"} 0.0' in text
    assert "hubbub_consumer_timeouts_total 0.0" in text
    assert "hubbub_retained_messages 1.0" in text
    assert 'hubbub_retained_total{event="refused"} 0.0' in text
    assert "hubbub_begun_bytes 0.0" in text
    assert "hubbub_begun_refused_total 0.0" in text
    assert "hubbub_fan_out_rests_total 0.0" in text
    assert "hubbub_store_file_bytes 4096.0" in text
    assert 'hubbub_store_commit_seconds_bucket{le="0.001"} 3.0' in text
    assert 'hubbub_store_commit_seconds_bucket{le="+Inf"} 5.0' in text
    assert "hubbub_store_commit_seconds_sum 1.5" in text
    assert 'queue="orders"' not in text
    assert 'hubbub_queue_messages_total{vhost="/",queue="orders",event="accepted"} 3' in per_object


def test_the_exposition_ends_with_a_newline(server: ObservedCore) -> None:
    assert exposition(server).endswith(b"\n")


def test_credentials() -> None:
    header = "Basic " + base64.b64encode(b"user:pass:word").decode()
    assert credentials(header) == ("user", b"pass:word")
    assert credentials("Bearer eyJ.x.y") == ("", b"eyJ.x.y")
    for wrong in ("", "Bearer ", "Digest x", "Basic !!", "Basic " + base64.b64encode(b"nocolon").decode()):
        with pytest.raises(ValueError, match="expected"):
            credentials(wrong)


def test_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("")


async def test_a_mistake_of_ours_is_an_answer_in_the_same_shape(
    api: Api, server: ObservedCore, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, Any]:
        raise ZeroDivisionError("ours")

    server.store.statistics = broken
    failed = await api.get("/api/overview", status=500)

    assert failed["error"] == "internal_error"
    assert "ours" not in failed["reason"]
    assert "ZeroDivisionError" in caplog.text
