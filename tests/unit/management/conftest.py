"""The HTTP API over a real core whose store is memory: what the server provides around it is made here."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from broker.config import Mqtt
from broker.draining import Draining
from broker.management.app import Management
from broker.management.attempts import LoginAttempts
from broker.memory_alarm import MemoryAlarm
from broker.mqtt.endpoint import Endpoint as MqttEndpoint
from broker.mqtt.observed import Observed
from tests.support.peer import Core

Client = TestClient[web.Request, web.Application]
USERS = {
    "admin": ("administrator",),
    "watcher": ("monitoring",),
    "policy": ("policymaker",),
    "manager": ("management",),
    "plain": (),
}


class ObservedCore:
    """What `broker.server.Server` is to management."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.broker = core.broker
        self.store = SimpleNamespace(statistics=self.statistics, backup=self.backup)
        self.turn = SimpleNamespace(count=1, entered=0, enter=self.enter)
        self.started_at = 1_700_000_000.0
        self.durability = "fsync"
        self.listeners = [SimpleNamespace(name="amqp", address="127.0.0.1", port=5672, tls=None)]
        self.certificates: Any = None
        self.audit: Any = None
        self.accepting = True
        self.attempts = LoginAttempts()
        core.broker.events.login_watcher = self.attempts.watch
        self.edge_counts = {"accepted": 9, "refused": 1, "accept_pauses": 0}
        self.wrong_settings = ""
        self.draining = Draining(lambda: 7)
        self.proxies = SimpleNamespace(accepted=0, refused={"untrusted": 0})
        self.websocket_paths = ("/amqp",)
        self.websockets = SimpleNamespace(
            connections=[object()], opened=3, refused={404: 2}, closed={1000: 1}, timed_out={"ping": 1}
        )
        self.dialects = {"amqp091": core.endpoint}
        self.mqtt = MqttEndpoint(core.broker, core.limits, Mqtt())
        self.observed_mqtt = Observed(self.mqtt)
        self.connections_max = 100
        self.scraped_objects_max = 1000
        self.spans: Any = None
        self.stalls = SimpleNamespace(
            counts={"reading": 1, "elsewhere": 0}, longest_s=0.5, lag_counts=[5] + [0] * 9 + [1], lag_sum_s=2.5
        )
        self.memory_limit_bytes = 1_000_000
        self.memory_alarm = MemoryAlarm(core.broker, core.clock, 1_000_000)
        self.disk_free_limit_bytes = 50_000_000
        self.backups: list[str] = []
        self.commits = 0

    def enter(self) -> None:
        self.turn.entered += 1

    def statistics(self) -> dict[str, Any]:
        latency = [(0.001, 3), (0.01, 1), (float("inf"), 1)]
        return {"status": "ok", "file_bytes": 4096, "commit_seconds": 1.5, "commit_latency": latency, **self.batches()}

    def batches(self) -> dict[str, Any]:
        return {"batch_bytes": 700, "batch_sizes": [(256, 2), (1024, 1), (float("inf"), 0)]}

    def backup(self, directory: str) -> None:
        if "refused" in directory:
            raise OSError("no room")
        self.backups.append(directory)

    def reload(self) -> tuple[list[str], list[str]]:
        if self.wrong_settings:
            raise ValueError(self.wrong_settings)
        return ["log.level"], ["amqp.port"]

    def shown_settings(self) -> dict[str, Any]:
        return {"amqp": {"port": 5672}, "users": [{"name": "guest", "password": "***"}]}

    def connections(self) -> list[Any]:
        return [peer.connection for peer in self.core.peers]

    async def adopt_websocket(self, transport: object, peer: tuple[str, int], head: bytes) -> None:
        raise AssertionError("nobody asked for a WebSocket")

    async def publish(self, exchange: Any, message: Any) -> bool:
        routed = bool(exchange.publish_message(message))
        await self.stored()
        return routed

    async def stored(self) -> None:
        self.core.commit()
        self.commits += 1


@pytest.fixture
def server(core: Core) -> ObservedCore:
    access = core.broker.access
    for name, tags in USERS.items():
        access.add_user(name, b"secret", tags=tags)
    access.set_permission("/", "admin", ".*", ".*", ".*")
    access.set_permission("/", "manager", "^mine", "^mine", "^mine")
    access.set_permission("/", "policy", ".*", ".*", ".*")
    return ObservedCore(core)


@pytest_asyncio.fixture
async def client(server: ObservedCore) -> AsyncIterator[Client]:
    async with TestClient(TestServer(Management(server).api())) as each:
        yield each


def login(name: str = "admin", password: str = "secret") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Api:
    """Requests of one user, which say what they expect."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, method: str, path: str, body: Any = None, *, status: int, user: str = "admin") -> Any:
        answer = await self.client.request(method, path, json=body, headers=login(user))
        text = await answer.text()
        assert answer.status == status, f"{method} {path}: {answer.status} {text}"
        return await answer.json() if text else None

    async def get(self, path: str, *, user: str = "admin", status: int = 200) -> Any:
        return await self("GET", path, status=status, user=user)


@pytest_asyncio.fixture
async def api(client: Client) -> Api:
    return Api(client)
