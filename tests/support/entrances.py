"""Every way into a running broker with a name and a password: AMQP, MQTT, native WebSocket, HTTP API.

Owns the same question to each: who am I now, or why not? The server needs all four ports in its settings.
"""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pika
import pika.exceptions

from tests.support import mqtt_codec
from tests.support.mqtt_raw import MqttRaw
from tests.support.server import HOST, HubbubServer, free_port

ENTRANCES = ["amqp", "mqtt", "websocket", "http"]


class RefusedError(Exception):
    """The way in was refused; the text is what the client was told."""


def server_with_entrances(directory: Path, settings: dict[str, object]) -> HubbubServer:
    """Not yet started."""
    ports = {"mqtt.port": free_port(), "websocket.port": free_port(), "management.port": free_port()}
    addresses = {"mqtt.address": HOST, "websocket.address": HOST}
    return HubbubServer(directory, {**ports, **addresses, **settings})


def enter(server: HubbubServer, entrance: str, name: str, password: str) -> str:
    """The user's name, as the broker knows it where it says so. Raises RefusedError."""
    return WAYS[entrance](server, name, password)


def _amqp(server: HubbubServer, name: str, password: str) -> str:
    credentials = pika.PlainCredentials(name, password)
    parameters = pika.ConnectionParameters(HOST, server.port, credentials=credentials)
    try:
        pika.BlockingConnection(parameters).close()
    except pika.exceptions.AMQPConnectionError as error:
        raise RefusedError(repr(error)) from None
    return name


def _mqtt(server: HubbubServer, name: str, password: str) -> str:
    raw = MqttRaw((HOST, int(str(server.settings["mqtt.port"]))), mqtt_codec.V5)
    try:
        connack = raw.connect(user=name, password=password.encode())
        if connack.reason:
            raise RefusedError(f"{connack.reason:#x} {connack.properties}")
        return name
    finally:
        raw.close()


def _websocket(server: HubbubServer, name: str, password: str) -> str:
    async def hello() -> dict[str, Any]:
        url = f"ws://{HOST}:{server.settings['websocket.port']}/hubbub"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["hubbub.json"]) as socket:
            await socket.send_json({"type": "hello", "user": name, "password": password})
            answer: dict[str, Any] = await socket.receive_json(timeout=10)
            return answer

    answer = asyncio.run(hello())
    if answer["type"] != "welcome":
        raise RefusedError(json.dumps(answer))
    return str(answer["user"])


def _http(server: HubbubServer, name: str, password: str) -> str:
    return str(whoami(server, "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())["name"])


def whoami(server: HubbubServer, authorization: str) -> dict[str, Any]:
    """`/api/whoami`. Raises RefusedError."""
    request = urllib.request.Request(f"http://{HOST}:{server.settings['management.port']}/api/whoami")
    request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as error:
        raise RefusedError(f"{error.code} {error.read().decode()}") from None


WAYS: dict[str, Callable[[HubbubServer, str, str], str]] = {
    "amqp": _amqp,
    "mqtt": _mqtt,
    "websocket": _websocket,
    "http": _http,
}
