"""Conversations that make sense, drawn from a seeded source of chance: what the fuzzer starts from and mutates.

Every name comes from a small pool, so that two clients meet on the same queues and exchanges; every method of the
specification that a client may send is among them, and the arguments are those that change what the broker does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.fuzz.script import CLIENT_A, CLIENT_B, LOSE, STRANGER, WAIT, Step
from tests.support import amqp_codec as codec
from tests.support.amqp_codec import TypedValue
from tests.support.in_process import HEADER_AND_START_OK, handshake

QUEUES = ["q1", "q2", "q3", "dead"]
EXCHANGES = ["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "x1", "x2", "later", "hash"]
KEYS = ["q1", "q2", "q3", "a.b", "a.*", "#", "*.#.*", "#.#", "1", "20", ""]
TYPES = ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-delayed-message", "nonsense"]
TAGS = ["", "t1", "t2", "t3"]
CHANNELS = [1, 1, 1, 2, 7]
NOT_UTF_8 = TypedValue(b"S", b"\0\0\0\1\xff")
BODY_SIZES = [0, 0, 1, 5, 300, 4088, 8191, 8192, 8193, 20_000, 140_000]


def method(channel: int, name: str, **fields: Any) -> bytes:
    """A method frame."""
    return codec.encode_frame(codec.FRAME_METHOD, channel, codec.encode_method(name, **fields))


class Author:
    """Writes frames. The same `chance` writes the same."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.published = 0
        self.actions: list[tuple[int, Callable[[int], bytes]]] = [
            (12, self.publish),
            (4, self.queue_declare),
            (3, self.consume),
            (8, self.settle),
            (4, self.get),
            (2, self.bind),
            (2, self.exchange_declare),
            (6, self.other),
            (1, self.burst),
            (1, lambda channel: method(channel, "queue.delete", queue=self.pick(QUEUES))),
            (1, self.channel_open),
            (1, self.channel_close),
        ]

    def flip(self, probability: float = 0.5) -> bool:
        return self.chance.random() < probability

    def pick(self, values: Any) -> Any:
        return self.chance.choice(values)

    # ── arguments ─────────────────────────────────────────────────────────────────────────────────────────────────

    def integer(self) -> Any:
        """A number, mostly small, sometimes one that some field or some type cannot hold."""
        if self.flip(0.8):
            return self.pick([0, 1, 2, 3, 10, 100])
        return self.pick(
            [-1, 255, 256, 65_536, 2**31, 2**32, 2**40, 2**63 - 1, -(2**63), TypedValue(b"T", b"\xff" * 8), 1.5]
        )

    def value(self, depth: int = 0) -> Any:
        """Any field value."""
        if depth < 3 and self.flip(0.2):
            return {self.pick(["a", "b", "x-c"]): self.value(depth + 1) for _ in range(self.chance.randrange(3))}
        if depth < 3 and self.flip(0.2):
            return [self.value(depth + 1) for _ in range(self.chance.randrange(3))]
        return self.pick(
            [self.integer(), True, None, "text", "q1", b"\xff\xfe", float("nan"), TypedValue(b"D", b"\x02\0\0\0\x07"),
             NOT_UTF_8]
        )  # fmt: skip

    def queue_arguments(self) -> dict[str, Any]:
        drawn: dict[str, Callable[[], Any]] = {
            "x-message-ttl": self.integer,
            "x-expires": self.integer,
            "x-max-length": self.integer,
            "x-max-length-bytes": self.integer,
            "x-overflow": lambda: self.pick(["drop-head", "drop-tail", "reject-publish", "reject-publish-dlx", "x"]),
            "x-dead-letter-exchange": lambda: self.pick(["", "amq.fanout", "x1", "missing", NOT_UTF_8]),
            "x-dead-letter-routing-key": lambda: self.pick(["dead", "q1", "k" * 300]),
            "x-max-priority": lambda: self.pick([0, 1, 5, 255, 256]),
            "x-single-active-consumer": lambda: self.pick([True, False, 1]),
            "x-delivery-limit": self.integer,
            "x-queue-type": lambda: self.pick(["classic", "quorum", "stream", "none"]),
            "unknown": self.value,
        }
        names = self.chance.sample(sorted(drawn), self.pick([0, 0, 1, 2, 3]))
        if "x-dead-letter-routing-key" in names and "x-dead-letter-exchange" not in names:
            names.append("x-dead-letter-exchange")
        return {name: drawn[name]() for name in names}

    def headers(self) -> dict[str, Any]:
        headers: dict[str, Any] = {self.pick(["a", "b", "x-c"]): self.value() for _ in range(self.chance.randrange(3))}
        if self.flip(0.2):
            headers["CC"] = self.pick([["q1", "q2"], ["q3", b"\xff"], "q1", [1, None], []])
        if self.flip(0.1):
            headers["BCC"] = ["q2"]
        if self.flip(0.2):
            headers["x-delay"] = self.pick([1, 50, -1, "7", "+-7", 2**40, 1.5, None])
        if self.flip(0.15):
            death = {"queue": self.pick(QUEUES), "reason": self.pick(["rejected", "expired", "maxlen"])}
            headers["x-death"] = self.pick([[{**death, "count": self.integer()}], [self.value()], "none"])
        return headers

    def properties(self) -> dict[str, Any]:
        drawn: dict[str, Callable[[], Any]] = {
            "content_type": lambda: "text/plain",
            "headers": self.headers,
            "delivery_mode": lambda: self.pick([1, 2, 2, 7]),
            "priority": lambda: self.pick([0, 1, 4, 9, 255]),
            "expiration": lambda: self.pick(["0", "1", "50", "1000", "", "-1", "x", "9" * 20, "+5"]),
            "reply_to": lambda: self.pick(["amq.rabbitmq.reply-to", "q1"]),
            "user_id": lambda: self.pick(["guest", "guest", "other"]),
            "timestamp": lambda: self.pick([0, 2**64 - 1]),
            "message_id": lambda: "m",
        }
        return {name: drawn[name]() for name in self.chance.sample(sorted(drawn), self.pick([0, 0, 1, 2, 3]))}

    # ── actions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, channel: int) -> bytes:
        self.published += 1
        size = self.pick(BODY_SIZES)
        body = (b"%06d" % self.published + b"." * size)[:size]
        out = method(
            channel, "basic.publish", exchange=self.pick(EXCHANGES[:1] * 6 + EXCHANGES), routing_key=self.pick(KEYS),
            mandatory=self.flip(0.3),
        )  # fmt: skip
        out += codec.encode_frame(codec.FRAME_HEADER, channel, codec.encode_header(size, self.properties()))
        at = 0
        while at < size:
            part = self.pick([size, 100_000, 8192, max(1, size // 2)])
            part = min(part, 131_072 - 8, size - at)
            out += codec.encode_frame(codec.FRAME_BODY, channel, body[at : at + part])
            at += part
        return out

    def publish_to(self, channel: int, queue: str) -> bytes:
        """A short message to one queue."""
        self.published += 1
        properties = {"delivery_mode": 2} if self.flip() else {}
        body = b"%d" % self.published
        out = method(channel, "basic.publish", routing_key=queue)
        out += codec.encode_frame(codec.FRAME_HEADER, channel, codec.encode_header(len(body), properties))
        return out + codec.encode_frame(codec.FRAME_BODY, channel, body)

    def queue_declare(self, channel: int) -> bytes:
        return method(
            channel, "queue.declare", queue=self.pick(QUEUES), passive=self.flip(0.1), durable=self.flip(),
            exclusive=self.flip(0.1), auto_delete=self.flip(0.2), no_wait=self.flip(0.1),
            arguments=self.queue_arguments(),
        )  # fmt: skip

    def exchange_declare(self, channel: int) -> bytes:
        arguments: dict[str, Any] = {}
        if self.flip(0.3):
            arguments["alternate-exchange"] = self.pick(["amq.fanout", "x1", "x2", NOT_UTF_8, 1])
        if self.flip():
            arguments["x-delayed-type"] = self.pick(TYPES)
        return method(
            channel, "exchange.declare", exchange=self.pick(EXCHANGES), type=self.pick(TYPES), durable=self.flip(),
            auto_delete=self.flip(0.3), internal=self.flip(0.1), no_wait=self.flip(0.1), arguments=arguments,
        )  # fmt: skip

    def bind(self, channel: int) -> bytes:
        arguments = self.headers() if self.flip(0.3) else {}
        if self.flip(0.2):
            arguments["x-match"] = self.pick(["all", "any", "all-with-x", "any-with-x", "x", 1])
        if self.flip(0.7):
            return method(
                channel, self.pick(["queue.bind", "queue.bind", "queue.unbind"]), queue=self.pick(QUEUES),
                exchange=self.pick(EXCHANGES), routing_key=self.pick(KEYS), arguments=arguments,
            )  # fmt: skip
        return method(
            channel, self.pick(["exchange.bind", "exchange.unbind"]), destination=self.pick(EXCHANGES),
            source=self.pick(EXCHANGES), routing_key=self.pick(KEYS), arguments=arguments,
        )  # fmt: skip

    def consume(self, channel: int) -> bytes:
        if self.flip(0.2):
            return method(channel, "basic.cancel", consumer_tag=self.pick(TAGS), no_wait=self.flip(0.2))
        arguments = {"x-priority": self.integer()} if self.flip(0.2) else {}
        return method(
            channel, "basic.consume", queue=self.pick([*QUEUES, "amq.rabbitmq.reply-to"]), consumer_tag=self.pick(TAGS),
            no_local=self.flip(0.2), no_ack=self.flip(0.4), exclusive=self.flip(0.1), no_wait=self.flip(0.2),
            arguments=arguments,
        )  # fmt: skip

    def settle(self, channel: int) -> bytes:
        tag = self.pick([1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 12, 16, 17, 20, 33, 40, 0, 2**63])
        name = self.pick(["basic.ack", "basic.ack", "basic.nack", "basic.reject"])
        if name == "basic.reject":
            return method(channel, name, delivery_tag=tag, requeue=self.flip())
        multiple = tag == 0 or self.flip(0.3)
        if name == "basic.ack":
            return method(channel, name, delivery_tag=tag, multiple=multiple)
        return method(channel, name, delivery_tag=tag, multiple=multiple, requeue=self.flip(0.6))

    def get(self, channel: int) -> bytes:
        return method(channel, "basic.get", queue=self.pick(QUEUES), no_ack=self.flip(0.3))

    def burst(self, channel: int) -> bytes:
        """Enough of the same to make what grows grow."""
        if self.flip():
            count: int = self.pick([16, 17, 33])
            return method(channel, "basic.get", queue=self.pick(QUEUES)) * count
        action = self.publish if self.flip() else self.settle
        return b"".join(action(channel) for _ in range(self.pick([8, 16, 33])))

    def other(self, channel: int) -> bytes:
        queue = self.pick(QUEUES)
        chosen: bytes = self.pick(
            [
                lambda: method(channel, "basic.qos", prefetch_count=self.pick([0, 1, 2, 10]), global_=self.flip()),
                lambda: method(channel, "basic.recover", requeue=self.flip()),
                lambda: method(channel, "basic.recover-async", requeue=self.flip()),
                lambda: method(channel, "confirm.select"),
                lambda: method(channel, "tx.select"),
                lambda: method(channel, "tx.commit"),
                lambda: method(channel, "tx.rollback"),
                lambda: method(channel, "channel.flow", active=self.flip(0.7)),
                lambda: method(channel, "queue.purge", queue=queue),
                lambda: method(channel, "queue.delete", queue=queue, if_unused=self.flip(0.2), if_empty=self.flip(0.2)),
                lambda: method(channel, "exchange.delete", exchange=self.pick(EXCHANGES), if_unused=self.flip(0.3)),
                lambda: method(0, "connection.update-secret", new_secret=b"guest", reason="r"),
                lambda: codec.encode_frame(codec.FRAME_HEARTBEAT, 0, b""),
                lambda: method(channel, self.pick(sorted(codec.BY_NAME))),
            ]
        )()
        return chosen

    def channel_open(self, _channel: int) -> bytes:
        return method(self.pick([1, 2, 7]), "channel.open")

    def channel_close(self, channel: int) -> bytes:
        return method(channel, self.pick(["channel.close", "channel.close-ok", "channel.close-ok"]))

    # ── whole ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def frames(self, count: int) -> list[bytes]:
        """`count` things that one client says, each one or several whole frames."""
        weights = [weight for weight, _ in self.actions]
        out = []
        for _ in range(count):
            _, action = self.chance.choices(self.actions, weights)[0]
            out.append(action(self.pick(CHANNELS)))
        return out


def scene(chance: random.Random, author: Author) -> list[bytes]:
    """How a conversation begins: queues that hang together, with consumers, so that one message causes another."""
    loop = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": chance.choice(["q2", "dead", "q1"])}
    limits: list[dict[str, Any]] = [
        {"x-max-length": 10, "x-overflow": author.pick(["reject-publish", "reject-publish-dlx"])},
        {"x-delivery-limit": chance.randrange(2)}, {"x-max-length": chance.randrange(3)}, {"x-message-ttl": 50}, {},
    ]  # fmt: skip
    out = [
        method(1, "queue.declare", queue=name, durable=author.flip(), arguments={**loop, **chance.choice(limits)})
        for name in ["q1", "q2"]
    ]
    out.append(method(1, "queue.declare", queue="dead"))
    for name in chance.sample(["q1", "q2", "dead", "dead"], 2):
        out.append(method(1, "basic.consume", queue=name, no_ack=author.flip(0.2)))
    for name in ["q1", "q2"]:
        out.append(b"".join(author.publish_to(1, name) for _ in range(chance.choice([1, 16, 40]))))
        out.append(method(1, "basic.get", queue=name) * chance.choice([1, 15, 16, 33]))
    out += [author.settle(1) for _ in range(chance.choice([1, 8, 20]))]
    return out


def conversation(chance: random.Random, count: int = 24) -> list[Step]:
    """Two clients who take turns, time that passes, and sockets that break."""
    author = Author(chance)
    steps = [Step(CLIENT_A, author.queue_declare(1)) for _ in range(3)]
    if author.flip(0.3):
        steps = [Step(CLIENT_A, frames) for frames in scene(chance, author)]
    mode = author.pick(["", "", "confirm", "tx"])
    if mode:
        steps.insert(0, Step(CLIENT_A, method(1, mode + ".select")))
    for frames in author.frames(count):
        steps.append(Step(chance.choice([CLIENT_A, CLIENT_A, CLIENT_B]), frames))
        if mode == "tx" and chance.random() < 0.1:
            steps.append(Step(CLIENT_A, method(1, chance.choice(["tx.commit", "tx.commit", "tx.rollback"]))))
        if chance.random() < 0.06:
            steps.append(Step(WAIT, chance.choice([1, 60, 5000]).to_bytes(2, "big")))
        if chance.random() < 0.02:
            steps.append(Step(LOSE, bytes([chance.choice([CLIENT_A, CLIENT_B])])))
    return steps


def introduction(chance: random.Random) -> list[Step]:
    """A handshake, said in pieces."""
    said = chance.choice([handshake(), handshake(4096), HEADER_AND_START_OK, codec.PROTOCOL_HEADER, b"AMQP\0\0\x08\0"])
    said += method(0, chance.choice(["connection.close", "connection.close-ok", "connection.secure-ok", "basic.qos"]))
    cut = chance.randrange(len(said))
    return [Step(STRANGER, said[:cut]), Step(STRANGER, said[cut:])]
