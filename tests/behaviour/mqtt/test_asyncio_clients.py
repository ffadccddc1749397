"""aiomqtt and gmqtt: the two clients for asyncio, one on Paho and one of its own making."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import aiomqtt
import gmqtt
import pytest
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.mqtt_raw import unique
from tests.support.server import Server

WAIT_S = 10
AIOMQTT_VERSIONS = [aiomqtt.ProtocolVersion.V31, aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]


@pytest.mark.parametrize("version", AIOMQTT_VERSIONS)
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


@pytest.mark.parametrize("version", AIOMQTT_VERSIONS)
async def test_aiomqtt_a_will(mqtt_server: Server, topic: str, version: aiomqtt.ProtocolVersion) -> None:
    host, port = mqtt_server.address
    will = aiomqtt.Will(topic, b"gone", qos=1)
    async with asyncio.timeout(WAIT_S), aiomqtt.Client(host, port, protocol=version) as watcher:
        await watcher.subscribe(topic, qos=1)
        doomed = aiomqtt.Client(host, port, protocol=version, will=will)
        await doomed.__aenter__()
        sock = doomed._client.socket()  # there is no other way to make it vanish
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        assert (await anext(aiter(watcher.messages))).payload == b"gone"
        with contextlib.suppress(aiomqtt.MqttError):
            await doomed.__aexit__(None, None, None)


@pytest.mark.parametrize("version", AIOMQTT_VERSIONS)
@pytest.mark.parametrize("qos", [1, 2])
async def test_aiomqtt_a_session_that_stays(
    mqtt_server: Server, topic: str, version: aiomqtt.ProtocolVersion, qos: int
) -> None:
    host, port = mqtt_server.address
    settings: dict[str, Any] = {"identifier": unique("stays"), "protocol": version, "clean_session": False}
    if version == aiomqtt.ProtocolVersion.V5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 300
        settings = {"identifier": settings["identifier"], "protocol": version, "clean_start": False,
                    "properties": properties}  # fmt: skip
    async with asyncio.timeout(WAIT_S):
        async with aiomqtt.Client(host, port, **settings) as client:
            await client.subscribe(topic, qos=qos)
        async with aiomqtt.Client(host, port) as publisher:
            for number in range(5):
                await publisher.publish(topic, b"%d" % number, qos=qos)
        async with aiomqtt.Client(host, port, **settings) as client:
            messages = aiter(client.messages)
            assert [(await anext(messages)).payload for _ in range(5)] == [b"%d" % number for number in range(5)]
            await client.unsubscribe(topic)


@pytest.mark.parametrize("version", AIOMQTT_VERSIONS)
async def test_aiomqtt_a_group_shares(mqtt_server: Server, topic: str, version: aiomqtt.ProtocolVersion) -> None:
    host, port = mqtt_server.address
    async with (
        asyncio.timeout(WAIT_S),
        aiomqtt.Client(host, port, protocol=version) as one,
        aiomqtt.Client(host, port, protocol=version) as other,
    ):
        for member in (one, other):
            await member.subscribe(f"$share/group/{topic}", qos=1)
        for number in range(10):
            await one.publish(topic, b"%d" % number, qos=1)
        received = [[(await anext(aiter(member.messages))).payload for _ in range(5)] for member in (one, other)]

    assert sorted(received[0] + received[1]) == [b"%d" % number for number in range(10)]


async def test_aiomqtt_properties(mqtt_server: Server, topic: str) -> None:
    host, port = mqtt_server.address
    said = Properties(PacketTypes.PUBLISH)
    said.ContentType, said.ResponseTopic, said.CorrelationData = "text/plain", "answers", b"\0\1"
    said.UserProperty = [("k", "1"), ("k", "2")]
    version = aiomqtt.ProtocolVersion.V5
    async with asyncio.timeout(WAIT_S), aiomqtt.Client(host, port, protocol=version) as client:
        await client.subscribe(topic, qos=1)
        await client.publish(topic, b"m", qos=1, properties=said)
        found: Any = (await anext(aiter(client.messages))).properties

    assert (found.ContentType, found.ResponseTopic, found.CorrelationData) == ("text/plain", "answers", b"\0\1")
    assert found.UserProperty == [("k", "1"), ("k", "2")]


class Gmqtt:
    """A gmqtt client whose messages can be waited for. `settings`: of gmqtt.Client."""

    def __init__(self, name: str = "", **settings: Any) -> None:
        self.received: asyncio.Queue[tuple[str, bytes, int, dict[str, Any]]] = asyncio.Queue()
        self.subscribed = asyncio.Event()
        self.client = gmqtt.Client(name or unique("gmqtt"), **settings)
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    async def on_message(self, _client: Any, name: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self.received.put_nowait((name, payload, qos, properties))
        return 0

    async def connect(self, server: Server, version: int) -> None:
        host, port = server.address
        await self.client.connect(host, port, keepalive=60, version=version)

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        self.subscribed.clear()
        self.client.subscribe(topic_filter, qos=qos)
        await self.subscribed.wait()


GMQTT_VERSIONS = [MQTTv311, MQTTv50]


@pytest.mark.parametrize("version", GMQTT_VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_gmqtt(mqtt_server: Server, topic: str, version: int, qos: int) -> None:
    peer = Gmqtt()
    async with asyncio.timeout(WAIT_S):
        await peer.connect(mqtt_server, version)
        await peer.subscribe(topic, qos)
        said = {"content_type": "text/plain", "user_property": [("k", "1"), ("k", "2")]} if version == MQTTv50 else {}
        peer.client.publish(topic, b"m", qos=qos, **said)
        name, payload, of, properties = await peer.received.get()
        await peer.client.disconnect()

    assert (name, payload, of) == (topic, b"m", qos)
    if version == MQTTv50:
        assert properties["content_type"] == ["text/plain"]
        assert properties["user_property"] == [("k", "1"), ("k", "2")]


@pytest.mark.parametrize("version", GMQTT_VERSIONS)
async def test_gmqtt_retained_and_a_will(mqtt_server: Server, topic: str, version: int) -> None:
    peer, doomed = Gmqtt(), Gmqtt(will_message=gmqtt.Message(f"{topic}/will", b"gone", qos=1))
    async with asyncio.timeout(WAIT_S):
        await peer.connect(mqtt_server, version)
        peer.client.publish(f"{topic}/kept", b"kept", qos=1, retain=True)
        await peer.subscribe(f"{topic}/#", qos=1)
        assert (await peer.received.get())[:2] == (f"{topic}/kept", b"kept")
        await doomed.connect(mqtt_server, version)
        doomed.client.set_config({"reconnect_retries": 0})
        doomed.client._connection._transport.abort()  # there is no other way to make it vanish
        assert (await peer.received.get())[:2] == (f"{topic}/will", b"gone")
        peer.client.publish(f"{topic}/kept", b"", qos=1, retain=True)
        await peer.client.disconnect()


@pytest.mark.parametrize("version", GMQTT_VERSIONS)
async def test_gmqtt_a_session_that_stays_and_a_group(mqtt_server: Server, topic: str, version: int) -> None:
    settings: dict[str, Any] = {"clean_session": False}
    if version == MQTTv50:
        settings["session_expiry_interval"] = 300
    name, publisher = unique("stays"), Gmqtt()
    async with asyncio.timeout(WAIT_S):
        first = Gmqtt(name, **settings)
        await first.connect(mqtt_server, version)
        await first.subscribe(f"$share/group/{topic}/shared", qos=1)
        await first.subscribe(f"{topic}/own", qos=2)
        await first.client.disconnect()
        await publisher.connect(mqtt_server, version)
        publisher.client.publish(f"{topic}/own", b"own", qos=2)
        publisher.client.publish(f"{topic}/shared", b"shared", qos=1)
        second = Gmqtt(name, **settings)
        await second.connect(mqtt_server, version)
        heard = {(await second.received.get())[1] for _ in range(2)}
        await second.client.disconnect()
        await publisher.client.disconnect()

    assert heard == {b"own", b"shared"}
