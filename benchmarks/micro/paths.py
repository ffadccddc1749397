"""The paths that are measured: what a message meets between the bytes of a read and the bytes of a write.

Owns the work of each path. Bytes to be fed are built by `prepare`, before the measurement; `run` does nothing but feed
and take, so that what it costs is the broker's; `check` says afterwards whether every message came out, whole and in
order.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import NamedTuple

from .peer import (
    CLOSE,
    CLOSE_OK,
    CONSUME,
    CONSUME_OK,
    House,
    Peer,
    ack,
    chunks,
    deliver,
    delivery_tags,
    publish,
)

PERSISTENT = 2
TURN_MESSAGES = 512
"""Durable: what is published between two commits. An eighth of the load generator's window."""
PREFETCH = 1000
ACKS_PER_READ = 250
TOPIC_BINDINGS = 1000
FANOUT_KEYS = [f"{first}.{last}" for first in ("#", "news.#", "news.*", "*.*", "*.#") for last in ("#", "today")]


class Work:
    """One path. `prepare(messages)`, `run()`, `check()`, as often as one likes."""

    def __init__(self) -> None:
        """A broker of its own."""
        self.house = House()

    def prepare(self, messages: int) -> int:
        """Build what will be fed: at least so many messages. How many they are."""
        raise NotImplementedError

    def run(self) -> None:
        """Feed it. This alone is measured."""
        raise NotImplementedError

    def check(self) -> None:
        """AssertionError where a message is missing, or one too many came out."""
        raise NotImplementedError


class Publishing(Work):
    """What most paths share: one publisher, consumers each of which gets every message."""

    exchange = ""
    routing_keys: tuple[str, ...] = ("micro",)
    body = b"0123456789abcdef"

    def __init__(self) -> None:
        """Declares what the path needs."""
        super().__init__()
        self.publisher = self.house.client()
        self.consumers: list[Peer] = []
        self.properties: dict[str, object] = {}
        self.fed: list[bytes] = []
        self.messages = self.messages_before = 0
        self.set_up()

    def set_up(self) -> None:
        """Exchanges, queues, consumers."""
        raise NotImplementedError

    def prepare(self, messages: int) -> int:
        """See Work."""
        frames = [publish(self.exchange, key, self.body, **self.properties) for key in self.routing_keys]
        self.messages_before += self.messages
        self.messages = messages
        self.fed = chunks(islice(cycle(frames), messages))
        for consumer in self.consumers:
            consumer.received_bytes = 0
        return messages

    def run(self) -> None:
        """See Work."""
        publisher, consumers = self.publisher, self.consumers
        for chunk in self.fed:
            publisher.feed(chunk)
            for consumer in consumers:
                consumer.take()

    def check(self) -> None:
        """See Work."""
        size = len(deliver(1, self.exchange, self.routing_keys[0], self.body, **self.properties))
        last_tag = self.messages_before + self.messages
        for consumer in self.consumers:
            tags = delivery_tags(consumer.last)
            assert consumer.received_bytes == self.messages * size, f"{consumer.received_bytes} bytes were delivered"
            assert tags == list(range(last_tag - len(tags) + 1, last_tag + 1)), "deliveries are missing or out of order"


class Transient(Publishing):
    """Transient publish through the default exchange, delivered at once, auto-ack."""

    def set_up(self) -> None:
        """See Publishing."""
        consumer = self.house.client()
        consumer.declare_queue("micro")
        consumer.consume("micro", no_ack=True)
        self.consumers.append(consumer)


class Transient256(Transient):
    """The same with 256 bytes."""

    body = Transient.body * 16


class Topic(Publishing):
    """A topic exchange with 1000 bindings, exact, with `*` and with `#`; each message matches one."""

    exchange = "micro"
    routing_keys = tuple(f"sensor{number:04d}.state.value" for number in range(TOPIC_BINDINGS))

    def set_up(self) -> None:
        """See Publishing."""
        consumer = self.house.client()
        consumer.declare_topic_exchange("micro")
        consumer.declare_queue("micro")
        for number in range(TOPIC_BINDINGS):
            word = f"sensor{number:04d}"
            consumer.bind("micro", "micro", (f"{word}.state.value", f"{word}.#", f"{word}.*.value")[number % 3])
        consumer.consume("micro", no_ack=True)
        self.consumers.append(consumer)


class Fanout(Publishing):
    """A topic exchange and ten queues bound by wildcards that all match, ten consumers."""

    exchange = "micro"
    routing_keys = tuple(f"news.topic{number:02d}.today" for number in range(16))
    body = Transient.body * 16

    def set_up(self) -> None:
        """See Publishing."""
        self.publisher.declare_topic_exchange("micro")
        for number, binding_key in enumerate(FANOUT_KEYS):
            consumer = self.house.client()
            consumer.declare_queue(f"micro{number}")
            consumer.bind(f"micro{number}", "micro", binding_key)
            consumer.consume(f"micro{number}", no_ack=True)
            self.consumers.append(consumer)


class Durable(Publishing):
    """Persistent publish, confirm, manual ack (multiple, each 256), through the batches of a store in memory."""

    body = Transient.body * 16

    def set_up(self) -> None:
        """See Publishing."""
        self.properties = {"delivery_mode": PERSISTENT}
        self.publisher.call("confirm.select", False)
        consumer = self.house.client()
        consumer.declare_queue("micro", durable=True)
        consumer.call("basic.qos", 0, PREFETCH, False)
        consumer.consume("micro", no_ack=False)
        self.consumers.append(consumer)
        self.acks: list[bytes] = []

    def prepare(self, messages: int) -> int:
        """See Work. What a turn delivers is settled in the next, when it is on disk: nothing is elided."""
        turns = -(-messages // TURN_MESSAGES)
        super().prepare(turns * TURN_MESSAGES)
        unit = publish(self.exchange, self.routing_keys[0], self.body, **self.properties)
        self.fed = [unit * TURN_MESSAGES] * turns
        half = TURN_MESSAGES // 2
        ends = [self.messages_before + turn * TURN_MESSAGES for turn in range(1, turns + 1)]
        self.acks = [ack(end - half, multiple=True) + ack(end, multiple=True) for end in ends]
        return self.messages

    def run(self) -> None:
        """See Work."""
        publisher, (consumer,), turn_ends = self.publisher, self.consumers, self.house.turn_ends
        for chunk, acks in zip(self.fed, self.acks, strict=True):
            publisher.feed(chunk)
            turn_ends()
            turn_ends()  # the commit of a store in memory is done at once: these are its confirms
            publisher.take()
            consumer.take()
            consumer.feed(acks)

    def check(self) -> None:
        """See Work."""
        super().check()
        channel = self.publisher.connection.channels[1]
        assert channel.accepted_up_to == self.messages_before + self.messages, "a publish was not confirmed"
        assert self.consumers[0].connection.channels[1].unacked_count == 0
        self.house.store.sync()
        assert self.house.store.statistics()["segments"] == 0, "something is left in the store"


class Backlog(Publishing):
    """Fill a queue that nobody consumes, then drain it with prefetch 1000 and one ack for each message."""

    def set_up(self) -> None:
        """See Publishing."""
        self.publisher.declare_queue("micro")
        self.acks: list[bytes] = []

    def prepare(self, messages: int) -> int:
        """See Work. Each time another consumer drains it, so that delivery tags begin with 1."""
        super().prepare(messages)
        self.messages_before = 0
        consumer = self.house.client()
        consumer.call("basic.qos", 0, PREFETCH, False)
        self.consumers = [consumer]
        acks = [ack(tag, multiple=False) for tag in range(1, messages + 1)]
        self.acks = chunks(acks, ACKS_PER_READ * len(acks[0]))
        return messages

    def run(self) -> None:
        """See Work."""
        super().run()
        (consumer,) = self.consumers
        consumer.feed(CONSUME)
        consumer.take()
        for acks in self.acks:
            consumer.feed(acks)
            consumer.take()

    def check(self) -> None:
        """See Work."""
        (consumer,) = self.consumers
        assert consumer.connection.channels[1].unacked_count == 0
        consumer.received_bytes -= len(CONSUME_OK)
        super().check()
        consumer.connection.lost("the work is done")


class Connects(Work):
    """The cold path that idle connections pay: handshake (PLAIN, a password that was right before), channel."""

    def __init__(self) -> None:
        """One login goes before: verifying a password for the first time costs milliseconds on purpose."""
        super().__init__()
        self.house.client()
        self.connects = self.opened_before = 0
        self.outputs: list[bytes] = []

    def prepare(self, messages: int) -> int:
        """See Work. A message is a connection here."""
        self.connects = messages
        self.opened_before = self.house.endpoint.channels_opened
        self.outputs = []
        return messages

    def run(self) -> None:
        """See Work."""
        house = self.house
        for _ in range(self.connects):
            peer = house.connection()
            peer.log_in()
            peer.feed(CLOSE)
            answer = peer.take_output()
            peer.connection.lost("the peer closed")
        self.outputs.append(answer)

    def check(self) -> None:
        """See Work."""
        endpoint = self.house.endpoint
        assert endpoint.channels_opened - self.opened_before == self.connects
        assert endpoint.connections_opened == endpoint.connections_closed + 1
        assert self.outputs == [CLOSE_OK]


class Path(NamedTuple):
    """A path by its name: what it does, and how many messages one measurement takes."""

    work: type[Work]
    messages: int
    unit: str


AMQP_PATHS = {
    "transient-16": Path(Transient, 40_000, "message"),
    "transient-256": Path(Transient256, 20_000, "message"),
    "durable-256": Path(Durable, 40 * TURN_MESSAGES, "message"),
    "topic-1000": Path(Topic, 20_000, "message"),
    "fanout-10": Path(Fanout, 2_000, "message"),
    "backlog-16": Path(Backlog, 20_000, "message"),
    "connect": Path(Connects, 500, "connect"),
}
