"""The HTTP API and the metrics over a broker that is only looked at."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from broker.core.errors import AccessRefused
from broker.management.app import Management, basic_credentials, is_loopback
from broker.management.metrics import exposition

Client = TestClient[web.Request, web.Application]


@dataclass
class FakeQueue:
    name: str
    durable: bool = True
    auto_delete: bool = False
    exclusive_owner: object = None
    arguments: dict[str, Any] = field(default_factory=dict)
    ready_count: int = 0
    unacked_count: int = 0
    consumers: list[object] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"accepted": 0, "unaccounted": 0})


class FakeAccess:
    """One administrator, one who may look, one who may neither."""

    tags: ClassVar = {"admin": ("administrator",), "watcher": ("monitoring",), "plain": ()}

    def authenticate(self, name: str, password: bytes, peer_is_loopback: bool, peer: str) -> object:
        assert peer_is_loopback
        if name not in self.tags or password != b"secret":
            raise AccessRefused(f"user '{name}' was refused: invalid credentials")
        return SimpleNamespace(name=name, tags=self.tags[name])


HISTOGRAM = [(0.001, 3), (0.01, 1), (float("inf"), 1)]


class FakeStore:
    def __init__(self) -> None:
        self.backups: list[str] = []

    def statistics(self) -> dict[str, Any]:
        return {"status": "ok", "file_bytes": 4096, "commit_seconds": 1.5, "commit_latency": HISTOGRAM}

    def backup(self, directory: str) -> None:
        if "refused" in directory:
            raise OSError("no room")
        self.backups.append(directory)


class FakeServer:
    def __init__(self) -> None:
        orders = FakeQueue(
            "orders",
            arguments={"x-queue-type": "quorum", "x-odd": b"\xff"},
            ready_count=3,
            unacked_count=2,
            consumers=[object()],
            counts={"accepted": 10, "acknowledged": 5, "delivered": 7, "got_no_ack": 1, "unaccounted": 0},
        )
        vhosts = {
            "/": SimpleNamespace(name="/", queues={"orders": orders}, exchanges={"": 1, "amq.topic": 1}),
            "other": SimpleNamespace(name="other", queues={"a/b": FakeQueue("a/b")}, exchanges={}),
        }
        self.broker: Any = SimpleNamespace(
            vhosts=vhosts, access=FakeAccess(), alarms={}, queues_declared=2, queues_deleted=1,
            deleted_counts={"accepted": 100, "acknowledged": 100},
            exchange_counts=lambda: {"published": 12, "routed": 11, "unroutable": 1, "returned": 1},
        )  # fmt: skip
        self.store = FakeStore()
        self.turn = SimpleNamespace(count=1, entered=0, enter=self.enter)
        self.started_at = 1_700_000_000.0
        self.durability = "fsync"
        self.listeners = [SimpleNamespace(name="amqp", address="127.0.0.1", port=5672)]
        self.edge_counts = {"accepted": 9, "refused": 1, "accept_pauses": 0}
        self.websocket_paths = ("/amqp",)
        self.websockets = SimpleNamespace(
            connections=[object()], opened=3, refused={404: 2}, closed={1000: 1}, timed_out={"ping": 1}
        )

    async def adopt_websocket(self, transport: object, head: bytes) -> None:
        raise AssertionError("nobody asked for a WebSocket")

    def enter(self) -> None:
        self.turn.entered += 1

    def connections(self) -> list[Any]:
        return [SimpleNamespace(channels={1: 1, 2: 2}), SimpleNamespace()]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest_asyncio.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with TestClient(TestServer(Management(server).api())) as each:
        yield each


def _login(name: str = "admin", password: str = "secret") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def test_the_overview_has_rabbitmqs_shape_and_names_the_durability(client: Client, server: FakeServer) -> None:
    answer = await client.get("/api/overview", headers=_login("watcher"))
    overview = await answer.json()

    assert overview["product_name"] == "Hubbub"
    assert overview["object_totals"] == {
        "connections": 2, "channels": 2, "exchanges": 2, "queues": 2, "consumers": 1,
    }  # fmt: skip
    assert overview["queue_totals"] == {"messages": 5, "messages_ready": 3, "messages_unacknowledged": 2}
    assert overview["message_stats"]["publish"] == 110
    assert overview["message_stats"]["deliver_get"] == 8
    assert overview["hubbub"]["durability"] == "fsync"
    assert overview["hubbub"]["ledger"]["acknowledged"] == 105
    assert overview["listeners"][0]["port"] == 5672
    assert server.turn.entered >= 1, "the core's clock is read for a request, too"


async def test_queues_by_vhost_and_name(client: Client) -> None:
    every = await (await client.get("/api/queues", headers=_login())).json()
    assert [(each["vhost"], each["name"]) for each in every] == [("/", "orders"), ("other", "a/b")]
    assert every[0]["arguments"] == {"x-queue-type": "quorum", "x-odd": "\ufffd"}
    assert every[0]["hubbub"]["ledger"]["accepted"] == 10

    some = await (await client.get("/api/queues/%2F", headers=_login())).json()
    assert [each["name"] for each in some] == ["orders"]
    one = await (await client.get("/api/queues/other/a%2Fb", headers=_login())).json()
    assert one["name"] == "a/b"
    for path in ("/api/queues/none", "/api/queues/%2F/none", "/api/queues/none/none"):
        answer = await client.get(path, headers=_login())
        assert answer.status == 404
        assert (await answer.json())["error"] == "not_found"


@pytest.mark.parametrize(
    ("login", "method", "status"),
    [
        (None, "GET", 401),
        (("admin", "wrong"), "GET", 401),
        (("nobody", "secret"), "GET", 401),
        (("plain", "secret"), "GET", 403),
        (("watcher", "secret"), "GET", 200),
        (("watcher", "secret"), "POST", 403),
        (("admin", "secret"), "POST", 400),
    ],
)
async def test_who_may_do_what(client: Client, login: tuple[str, str] | None, method: str, status: int) -> None:
    path = "/api/overview" if method == "GET" else "/api/hubbub/backup"
    answer = await client.request(method, path, headers=_login(*login) if login else None, data=b"")

    assert answer.status == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_backup_is_asked_of_the_store(client: Client, server: FakeServer, tmp_path: Path) -> None:
    answer = await client.post("/api/hubbub/backup", json={"directory": str(tmp_path / "copy")}, headers=_login())
    assert answer.status == 201
    assert server.store.backups == [str(tmp_path / "copy")]

    relative = await client.post("/api/hubbub/backup", json={"directory": "copy"}, headers=_login())
    assert relative.status == 400
    failed = await client.post("/api/hubbub/backup", json={"directory": str(tmp_path / "refused")}, headers=_login())
    assert failed.status == 500
    assert "no room" in (await failed.json())["reason"]


async def test_health_needs_no_login_and_readiness_sees_alarms(client: Client, server: FakeServer) -> None:
    assert (await client.get("/health/live")).status == 200
    assert (await client.get("/health/ready")).status == 200
    server.broker.alarms["disk"] = "the disk is full"
    blocked = await client.get("/health/ready")

    assert blocked.status == 503
    assert (await blocked.json())["alarms"] == {"disk": "the disk is full"}
    assert (await client.get("/health/live")).status == 200


async def test_the_page_is_served(client: Client) -> None:
    answer = await client.get("/", headers=_login())

    assert answer.content_type == "text/html"
    assert "Durability" in await answer.text()


async def test_prometheus_reads_metrics(server: FakeServer) -> None:
    server.broker.alarms["disk"] = "the disk is full"
    async with TestClient(TestServer(Management(server).metrics())) as client:
        text = await (await client.get("/metrics")).text()
        per_object = await (await client.get("/metrics/per-object")).text()

    assert 'hubbub_durability{mode="fsync"} 1.0' in text
    assert 'hubbub_alarm{alarm="disk"} 1.0' in text
    assert 'hubbub_messages_total{event="accepted"} 110.0' in text
    assert "hubbub_messages_unaccounted 0.0" in text
    assert 'hubbub_exchange_messages_total{event="unroutable"} 1.0' in text
    assert "hubbub_messages_ready 3.0" in text
    assert "hubbub_connections_refused_total 1.0" in text
    assert "hubbub_store_file_bytes 4096.0" in text
    assert 'hubbub_store_commit_seconds_bucket{le="0.001"} 3.0' in text
    assert 'hubbub_store_commit_seconds_bucket{le="+Inf"} 5.0' in text
    assert "hubbub_store_commit_seconds_sum 1.5" in text
    assert 'queue="orders"' not in text
    assert 'hubbub_queue_messages_total{event="accepted",queue="orders",vhost="/"} 10.0' in per_object


def test_the_exposition_ends_with_a_newline(server: FakeServer) -> None:
    assert exposition(server).endswith(b"\n")


def test_credentials() -> None:
    header = "Basic " + base64.b64encode(b"user:pass:word").decode()
    assert basic_credentials(header) == ("user", b"pass:word")
    for wrong in ("", "Bearer x", "Basic !!", "Basic " + base64.b64encode(b"nocolon").decode()):
        with pytest.raises(ValueError, match="expected"):
            basic_credentials(wrong)


def test_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("")


async def test_a_long_listing_lets_others_run_in_between(client: Client, server: FakeServer) -> None:
    server.broker.vhosts["/"].queues.update({f"q{index}": FakeQueue(f"q{index}") for index in range(2000)})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    answer = await client.get("/api/queues", headers=_login())
    ticking.cancel()

    assert len(await answer.json()) == 2002
    assert ticks > 10
