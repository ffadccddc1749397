"""WebSockets, fuzzed: a script (`script`) with two clients of the native dialect, a stranger who upgrades, and AMQP.

Owns what must hold whatever they say: nothing breaks inside; every frame can be read, and every message of the native
dialect is one that its specification has; somebody else is served afterwards; of clients that are gone nothing is left.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgpack

from broker.websocket.closing import SENT
from tests.fuzz import script
from tests.fuzz.visitor import AmqpVisitor
from tests.support.in_process import BrokenBrokerError, watched
from tests.support.websocket_frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, frame, inflated, request
from tests.support.websocket_in_process import WebSocketClient, WebSocketInProcess

Seen = set[str]
CONVERSATIONS_PER_BROKER = 500
LIMITS = {"websocket_subscriptions_max": 8, "websocket_message_bytes_max": 100_000, "websocket_credit_max": 50}
SUBPROTOCOLS = {script.CLIENT_A: "hubbub.json", script.CLIENT_B: "hubbub.msgpack"}
ANSWERS = {
    "welcome", "accepted", "subscribed", "unsubscribed", "declared", "message", "cancelled", "error", "pong",
}  # fmt: skip
CODES = {
    "malformed", "invalid", "refused", "not_found", "conflict", "locked", "not_implemented", "unavailable", "limit",
    "not_accepted", "unroutable",
}  # fmt: skip
"""docs/protocols/websocket.md"""


def require(truth: object, text: str) -> None:
    if not truth:
        raise BrokenBrokerError(text)


class Heard:
    """One client, and what the broker may say to it."""

    def __init__(self, client: WebSocketClient) -> None:
        self.client = client
        self.is_closed = False

    def listen(self) -> Seen:
        seen = set()
        for each in self.client.talk():
            seen |= self.check(each)
        return seen

    def check(self, said: Frame) -> Seen:
        require(not self.is_closed, f"{said} after Close")
        require(said.final, "the broker sends whole messages")
        require(said.opcode in (TEXT, BINARY, CLOSE, PING, PONG), f"opcode {said.opcode}")
        if said.opcode == CLOSE:
            self.is_closed = True
            require(not said.payload or said.code in SENT or 3000 <= said.code <= 4999, f"close code {said.code}")
            require(said.code != 1011, f"an internal error: {said.payload!r}")
            return {f"close {said.code}"}
        if said.opcode in (PING, PONG):
            require(len(said.payload) <= 125, "a control frame of more than 125 octets")
            return {f"opcode {said.opcode}"}
        connection = self.client.connection
        if connection.path != "/hubbub":
            return {f"{connection.path} {said.payload[0] if said.payload else 0:x}"}
        payload = inflated(said.payload) if said.compressed else said.payload
        try:
            answer: dict[str, Any] = json.loads(payload) if said.opcode == TEXT else msgpack.unpackb(payload)
        except ValueError as error:
            raise BrokenBrokerError(f"a message that cannot be read ({error!r}): {payload[:80]!r}") from error
        require(answer["type"] in ANSWERS, f"an unknown type: {answer}")
        require(answer.get("code", "limit") in CODES, f"an unknown code: {answer}")
        return {f"{answer['type']} {answer.get('code', '')}"}


class Stage:
    """The broker that is kept from one conversation to the next."""

    def __init__(self) -> None:
        self.inside: WebSocketInProcess | None = None
        self.used = 0

    def broker(self) -> WebSocketInProcess:
        if self.inside is not None and self.used >= CONVERSATIONS_PER_BROKER:
            self.drop()
        if self.inside is None:
            self.inside = WebSocketInProcess(**LIMITS)
            self.used = 0
        self.used += 1
        return self.inside

    def drop(self) -> None:
        if self.inside is not None:
            with suppress(Exception):
                self.inside.close()
        self.inside = None


STAGE = Stage()


def websocket(raw: bytes) -> Seen:
    """No script makes the broker fail, say what it may not, or hold on to what its clients left."""
    inside = STAGE.broker()
    seen: Seen = set()
    try:
        with watched():
            play = Play(inside)
            for kind, content in script.read(raw):
                seen |= play.step(kind, content)
            bystander(inside)
            play.end()
            check_empty(inside)
    except BaseException:
        STAGE.drop()
        raise
    return seen


class Play:
    """One script on one broker."""

    def __init__(self, inside: WebSocketInProcess) -> None:
        self.inside = inside
        self.clients: dict[int, Heard] = {}
        self.visitor = AmqpVisitor(inside)

    def step(self, kind: int, content: bytes) -> Seen:
        if kind == script.WAIT:
            self.inside.pass_ms(min(int.from_bytes(content[:4], "big"), script.WAIT_MS_MAX))
        elif kind == script.LOSE:
            lost = self.clients.pop(content[0] if content else 0, None)
            if lost is not None:
                lost.client.lose()
        elif kind == script.OTHER:
            self.visitor.hear(content)
        else:
            self.client(kind, content).client.hear(content)
        seen: Seen = set()
        for heard in self.clients.values():
            seen |= heard.listen()
        return seen

    def client(self, kind: int, content: bytes) -> Heard:
        """The client of that name, connected anew where it is gone, and logged in unless it says GET itself."""
        heard = self.clients.get(kind)
        if heard is not None and not heard.client.is_over and not heard.is_closed:
            return heard
        if heard is not None:
            heard.client.lose()
        heard = self.clients[kind] = Heard(self.inside.arrive_by_http())
        if kind != script.STRANGER and not content.startswith(b"GET "):
            subprotocol = SUBPROTOCOLS[kind]
            heard.client.hear(request("/hubbub", Sec_WebSocket_Protocol=subprotocol) + hello(subprotocol))
        return heard

    def end(self) -> None:
        """Everybody is gone without a word."""
        for heard in self.clients.values():
            heard.client.lose()
        self.visitor.leave()


def encoded(subprotocol: str, message: dict[str, Any]) -> bytes:
    if subprotocol == "hubbub.msgpack":
        return frame(BINARY, msgpack.packb(message))
    return frame(TEXT, json.dumps(message).encode())


def hello(subprotocol: str) -> bytes:
    return encoded(subprotocol, {"type": "hello"})


def bystander(inside: WebSocketInProcess) -> None:
    """Somebody who behaves is served."""
    client = inside.arrive_by_http()
    said: list[dict[str, Any]] = [
        {"type": "hello"},
        {"type": "subscribe", "id": "s", "topic": "$bystander/own"},
        {"type": "publish", "id": 1, "topic": "$bystander/own", "body": "m"},
    ]
    client.hear(request("/hubbub") + b"".join(encoded("", each) for each in said))
    answers = sorted(json.loads(each.payload)["type"] for each in client.talk())
    require(answers == ["accepted", "message", "subscribed", "welcome"], f"a bystander gets {answers}")
    client.lose()


def check_empty(inside: WebSocketInProcess) -> None:
    """With everybody gone nothing is held, and everything is accounted for."""
    require(not inside.websockets.connections, "a WebSocket that is gone is still listed")
    require(not inside.mqtt.connections, "an MQTT connection over WebSocket that is gone is still listed")
    require(not inside.broker.intake.holders and not inside.broker.intake.bytes, "a payload is still being taken")
    inside.commit()
    for session in list(inside.mqtt.sessions.by_name.values()):
        inside.mqtt.sessions.end(session)
    inside.check_account()
    inside.clear()
    vhost = inside.broker.vhosts["/"]
    vhost.retained.remove_all()
    inside.commit()
    for word, count in inside.broker.deleted_counts.items():
        require(word != "unaccounted" or count == 0, f"{count} messages unaccounted for")
