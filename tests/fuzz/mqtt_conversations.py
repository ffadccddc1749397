"""Conversations over MQTT that make sense, drawn from a seeded source of chance, and the damage done to their packets.

Names come from small pools, so that clients meet: on topics, in groups, in one session. Written with the tests' own
codec, which writes nonsense when asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.fuzz.conversations import Author as AmqpAuthor
from tests.fuzz.conversations import method
from tests.fuzz.mutation import mutate_bytes
from tests.fuzz.script import CLIENT_A, CLIENT_B, LOSE, OTHER, STRANGER, WAIT, Step
from tests.support import amqp_codec
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter, Properties, Will

TOPICS: list[str | bytes] = ["a", "a/b", "a/b/c", "a//b", "/", "v1.2/x", "$SYS/a", "$own/a", "bystander", "é/\ufeff"]
FILTERS: list[str | bytes] = [
    "a", "a/b", "a/+", "+/b", "#", "a/#", "+", "+/+", "/+", "v1.2/#", "$SYS/#", "$own/+", "$share/g/a/+",
    "$share/g/#", "$share/h/a", "$queue/q1", "$queue/none", "a/#/b", "a+", "$share//a", "$share/g", "", b"\xff", b"\0",
    b"\xed\xa0\x80", "/".join(["+"] * 15), "/".join(["a"] * 20),
]  # fmt: skip
ODD_TOPICS: list[str | bytes] = ["", "a/+", "#", b"\xff", b"a\0", b"\xed\xa0\x80", "a" * 65_535, "/" * 200, "a.b*c"]
PAYLOAD_BYTES = [0, 1, 5, 127, 128, 300, 4000, 20_000]
IDS = [1, 1, 2, 3, 4, 10, 32_767, 32_768, 65_535]
CLIENT_IDS = ["", "a", "b", "same", "c" * 23, "d" * 24, "é"]
KINDS_OF_ACK = [codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP]
PASSWORDS: list[tuple[str | None, str | None]] = [
    ("guest", "guest"), ("guest", "wrong"), ("/:guest", "guest"),
    ("none:guest", "guest"), ("guest", None), (None, "guest"),
]  # fmt: skip


class Author:
    """Writes packets of one version. The same `chance` writes the same."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self.chance = chance
        self.version = version
        self.actions: list[tuple[int, Callable[[], bytes]]] = [
            (14, self.publish), (6, self.subscribe), (2, self.unsubscribe), (10, self.acknowledge), (1, self.connect),
            (1, self.disconnect), (1, lambda: codec.PING), (1, self.auth), (1, self.any_packet), (1, self.burst),
            (1, self.large),
        ]  # fmt: skip

    def flip(self, probability: float = 0.5) -> bool:
        return self.chance.random() < probability

    def pick(self, values: Any) -> Any:
        return self.chance.choice(values)

    # ── properties ────────────────────────────────────────────────────────────────────────────────────────────────

    def property_value(self, name: str) -> Any:
        """A value for a property, mostly one that it may have."""
        kind = codec.PROPERTIES[name][1]
        if name == "authentication_data":
            return self.pick(
                [b"n,,n=guest,r=abc", b"n,,n=none,r=abc", b"y,,n=guest,r=", b"c=biws,r=abc,p=AAAA", b"", b"\xff"]
            )
        if name in ("response_topic", "authentication_method"):
            return self.pick(["a/b", "SCRAM-SHA-256", "", "+", b"\xff"])
        if kind == "byte":
            return self.pick([0, 1, 1, 2, 255])
        if kind == "two":
            return self.pick([0, 1, 2, 5, 32, 33, 65_535])
        if kind == "four":
            return self.pick([0, 1, 5, 60, 20, 1000, 2**32 - 1])
        if kind == "varint":
            return self.pick([0, 1, 127, 128, 268_435_455])
        if kind == "pair":
            return self.pick([("a", "b"), ("a", ""), ("", ""), ("k" * 300, "é"), (b"\xff", "x"), ("CC", "q1")])
        return self.pick(["", "x", "text", "x" * 300, b"\xff\xfe"])

    def properties(self, *usual: str) -> Properties:
        """Some of the usual ones; sometimes one that does not belong here, or one too many."""
        if self.version != V5 or self.flip(0.5):
            return {}
        names = self.chance.sample(usual, min(len(usual), self.pick([1, 1, 2, 3])))
        if self.flip(0.05):
            names.append(self.pick(sorted(codec.PROPERTIES)))
        found = {name: self.property_value(name) for name in names}
        for name in codec.SEVERAL & set(found):
            found[name] = [self.property_value(name) for _ in range(self.pick([1, 1, 2]))]
        if self.flip(0.03) and names:
            found[names[0]] = [self.property_value(names[0])] * 2
        return found

    # ── packets ───────────────────────────────────────────────────────────────────────────────────────────────────

    def topic(self) -> str | bytes:
        topic: str | bytes = self.pick(ODD_TOPICS) if self.flip(0.04) else self.pick(TOPICS)
        return topic

    def publish(self) -> bytes:
        qos = self.pick([0, 1, 1, 2, 2])
        size = self.pick(PAYLOAD_BYTES)
        properties = self.properties(
            "payload_format", "message_expiry", "topic_alias", "topic_alias", "response_topic", "correlation_data",
            "user", "content_type",
        )  # fmt: skip
        topic = b"" if "topic_alias" in properties and self.flip() else self.topic()
        return codec.publish(
            self.version, topic, self.pick([b"x", b"\xff", b"\xc3\xa9"]) * size, qos=qos,
            packet_id=self.pick(IDS) if qos else None, retain=self.flip(0.2), dup=bool(qos) and self.flip(0.1),
            properties=properties,
        )  # fmt: skip

    def large(self) -> bytes:
        """A PUBLISH that is taken as it comes, and perhaps stops before it is whole."""
        whole = codec.publish(self.version, self.topic(), b"L" * 60_000, qos=1, packet_id=self.pick(IDS))
        return whole[: self.pick([len(whole), len(whole), 20, 17_000, 40_000])]

    def topic_filter(self) -> Filter:
        qos, bits = self.pick([0, 1, 1, 2, 2]), self.pick([3, 0x30, 0xFF]) if self.flip(0.01) else None
        if self.version != V5:
            return Filter(self.pick(FILTERS), qos, bits=bits)
        return Filter(self.pick(FILTERS), qos, self.flip(0.2), self.flip(0.3), self.pick([0, 1, 2]), bits)

    def subscribe(self) -> bytes:
        filters = [self.topic_filter() for _ in range(self.pick([1, 1, 1, 2, 8]))]
        return codec.subscribe(
            self.version, self.pick(IDS), filters, self.properties("subscription_identifier", "user")
        )

    def unsubscribe(self) -> bytes:
        filters = [self.pick(FILTERS) for _ in range(self.pick([1, 1, 2]))]
        return codec.unsubscribe(self.version, self.pick(IDS), filters, self.properties("user"))

    def acknowledge(self) -> bytes:
        reason = self.pick([0, 0, 0, 0x10, 0x80, 0x92, 0x97, 0xFF]) if self.version == V5 else 0
        return b"".join(
            codec.ack(self.pick(KINDS_OF_ACK), self.pick(IDS), reason, self.properties("reason_string", "user"))
            for _ in range(self.pick([1, 1, 2, 4]))
        )

    def connect(self, client_id: str | None = None) -> bytes:
        user, password = self.pick(PASSWORDS) if self.flip(0.03) else (None, None)  # checking one takes long
        will = None
        if self.flip(0.3):
            will = Will(
                self.topic(), self.pick([b"", b"gone", b"\xff"]), self.pick([0, 1, 2]), self.flip(0.3),
                self.properties("will_delay", "will_delay", "message_expiry", "payload_format", "user", "content_type"),
            )  # fmt: skip
        return codec.connect(
            self.version, self.pick(CLIENT_IDS) if client_id is None else client_id, clean=self.flip(),
            keep_alive=self.pick([0, 0, 1, 60, 65_535]), will=will, user=user, password=password,
            properties=self.properties(
                "session_expiry", "session_expiry", "receive_maximum", "maximum_packet_size", "topic_alias_maximum",
                "request_response", "request_problem", "user", "authentication_method", "authentication_data",
            ),
            flags=self.pick([1, 0x18, 0x3E]) if self.flip(0.01) else None,
        )  # fmt: skip

    def disconnect(self) -> bytes:
        reason = self.pick([0, 0, 4, 0x80, 0x8E, 0xFF])
        return codec.disconnect(self.version, reason, self.properties("session_expiry", "reason_string", "user"))

    def auth(self) -> bytes:
        names = "authentication_method", "authentication_method", "authentication_data", "user"
        return codec.auth(self.pick([0, 0x18, 0x18, 0x19, 0xFF]), self.properties(*names))

    def any_packet(self) -> bytes:
        """Any type with any flags and some body."""
        return codec.frame(
            self.chance.randrange(16), self.pick([b"", b"\0", b"\0\1", b"\0\1a\0"]), self.pick([0, 2, 3])
        )

    def burst(self) -> bytes:
        """Enough of the same to make what grows grow."""
        action = self.pick([self.publish, self.acknowledge])
        return b"".join(action() for _ in range(self.pick([8, 16, 33])))

    def packets(self, count: int) -> list[bytes]:
        """`count` things that one client says, each one or several whole packets."""
        weights = [weight for weight, _ in self.actions]
        return [self.chance.choices(self.actions, weights)[0][1]() for _ in range(count)]


def from_amqp(chance: random.Random, author: AmqpAuthor) -> bytes:
    """Something that an AMQP client does to the same topics and queues."""
    topic = chance.choice(
        [b"a", b"a.b", b"a.b.c", b"*", b"a.#", b"", b"\xff", b"a\0", b"k" * 255, b"$SYS.a", b"v1/2.x"]
    )
    body = b"x" * chance.choice([0, 1, 300])
    published = (
        method(1, "basic.publish", exchange="amq.topic", routing_key=topic)
        + amqp_codec.encode_frame(amqp_codec.FRAME_HEADER, 1, amqp_codec.encode_header(len(body), author.properties()))
        + (amqp_codec.encode_frame(amqp_codec.FRAME_BODY, 1, body) if body else b"")
    )
    choices = [
        published, published, published,
        method(1, "queue.declare", queue="q1", durable=bool(chance.randrange(2))),
        method(1, "queue.delete", queue=chance.choice(["q1", "mqtt-subscription-aqos1", "mqtt-subscription-bqos1"])),
        method(1, "queue.bind", queue="q1", exchange="amq.topic", routing_key=chance.choice(["#", "a.*"])),
        author.publish_to(1, "q1"),
        method(1, "basic.get", queue=chance.choice(["q1", "mqtt-subscription-aqos1"]), no_ack=True),
    ]  # fmt: skip
    made: bytes = chance.choice(choices)
    return made


def split(chance: random.Random, content: bytes) -> list[bytes]:
    """The same bytes in one piece or in several, as a network may bring them."""
    pieces = []
    while content and chance.random() < 0.3:
        cut = chance.randrange(len(content))
        pieces.append(content[:cut])
        content = content[cut:]
    return [*pieces, content]


def conversation(version: int, chance: random.Random, count: int = 24) -> list[Step]:
    """Client A of `version`, client B of another, somebody with AMQP, time that passes, sockets that break."""
    authors = {CLIENT_A: Author(chance, version), CLIENT_B: Author(chance, codec.V311 if version == V5 else V5)}
    amqp = AmqpAuthor(chance)
    steps = [Step(who, author.connect("ab"[who])) for who, author in authors.items() if author.flip(0.7)]
    steps += [Step(CLIENT_A, authors[CLIENT_A].subscribe()) for _ in range(2)]
    for _ in range(count):
        who = chance.choice([CLIENT_A, CLIENT_A, CLIENT_B])
        for action in authors[who].packets(1):
            steps += [Step(who, piece) for piece in split(chance, action)]
        if chance.random() < 0.08:
            steps.append(Step(OTHER, from_amqp(chance, amqp)))
        if chance.random() < 0.06:
            steps.append(Step(WAIT, chance.choice([1, 1001, 5000, 60_000]).to_bytes(2, "big")))
        if chance.random() < 0.04:
            steps.append(Step(LOSE, bytes([chance.choice([CLIENT_A, CLIENT_B])])))
    return steps


def introduction(version: int, chance: random.Random) -> list[Step]:
    """What somebody says who is not known yet, in pieces."""
    author = Author(chance, version)
    said = author.connect() + b"".join(author.packets(2))
    if chance.random() < 0.3:
        said = b"".join(author.packets(2)) + said
    elif chance.random() < 0.3:
        said = codec.connect(
            version,
            "x",
            name=author.pick(["MQTT", "MQIsdp", "mqtt", "", b"\xff"]),
            level=author.pick([0, 3, 4, 5, 6, 131, 255]),
        )
    return [Step(STRANGER, piece) for piece in split(chance, said)]


def mutate_packet(chance: random.Random, content: bytes) -> bytes:
    """One change inside the body of the first packet, whose length then is put right; or of its first octet."""
    found = header(content)
    if found is None or chance.random() < 0.2:
        return mutate_bytes(chance, content)
    at, size = found
    first, body, rest = content[0], content[at : at + size], content[at + size :]
    if chance.random() < 0.15:
        first = first ^ 1 << chance.randrange(8)
    else:
        body = mutate_bytes(chance, body)
    return bytes([first]) + codec.varint(len(body)) + body + rest


def header(content: bytes) -> tuple[int, int] | None:
    """Where the body of the first packet begins, and its length; None where it is not whole."""
    size = 0
    for index in range(1, min(5, len(content))):
        size |= (content[index] & 0x7F) << 7 * (index - 1)
        if content[index] < 0x80:
            return (index + 1, size) if index + 1 + size <= len(content) else None
    return None
