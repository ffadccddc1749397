"""The composition root with everything real, on the loopback interface, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from broker.config import Settings, load
from broker.net.listener import ListenError
from broker.server import Server
from storage.errors import StoreLockedError
from storage.layout import Database

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
LOOPBACK = [
    *("amqp.address=127.0.0.1", "amqp.port=0"),
    *("websocket.address=127.0.0.1", "websocket.port=0", "mqtt.address=127.0.0.1", "mqtt.port=0"),
    *("management.address=127.0.0.1", "management.port=0", "metrics.address=127.0.0.1", "metrics.port=0"),
]


def _settings(directory: Path, *assignments: str) -> Settings:
    return load(None, [*LOOPBACK, *assignments], data_dir=str(directory))


def _port(server: Server, name: str) -> int:
    return next(each.port for each in server.listeners if each.name == name)


StartServer = Callable[..., "asyncio.Future[Server]"]


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Starts servers; stops those that the test has not stopped."""
    started: list[Server] = []

    async def _start(*assignments: str, directory: Path | None = None) -> Server:
        server = Server(_settings(directory or tmp_path / "data", *assignments))
        await server.start()
        started.append(server)
        return server

    yield lambda *assignments, **named: asyncio.ensure_future(_start(*assignments, **named))
    for server in started:
        if not server.stopped:
            await server.stop()


async def _greeted(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has got connection.start."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PROTOCOL_HEADER)
    head = await asyncio.wait_for(reader.readexactly(7), 5)
    assert head[:3] == b"\x01\x00\x00"
    method = await asyncio.wait_for(reader.readexactly(int.from_bytes(head[3:]) + 1), 5)
    assert method[:4] == b"\x00\x0a\x00\x0a"
    return reader, writer


async def test_it_listens_where_it_was_told_and_says_so(start: StartServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = await start()

    assert [each.name for each in server.listeners] == ["amqp", "mqtt", "websocket", "management", "metrics"]
    client = await _greeted(_port(server, "amqp"))
    async with aiohttp.ClientSession(headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="}) as session:
        answer = await session.get(f"http://127.0.0.1:{_port(server, 'management')}/api/overview")
        overview = await answer.json()
        metrics = await (await session.get(f"http://127.0.0.1:{_port(server, 'metrics')}/metrics")).text()
    assert overview["hubbub"]["durability"] == "fsync"
    assert overview["hubbub"]["store"]["status"] == "ok"
    assert overview["object_totals"]["connections"] == 1
    client[1].close()
    assert "hubbub_connections_accepted_total 1.0" in metrics
    assert "hubbub_store_commit_seconds_count" in metrics
    summary = next(record for record in caplog.records if "is ready" in record.getMessage())
    assert vars(summary)["durability"] == "fsync"
    assert vars(summary)["amqp"] == f"127.0.0.1:{_port(server, 'amqp')}"
    assert re.fullmatch(r"0 queues with 0 messages in [\d.]+ s", vars(summary)["restored"])


async def test_without_a_port_there_is_no_listener(start: StartServer) -> None:
    server = await start("mqtt.port=null", "websocket.port=null", "management.port=null", "metrics.port=null")

    assert [each.name for each in server.listeners] == ["amqp"]


async def test_stopping_says_farewell_and_leaves_nothing_behind(start: StartServer) -> None:
    server = await start()
    port = _port(server, "amqp")
    reader, _ = await _greeted(port)
    await server.stop()

    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    again = await start()
    await _greeted(_port(again, "amqp"))


async def test_users_of_the_configuration_seed_a_new_store_only(start: StartServer) -> None:
    server = await start("users=[{name: alice, password: secret, tags: [administrator]}]", "vhosts=[/, orders]")
    access = server.broker.access
    assert set(access.users) == {"alice"}
    alice = access.users["alice"]
    assert access.matches(alice.algorithm, alice.password_hash, b"secret")
    assert alice.may_write("/", "anything")
    assert set(server.broker.vhosts) == {"/", "orders"}
    await server.stop()

    again = await start("users=[{name: bob, password: secret}]")
    assert set(again.broker.access.users) == {"alice"}
    assert set(again.broker.vhosts) == {"/", "orders"}


async def test_a_second_broker_on_the_same_data_directory_is_refused(start: StartServer) -> None:
    await start()
    with pytest.raises(StoreLockedError):
        await start()


async def test_a_taken_port_ends_the_start_and_frees_the_store(start: StartServer, tmp_path: Path) -> None:
    first = await start()
    taken = _port(first, "amqp")
    with pytest.raises(ListenError, match=str(taken)):
        await start(f"amqp.port={taken}", directory=tmp_path / "other")
    await start(directory=tmp_path / "other")


async def test_a_full_store_blocks_publishers_until_there_is_room(start: StartServer) -> None:
    server = await start()
    tell = server.store.on_status
    assert tell is not None
    tell("full", "the disk is full")
    assert server.broker.alarms == {"disk": "the disk is full"}
    tell("ok", "")
    assert server.broker.alarms == {}


async def test_the_durability_mode_is_named_everywhere(start: StartServer) -> None:
    server = await start("durability.mode=interval", "durability.interval_ms=20")
    async with aiohttp.ClientSession() as session:
        metrics = await (await session.get(f"http://127.0.0.1:{_port(server, 'metrics')}/metrics")).text()

    assert server.durability == "interval (20 ms)"
    assert 'hubbub_durability{mode="interval"} 1.0' in metrics
    assert server.store.durability == "interval"


@pytest.mark.parametrize("mode", ["fsync", "interval"])
async def test_what_is_put_is_committed_without_further_traffic(start: StartServer, mode: str) -> None:
    server = await start(f"durability.mode={mode}", "durability.interval_ms=20")
    server.store.put(Database.META, b"test", b"value")
    batch = server.store.open_batch
    server.turn.enter()
    deadline = asyncio.get_running_loop().time() + 5
    while server.store.committed_batch < batch:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)

    assert server.store.get(Database.META, b"test") == b"value"


async def test_an_idle_broker_rests(start: StartServer) -> None:
    server = await start()
    await _greeted(_port(server, "amqp"))
    await asyncio.sleep(0.2)
    before = server.turn.count
    await asyncio.sleep(1.0)

    assert server.turn.count - before < 20
