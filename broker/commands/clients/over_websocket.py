"""The native dialect over WebSocket (docs/protocols/websocket.md), on the HTTP API's port: needs no further library."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgpack

from broker.commands.api import CommandFailed
from broker.commands.clients.place import Place, Received, Reception

TIMEOUT_S = 30.0


class Conversation:
    """One WebSocket, logged in."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        """One message."""
        await self.socket.send_bytes(msgpack.packb(message))

    async def hear(self, timeout_s: float | None = TIMEOUT_S) -> dict[str, Any]:
        """The next one. Raises CommandFailed for an error and at the end, TimeoutError."""
        came = await asyncio.wait_for(self.socket.receive(), timeout_s)
        if came.type is not aiohttp.WSMsgType.BINARY:
            raise CommandFailed(f"the broker has closed the connection ({self.socket.close_code})")
        heard: dict[str, Any] = msgpack.unpackb(came.data)
        if heard["type"] == "error":
            raise CommandFailed(f"the broker refused ({heard['code']}): {heard['text']}")
        return heard


async def converse(place: Place, talk: Any) -> None:
    """Open, log in, `talk(conversation)`, close."""
    api = place.api
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"{api.url}/hubbub", protocols=("hubbub.msgpack",), max_msg_size=0, ssl=api.tls
            ) as socket,
        ):
            conversation = Conversation(socket)
            await conversation.say(type="hello", user=api.user, password=api.password, vhost=place.vhost)
            await conversation.hear()
            await talk(conversation)
    except (aiohttp.ClientError, OSError) as error:
        raise CommandFailed(f"no broker answers on {api.url}: {error}") from None


def publish(place: Place, target: dict[str, Any], body: bytes, properties: dict[str, Any], **options: Any) -> None:
    """`target`: `topic`, `queue`, or `exchange` and `routing_key`. Returns when the message is accepted."""

    async def talk(conversation: Conversation) -> None:
        await conversation.say(type="publish", id=1, **target, octets=body, properties=properties, **options)
        await conversation.hear()

    asyncio.run(converse(place, talk))


def receive(place: Place, source: dict[str, Any], reception: Reception, ack: bool) -> None:
    """`source`: `queue` or `topic`. A message is acknowledged when it is written."""

    async def talk(conversation: Conversation) -> None:
        credit = {"credit": reception.credit} if ack else {}
        await conversation.say(type="subscribe", id=1, **source, ack=ack, octets=True, **credit)
        while not reception.is_over:
            try:
                heard = await conversation.hear(reception.rest_s)
            except TimeoutError:
                return
            if heard["type"] == "cancelled":
                raise CommandFailed("the queue is gone")
            if heard["type"] == "message":
                reception.take(received(heard))
                if reception.is_over:  # before the last acknowledgement, so that no other message sets out
                    await conversation.say(type="unsubscribe", id=1)
                if ack:
                    await conversation.say(type="ack", tag=heard["tag"])

    asyncio.run(converse(place, talk))


def received(heard: dict[str, Any]) -> Received:
    """A `message`."""
    return Received(
        heard.get("topic", heard.get("routing_key", "")),
        heard.get("exchange", "amq.topic" if "topic" in heard else ""),
        heard.get("octets", b""),
        heard.get("properties", {}),
        heard.get("redelivered", False),
        heard.get("retained", False),
    )
