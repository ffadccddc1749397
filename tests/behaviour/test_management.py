"""The HTTP API, the overview page and the metrics of a broker that is at work."""

from __future__ import annotations

import base64
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only
PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(
        tmp_path_factory.mktemp("managed"), {"management.port": free_port(), "metrics.port": free_port()}
    )
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def get(broker: HubbubServer, path: str, login: str | None = "guest:guest", listener: str = "management") -> str:
    request = urllib.request.Request(f"http://{HOST}:{broker.settings[f'{listener}.port']}{path}")
    if login is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def queue(broker: HubbubServer, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(broker, f"/api/queues/%2F/{name}"))
    return found


def metric(broker: HubbubServer, line: str, path: str = "/metrics") -> float:
    """The value of the metric with exactly this name and these labels."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", get(broker, path, None, "metrics"), re.M)
    assert found is not None, line
    return float(found.group(1))


def test_the_ledger_of_a_queue_accounts_for_every_message(broker: HubbubServer) -> None:
    """Law 4, as the operator sees it: each way out is counted where it happened, and the rest is there."""
    connection = connect(broker.url)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("ledger", durable=True)
    for _ in range(10):
        channel.basic_publish("", "ledger", b"m", PERSISTENT)
    tags = [channel.basic_get("ledger")[0].delivery_tag for _ in range(6)]
    channel.basic_ack(tags[1], multiple=True)  # two are done with
    channel.basic_nack(tags[2], requeue=True)  # one returns
    channel.basic_reject(tags[3], requeue=False)  # one is dropped; two stay unacked
    eventually(lambda: queue(broker, "ledger")["hubbub"]["ledger"]["rejected"] == 1)
    found = queue(broker, "ledger")
    ledger = found["hubbub"]["ledger"]

    assert (found["messages_ready"], found["messages_unacknowledged"], found["messages"]) == (5, 2, 7)
    assert (ledger["accepted"], ledger["got"], ledger["acknowledged"]) == (10, 6, 2)
    assert (ledger["requeued"], ledger["rejected"], ledger["unaccounted"]) == (1, 1, 0)
    assert metric(broker, "hubbub_messages_unaccounted") == 0
    accepted = 'hubbub_queue_messages_total{vhost="/",queue="ledger",event="accepted"}'
    assert metric(broker, accepted, "/metrics/per-object") == 10
    connection.close()


def test_totals_do_not_run_backwards_when_a_queue_goes(broker: HubbubServer) -> None:
    accepted = 'hubbub_messages_total{event="accepted"}'
    before = metric(broker, accepted)
    connection = connect(broker.url)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("passing")
    channel.basic_publish("", "passing", b"m")
    channel.queue_delete("passing")
    connection.close()

    assert metric(broker, accepted) == before + 1


def test_connections_and_durability_are_shown(broker: HubbubServer) -> None:
    connection = connect(broker.url)
    connection.channel()
    overview = json.loads(get(broker, "/api/overview"))
    connection.close()

    assert overview["object_totals"]["connections"] >= 1
    assert overview["object_totals"]["channels"] >= 1
    assert overview["hubbub"]["durability"] == "fsync"
    assert metric(broker, 'hubbub_durability{mode="fsync"}') == 1
    assert "<title>" in get(broker, "/")
    assert "export" in get(broker, "/ui/dom.js")


@pytest.mark.parametrize(("login", "status"), [(None, 401), ("guest:wrong", 401), ("limited:limited", 401)])
def test_who_may_not_look_does_not_see(broker: HubbubServer, login: str | None, status: int) -> None:
    """Reading needs one of the tags administrator, monitoring, management."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(broker, "/api/queues", login)
    assert refused.value.code == status


def test_health_needs_no_login(broker: HubbubServer) -> None:
    assert get(broker, "/health/live", None)
    assert get(broker, "/health/ready", None)


def test_a_broker_without_room_is_not_ready_and_says_why(tmp_path: Path) -> None:
    """More free disk is asked for than there is."""
    broker = HubbubServer(tmp_path, {"management.port": free_port(), "disk_free_min_bytes": 1 << 60})
    broker.start()
    try:
        eventually(lambda: _status(broker, "/health/ready") == 503)
        assert _status(broker, "/health/live") == 200
        assert broker.stop() == 0
    finally:
        broker.kill()


def _status(broker: HubbubServer, path: str) -> int:
    try:
        get(broker, path, None)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0  # not yet listening
    return 200


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: x\r\nX-Null: \0\r\n\r\n", b"\x16\x03\x01\0\xa5\1\0\0\r\n\r\n"]
)
def test_what_is_no_http_is_answered_and_is_no_error_of_ours(broker: HubbubServer, head: bytes) -> None:
    with socket.create_connection((HOST, int(str(broker.settings["management.port"]))), timeout=10) as peer:
        peer.sendall(head)
        assert peer.recv(4096).startswith(b"HTTP/1.")
    broker.assert_clean()
