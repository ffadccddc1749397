"""aiomqtt and gmqtt: the two clients for asyncio, one on Paho and one of its own making."""

from __future__ import annotations

import asyncio
from typing import Any

import aiomqtt
import gmqtt
import pytest

from tests.support.mqtt_raw import unique
from tests.support.server import Server

WAIT_S = 10


@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_aiomqtt(mqtt_server: Server, topic: str, version: aiomqtt.ProtocolVersion, qos: int) -> None:
    host, port = mqtt_server.address
    async with asyncio.timeout(WAIT_S), aiomqtt.Client(host, port, protocol=version) as client:
        await client.subscribe(f"{topic}/#", qos=qos)
        for number in range(10):
            await client.publish(f"{topic}/{number}", payload=b"%d" % number, qos=qos)
        received = []
        async for message in client.messages:
            received.append((str(message.topic), message.payload, message.qos))
            if len(received) == 10:
                break

    assert received == [(f"{topic}/{number}", b"%d" % number, qos) for number in range(10)]


async def test_aiomqtt_retained(mqtt_server: Server, topic: str) -> None:
    host, port = mqtt_server.address
    async with asyncio.timeout(WAIT_S), aiomqtt.Client(host, port) as client:
        await client.publish(topic, b"kept", qos=1, retain=True)
        await client.subscribe(topic, qos=1)
        message = await anext(aiter(client.messages))
        assert (message.payload, message.qos, message.retain) == (b"kept", 1, True)
        await client.publish(topic, b"", qos=1, retain=True)


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_gmqtt(mqtt_server: Server, topic: str, qos: int) -> None:
    received: asyncio.Queue[tuple[str, bytes, int, dict[str, Any]]] = asyncio.Queue()

    async def on_message(_client: Any, name: str, payload: bytes, of: int, properties: dict[str, Any]) -> int:
        received.put_nowait((name, payload, of, properties))
        return 0

    subscribed = asyncio.Event()
    client = gmqtt.Client(unique("gmqtt"))
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    host, port = mqtt_server.address
    async with asyncio.timeout(WAIT_S):
        await client.connect(host, port, keepalive=60)
        client.subscribe(topic, qos=qos)
        await subscribed.wait()
        client.publish(topic, b"m", qos=qos, content_type="text/plain", user_property=[("k", "1"), ("k", "2")])
        name, payload, of, properties = await received.get()
        await client.disconnect()

    assert (name, payload, of) == (topic, b"m", qos)
    assert properties["content_type"] == ["text/plain"]
    assert properties["user_property"] == [("k", "1"), ("k", "2")]
