"""Load for crash tests: publishers that count confirms, consumers that keep evidence of what was committed.

Owns the `Journal`: what clients have been told, over all the lives of one server. It judges each delivery as it comes,
and the final state at the end. What counts as evidence (AMQP has no answer to basic.ack):

- a publish is accepted when its basic.ack came;
- a settlement is committed when a *later* publish on the same channel was confirmed, or when its tx.commit-ok came.
  Until then the message may come back or not.

Every message says who it is: publisher and number, as its body. A queue's messages of one publisher come in order.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field

from tests.support.amqp_raw import Method, PeerClosedError, RawConnection

Address = tuple[str, int]
Identity = tuple[int, int]
"""Publisher, number."""

PERSISTENT = {"delivery_mode": 2}
EXCHANGE, DIRECT_QUEUE, FANOUT_QUEUE = "kill.fanout", "kill.direct", "kill.both"
GRAVES, RECEIPTS = "kill.graves", "kill.receipts"
"""Publishers of odd numbers reach DIRECT_QUEUE alone, the others reach it and FANOUT_QUEUE through EXCHANGE."""
QUEUES = (DIRECT_QUEUE, FANOUT_QUEUE)
WINDOW = 200
"""Publishes that may wait for their confirm."""


def encode_identity(identity: Identity, size: int) -> bytes:
    return f"{identity[0]}:{identity[1]}:".encode().ljust(size, b".")


def decode_identity(body: bytes) -> Identity:
    publisher, number, _ = body.split(b":", 2)
    return int(publisher), int(number)


def targets(publisher: int) -> tuple[str, ...]:
    return (DIRECT_QUEUE,) if publisher % 2 else QUEUES


@dataclass
class Journal:
    """What clients know; `faults` is what must not have happened. Its lock serves all threads."""

    strict: bool = True
    """Whether committed settlements and the redelivered flag are judged: after kill -9 RabbitMQ promises neither."""
    accepted: set[Identity] = field(default_factory=set)
    delivered: dict[str, set[Identity]] = field(default_factory=lambda: defaultdict(set))
    settled: dict[str, set[Identity]] = field(default_factory=lambda: defaultdict(set))
    """Settlements that were sent: from then on the message may be gone."""
    committed: dict[str, set[Identity]] = field(default_factory=lambda: defaultdict(set))
    """Settlements of which there is evidence: from then on the message must be gone."""
    faults: list[str] = field(default_factory=list)
    next_number: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on_delivery(self, queue: str, identity: Identity, redelivered: bool, last: dict[int, int]) -> None:
        """Judge one delivery; `last` holds the highest number per publisher that this consumer has had."""
        publisher, number = identity
        with self.lock:
            if number <= last.get(publisher, -1):
                self.faults.append(f"{queue}: {identity} came after {last[publisher]}")
            if self.strict and identity in self.committed[queue]:
                self.faults.append(f"{queue}: {identity} came back although its settlement was committed")
            if self.strict and identity in self.delivered[queue] and not redelivered:
                self.faults.append(f"{queue}: {identity} was delivered before and came back without redelivered")
            self.delivered[queue].add(identity)
        last[publisher] = number

    def missing(self, found: dict[str, set[Identity]]) -> list[str]:
        """The accepted messages that are neither in `found` nor were settled by a client."""
        return [
            f"{queue}: {identity} was accepted and is lost"
            for identity in sorted(self.accepted)
            for queue in targets(identity[0])
            if identity not in found[queue] and identity not in self.settled[queue]
        ]


class Worker(threading.Thread):
    """A client that works until its server goes."""

    connection_type = RawConnection

    def __init__(self, address: Address, journal: Journal, seed: int) -> None:
        super().__init__(daemon=True)
        self.address, self.journal, self.random = address, journal, random.Random(seed)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            connection = self.connection_type(self.address, timeout_s=30)
            try:
                self.work(connection.open().open_channel())
            finally:
                connection.close()
        except (OSError, PeerClosedError):
            pass  # the server was killed: what this is all about
        except BaseException as error:
            self.error = error

    def work(self, connection: RawConnection) -> None:
        raise NotImplementedError


class Publisher(Worker):
    """Publishes persistent messages with confirms, up to `count_max` in one life of the server."""

    def __init__(self, address: Address, journal: Journal, seed: int, number: int, count_max: int) -> None:
        super().__init__(address, journal, seed)
        self.number, self.count_max = number, count_max

    def work(self, connection: RawConnection) -> None:
        connection.rpc("confirm.select")
        waiting: dict[int, Identity] = {}
        exchange, routing_key = ("", DIRECT_QUEUE) if self.number % 2 else (EXCHANGE, "")
        sent = 0
        while sent < self.count_max or waiting:
            chunk = []
            while sent < self.count_max and len(waiting) < WINDOW:
                identity = self.number, self.journal.next_number[self.number]
                self.journal.next_number[self.number] += 1
                sent += 1
                waiting[sent] = identity
                size = self.random.choice((20, 100, 1000)) if self.random.random() < 0.99 else 200_000
                chunk.append(
                    connection.encode_publish(exchange, routing_key, encode_identity(identity, size), PERSISTENT)
                )
            connection.send_bytes(b"".join(chunk))
            self.on_confirm(connection.expect("basic.ack"), waiting)

    def on_confirm(self, ack: Method, waiting: dict[int, Identity]) -> None:
        tag = ack.fields["delivery_tag"]
        tags = [waited for waited in waiting if waited <= tag] if ack.fields["multiple"] else [tag]
        with self.journal.lock:
            self.journal.accepted.update(waiting.pop(confirmed) for confirmed in tags)


class Consumer(Worker):
    """Consumes one queue and settles in groups; a subclass says how a group becomes certain."""

    def __init__(self, address: Address, journal: Journal, seed: int, queue: str) -> None:
        super().__init__(address, journal, seed)
        self.queue = queue
        self.last: dict[int, int] = {}

    def work(self, connection: RawConnection) -> None:
        self.begin(connection)
        connection.rpc("basic.qos", prefetch_count=100)
        connection.send("basic.consume", queue=self.queue, no_wait=True, consumer_tag="c")
        group: list[tuple[int, Identity]] = []
        size = 1
        while True:
            method = connection.read_method()
            if method.name != "basic.deliver":
                self.on_evidence(method)
                continue
            identity = decode_identity(method.body)
            self.journal.on_delivery(self.queue, identity, method.fields["redelivered"], self.last)
            group.append((method.fields["delivery_tag"], identity))
            if len(group) >= size:
                with self.journal.lock:
                    self.journal.settled[self.queue].update(identity for _, identity in group)
                self.settle(connection, group)
                group, size = [], self.random.randint(1, 40)

    def begin(self, connection: RawConnection) -> None:
        raise NotImplementedError

    def settle(self, connection: RawConnection, group: list[tuple[int, Identity]]) -> None:
        raise NotImplementedError

    def on_evidence(self, method: Method) -> None:
        raise NotImplementedError

    def commit(self, identities: list[Identity]) -> None:
        with self.journal.lock:
            self.journal.committed[self.queue].update(identities)


class ConfirmingConsumer(Consumer):
    """Acknowledges, then publishes a receipt; the receipt's confirm is the evidence."""

    def begin(self, connection: RawConnection) -> None:
        self.receipts: dict[int, list[Identity]] = {}
        self.published = 0
        connection.rpc("confirm.select")

    def settle(self, connection: RawConnection, group: list[tuple[int, Identity]]) -> None:
        if self.random.random() < 0.5:
            connection.send("basic.ack", delivery_tag=group[-1][0], multiple=True)
        else:
            for tag, _ in self.random.sample(group, len(group)):
                connection.send("basic.ack", delivery_tag=tag)
        self.published += 1
        self.receipts[self.published] = [identity for _, identity in group]
        connection.publish("", RECEIPTS, b"receipt", PERSISTENT)

    def on_evidence(self, method: Method) -> None:
        assert method.name == "basic.ack", method
        tag = method.fields["delivery_tag"]
        tags = [sent for sent in self.receipts if sent <= tag] if method.fields["multiple"] else [tag]
        for confirmed in tags:
            self.commit(self.receipts.pop(confirmed))


class TransactionalConsumer(Consumer):
    """Acknowledges most, rejects some (which go to GRAVES), and commits; tx.commit-ok is the evidence."""

    def begin(self, connection: RawConnection) -> None:
        self.transactions: list[list[Identity]] = []
        connection.rpc("tx.select")

    def settle(self, connection: RawConnection, group: list[tuple[int, Identity]]) -> None:
        for tag, identity in group:
            if identity[1] % 7 == 0:
                connection.send("basic.reject", delivery_tag=tag, requeue=False)
            else:
                connection.send("basic.ack", delivery_tag=tag)
        self.transactions.append([identity for _, identity in group])
        connection.send("tx.commit")

    def on_evidence(self, method: Method) -> None:
        assert method.name == "tx.commit-ok", method
        self.commit(self.transactions.pop(0))


def declare_topology(address: Address) -> None:
    """Everything durable; declaring it again after a crash must be without a difference."""
    connection = RawConnection(address).open().open_channel()
    connection.rpc("exchange.declare", exchange=EXCHANGE, type="fanout", durable=True)
    connection.rpc("queue.declare", queue=DIRECT_QUEUE, durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": GRAVES}
    connection.rpc("queue.declare", queue=FANOUT_QUEUE, durable=True, arguments=arguments)
    connection.rpc("queue.declare", queue=GRAVES, durable=True)
    connection.rpc("queue.declare", queue=RECEIPTS, durable=True)
    for queue in QUEUES:
        connection.rpc("queue.bind", queue=queue, exchange=EXCHANGE)
    connection.rpc("connection.close", reply_code=200)
    connection.close()


def drain(address: Address, queue: str) -> list[tuple[Identity, bool]]:
    """Take everything from a queue: (identity, redelivered) in order."""
    connection = RawConnection(address, timeout_s=30).open().open_channel()
    count = connection.rpc("queue.declare", queue=queue, passive=True).fields["message_count"]
    connection.send("basic.consume", queue=queue, no_ack=True, no_wait=True, consumer_tag="drain")
    taken = []
    for _ in range(count):
        method = connection.expect("basic.deliver")
        taken.append((decode_identity(method.body), method.fields["redelivered"]))
    connection.rpc("connection.close", reply_code=200)
    connection.close()
    return taken
