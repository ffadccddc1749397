"""Conversations over WebSocket that make sense, drawn from a seeded source of chance, and the damage done to frames.

Clients A and B speak the native dialect, in JSON or MessagePack; a stranger asks for any path, and then says frames of
anything; somebody with AMQP publishes and consumes the same queues.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgpack

from tests.fuzz import mqtt_conversations
from tests.fuzz.conversations import Author as AmqpAuthor
from tests.fuzz.conversations import method
from tests.fuzz.mutation import mutate_bytes
from tests.fuzz.script import CLIENT_A, CLIENT_B, LOSE, OTHER, STRANGER, WAIT, Step
from tests.support.amqp_codec import encode_frame, encode_header
from tests.support.in_process import handshake
from tests.support.mqtt_codec import V5
from tests.support.websocket_frames import BINARY, CONTINUATION, MASK, PING, PONG, TEXT, close, deflated, frame, request

TOPICS = ["a", "a/b", "a//b", "v1.2/x", "$own/a", "a/+", "#", "", "a\0", "é/\ufeff", "a" * 70_000]
FILTERS = ["a", "a/+", "#", "+/b", "$own/+", "a/#/b", "a+", "", "\0"]
QUEUES = ["q1", "q2", "none", "", "amq.gen-x", "q" * 300]
IDS: list[Any] = [1, 2, 3, "s", "t", None, "", -1, 2**53, 1.5, "i" * 300, [1]]
VALUES: list[Any] = [
    1,
    -1,
    2**63,
    2**64,
    1.5,
    float("inf"),
    None,
    True,
    "text",
    "\ud7ff",
    [1, [2]],
    {"a": {"b": []}},
    "",
]


class Author:
    """Writes messages of the native dialect, in frames. The same `chance` writes the same."""

    def __init__(self, chance: random.Random, *, is_binary: bool) -> None:
        self.chance = chance
        self.is_binary = is_binary
        self.actions: list[tuple[int, Callable[[], dict[str, Any]]]] = [
            (12, self.publish), (6, self.subscribe), (2, self.unsubscribe), (8, self.settle), (4, self.declare),
            (1, lambda: {"type": "ping", "id": self.id()}), (1, self.hello), (1, self.nonsense),
        ]  # fmt: skip

    def flip(self, probability: float = 0.5) -> bool:
        return self.chance.random() < probability

    def pick(self, values: Any) -> Any:
        return self.chance.choice(values)

    def id(self) -> Any:
        return self.pick(IDS) if self.flip(0.1) else self.pick(IDS[:6])

    def hello(self) -> dict[str, Any]:
        return {"type": "hello", "version": self.pick([1, 1, 1, 2]), "vhost": self.pick(["/", "/", "none"])}

    def properties(self) -> dict[str, Any]:
        drawn: dict[str, Callable[[], Any]] = {
            "content_type": lambda: self.pick(["text/plain", "t" * 300]),
            "headers": lambda: {self.pick(["a", "CC", "x-delay", "h" * 300, ""]): self.pick(VALUES)},
            "priority": lambda: self.pick([0, 9, 255, 256, -1]),
            "correlation_id": lambda: self.pick(["c", "é" * 200]),
            "reply_to": lambda: "amq.rabbitmq.reply-to",
            "expiration_ms": lambda: self.pick([0, 1, 1000, 2**63, 10**30]),
            "timestamp": lambda: self.pick([0, 2**63, 2**64]),
            "message_id": lambda: "m",
            "unknown": lambda: 1,
        }
        return {name: drawn[name]() for name in self.chance.sample(sorted(drawn), self.pick([0, 1, 2]))}

    def publish(self) -> dict[str, Any]:
        said: dict[str, Any] = {"type": "publish", "body": self.pick(["", "m", "é" * 200, "x" * 20_000])}
        said[self.pick(["topic", "topic", "queue"])] = self.pick(
            [*TOPICS[:5], "q1", "q1"] if self.flip(0.9) else TOPICS
        )
        if self.flip(0.1):
            said.update(
                exchange=self.pick(["amq.fanout", "amq.headers", "", "none"]),
                routing_key=self.pick(["a", "", "k" * 300]),
            )
        if self.flip(0.1):
            said["octets"] = b"\xff\0" if self.is_binary else self.pick(["/wA=", "no base64!"])
        for name in ("persistent", "mandatory", "retain"):
            if self.flip(0.2):
                said[name] = self.flip(0.8)
        if self.flip(0.4):
            said["properties"] = self.properties()
        if self.flip(0.6):
            said["id"] = self.id()
        return said

    def subscribe(self) -> dict[str, Any]:
        said: dict[str, Any] = {"type": "subscribe", "id": self.id(), "ack": self.flip(), "octets": self.flip(0.3)}
        if self.flip():
            said["topic"] = self.pick(FILTERS[:5]) if self.flip(0.9) else self.pick(FILTERS)
        else:
            said["queue"] = self.pick(QUEUES[:2]) if self.flip(0.9) else self.pick(QUEUES)
        if self.flip(0.5):
            said["credit"] = self.pick([1, 2, 100, 0, 2**40])
        return said

    def unsubscribe(self) -> dict[str, Any]:
        return {"type": "unsubscribe", "id": self.id()}

    def settle(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "type": self.pick(["ack", "ack", "nack"]),
            "tag": self.pick([1, 1, 2, 3, 5, 9, 0, 2**63]),
        }
        if self.flip(0.3):
            said["multiple"] = True
        if said["type"] == "nack" and self.flip():
            said["requeue"] = self.flip()
        return said

    def declare(self) -> dict[str, Any]:
        said: dict[str, Any] = {"type": "declare", "queue": self.pick(QUEUES[:2]), "id": self.id()}
        if self.flip(0.1):
            said["queue"] = self.pick(QUEUES)
        if self.flip(0.5):
            said["arguments"] = {
                self.pick(["x-max-length", "x-message-ttl", "x-expires", "x-delivery-limit", "x-dead-letter-exchange",
                           "x-queue-type", "odd"]): self.pick([1, 50, 0, -1, "amq.fanout", *VALUES])
            }  # fmt: skip
        return said

    def nonsense(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "type": self.pick(["publish", "none", 1, None]),
            self.pick(["id", "x", "tag"]): self.pick(VALUES),
        }
        return said

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────

    def encoded(self, message: dict[str, Any]) -> bytes:
        if not self.is_binary:
            return json.dumps(message).encode()
        try:
            packed: bytes = msgpack.packb(message)
        except (OverflowError, ValueError):  # MessagePack has no such integer
            packed = msgpack.packb({"type": "ping"})
        return packed

    def message(self) -> bytes:
        """One thing that a client says: a whole message in one frame or several, or a control frame."""
        if self.flip(0.05):
            control: bytes = self.pick(
                [frame(PING, b"p" * 125), frame(PONG), close(), close(4000, "x"), close(1005), close(None), close(9)]
            )
            return control
        weights = [weight for weight, _ in self.actions]
        octets = self.encoded(self.chance.choices(self.actions, weights)[0][1]())
        opcode = BINARY if self.is_binary else TEXT
        if self.flip(0.05):
            return frame(opcode, deflated(octets), bits=0x40)
        if self.flip(0.1):
            cut = self.chance.randrange(len(octets))
            between: bytes = self.pick([b"", frame(PING)])
            return frame(opcode, octets[:cut], final=False) + between + frame(CONTINUATION, octets[cut:])
        return frame(opcode, octets)


def from_amqp(chance: random.Random, amqp: AmqpAuthor) -> bytes:
    """Something that an AMQP client does to the same queues."""
    body = chance.choice([b"", b"x", b"\xff\xfe", b"x" * 300])
    exchange, key = chance.choice(
        [("", b"q1"), ("", b"q2"), ("amq.topic", b"a.b"), ("amq.topic", b"\xff"), ("amq.fanout", b"")]
    )
    published = (
        method(1, "basic.publish", exchange=exchange, routing_key=key)
        + encode_frame(2, 1, encode_header(len(body), amqp.properties()))
        + (encode_frame(3, 1, body) if body else b"")
    )
    made: bytes = chance.choice(
        [
            published, published, published, method(1, "queue.declare", queue="q1", durable=True),
            method(1, "queue.bind", queue="q1", exchange="amq.fanout"), method(1, "queue.delete", queue="q1"),
            method(1, "queue.purge", queue="q2"), amqp.publish_to(1, "q1"),
        ]
    )  # fmt: skip
    return made


def conversation(chance: random.Random, count: int = 24) -> list[Step]:
    """A in JSON and B in MessagePack, somebody with AMQP, time that passes, sockets that break."""
    authors = {CLIENT_A: Author(chance, is_binary=False), CLIENT_B: Author(chance, is_binary=True)}
    amqp = AmqpAuthor(chance)
    steps = [
        Step(who, frame(BINARY if author.is_binary else TEXT, author.encoded(said)))
        for who, author in authors.items()
        for said in ({"type": "declare", "queue": "q1"}, author.subscribe(), author.subscribe())
    ]
    for _ in range(count):
        who = chance.choice([CLIENT_A, CLIENT_B])
        steps += [Step(who, piece) for piece in mqtt_conversations.split(chance, authors[who].message())]
        if chance.random() < 0.1:
            steps.append(Step(OTHER, from_amqp(chance, amqp)))
        if chance.random() < 0.06:
            steps.append(Step(WAIT, chance.choice([1, 1001, 31_000, 60_000]).to_bytes(2, "big")))
        if chance.random() < 0.03:
            steps.append(Step(LOSE, bytes([who])))
    return steps


def introduction(chance: random.Random) -> list[Step]:
    """An upgrade by somebody who is not known yet, right or wrong, and frames of the path's dialect behind it."""
    path = chance.choice(["/ws", "/ws", "/amqp", "/hubbub", "/none"])
    subprotocol = {"/ws": "mqtt", "/amqp": "amqp"}.get(path, chance.choice(["hubbub.json", "hubbub.msgpack", "none"]))
    headers = {"Sec_WebSocket_Protocol": subprotocol}
    if chance.random() < 0.3:
        headers["Sec_WebSocket_Extensions"] = chance.choice(["permessage-deflate", "permessage-deflate; x=1, a", ",;="])
    if chance.random() < 0.2:
        headers[chance.choice(["Host", "Upgrade", "Origin", "Sec_WebSocket_Key", "Sec_WebSocket_Version"])] = (
            chance.choice(["", "x", "\xff", "13, 8"])
        )
    said = request(path, **headers)
    if path == "/ws":
        mqtt = mqtt_conversations.Author(chance, V5)
        octets = mqtt.connect() + b"".join(mqtt.packets(6))
        said += b"".join(frame(BINARY, piece) for piece in mqtt_conversations.split(chance, octets))
    elif path == "/amqp":
        octets = handshake() + b"".join(AmqpAuthor(chance).frames(6))
        said += b"".join(frame(BINARY, piece) for piece in mqtt_conversations.split(chance, octets))
    else:
        author = Author(chance, is_binary=subprotocol.endswith("msgpack"))
        said += b"".join(author.message() for _ in range(6))
    return [Step(STRANGER, piece) for piece in mqtt_conversations.split(chance, said)]


def mutate_websocket_frame(chance: random.Random, content: bytes) -> bytes:
    """One change inside the payload of the first frame, masked again; or of its head; or of anything."""
    size, start = (content[1] & 0x7F if len(content) > 1 else 0), 2
    if size > 125:
        width = 2 if size == 126 else 8
        size, start = int.from_bytes(content[2 : 2 + width], "big"), 2 + width
    if len(content) < start + 4 + size or content[start : start + 4] != MASK or chance.random() < 0.2:
        return mutate_bytes(chance, content)
    payload = bytes(octet ^ MASK[index % 4] for index, octet in enumerate(content[start + 4 : start + 4 + size]))
    first, rest = content[0], content[start + 4 + size :]
    if chance.random() < 0.1:
        first ^= 1 << chance.randrange(8)
    else:
        payload = mutate_bytes(chance, payload)
    return frame(first & 15, payload, final=bool(first & 0x80), bits=first & 0x70) + rest
