"""The patterns: each does its work for some seconds and says how often it was done.

Owns the work. A pattern is a generator of counts: each `next` does a piece and yields how many messages, calls or
rounds it was, so that whoever measures decides for how long.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Generator

from broker.amqp.codec import frame, method_frame
from broker.core.properties import encode_properties

from ..micro.peer import FRAME_BODY, FRAME_HEADER, publish
from .client import ACK, DELIVER, FRAME_MAX, GET_OK, RETURN, Acks, Client, clients

BODY = b"x" * 256
PERSISTENT = 2
PIECE = 200
"""Messages that are published in one send."""

Pieces = Generator[int, None, None]
Pattern = Callable[[int], Pieces]


def stream(
    publisher: Client, consumer: Client, frames: bytes, count: int, window: int, acks: Acks | None, per_message: int = 1
) -> Pieces:
    """Publish and consume with so many messages outstanding; `frames` are `count` messages."""
    outstanding = 0
    while True:
        while outstanding + count * per_message <= window:
            publisher.send(frames)
            outstanding += count * per_message
        got = consumer.count(DELIVER)
        outstanding -= got
        if acks is not None and got:
            consumer.send(acks.take(got))
        yield got


def work_queue(port: int, prefetch: int, durable: bool) -> Pieces:
    """Workers' usual way: a prefetch count, and each message acknowledged by itself."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("work", durable=durable)
        consumer.consume("work", prefetch=prefetch)
        properties = {"delivery_mode": PERSISTENT} if durable else {}
        frames = publish("", "work", BODY, **properties) * PIECE
        yield from stream(publisher, consumer, frames, PIECE, 20 * PIECE, Acks())


def prefetch_100(port: int) -> Pieces:
    """Transient, prefetch 100, single acks."""
    yield from work_queue(port, 100, False)


def prefetch_100_durable(port: int) -> Pieces:
    """Durable, persistent, prefetch 100, single acks; nobody asks for confirms."""
    yield from work_queue(port, 100, True)


def prefetch_1(port: int) -> Pieces:
    """Transient, prefetch 1, single acks: each message waits for the acknowledgement of the one before."""
    yield from work_queue(port, 1, False)


def workers(port: int) -> Pieces:
    """50 consumers of one queue on 50 connections, prefetch 10, single acks."""
    with clients(port, 51) as (publisher, *consumers):
        publisher.declare("workers")
        for consumer in consumers:
            consumer.consume("workers", prefetch=10)
        acks = [Acks(1 << 10) for _ in consumers]
        frames = publish("", "workers", BODY) * 500
        while True:
            publisher.send(frames)
            left = 500
            for consumer, own in zip(consumers, acks, strict=True):  # each gets ten at a time, in turn
                got = 0
                while got < min(10, left):
                    got += consumer.count(DELIVER)
                left -= got
                consumer.send(own.take(got))
            yield 500


def get_loop(port: int) -> Pieces:
    """basic.get, one after the other, without acknowledgements, from a queue that others fill."""
    with clients(port, 2) as (publisher, getter):
        getter.declare("polled")
        frames = publish("", "polled", BODY) * PIECE
        get = method_frame(1, "basic.get", 0, "polled", True)
        while True:
            publisher.send(frames)
            publisher.call("basic.qos", 0, 0, False)  # all of them are there
            for _ in range(PIECE):
                getter.send(get)
                getter.wait_for(GET_OK, 1)
            yield PIECE


def confirm_each(port: int) -> Pieces:
    """Durable, persistent: publish one, wait for its confirm, publish the next."""
    with clients(port, 1) as (publisher,):
        publisher.declare("careful", durable=True, x_max_length=1000)
        publisher.call("confirm.select", False)
        one = publish("", "careful", BODY, delivery_mode=PERSISTENT)
        while True:
            for _ in range(20):
                publisher.send(one)
                publisher.wait_for(ACK, 1)
            yield 20


def returned(port: int) -> Pieces:
    """Mandatory, and nobody wants it: each comes back."""
    with clients(port, 1) as (publisher,):
        plain, mandatory = (method_frame(1, "basic.publish", 0, "", "nobody", each, False) for each in (False, True))
        one = mandatory + publish("", "nobody", BODY).removeprefix(plain)
        while True:
            publisher.send(one * PIECE)
            publisher.wait_for(RETURN, PIECE)
            yield PIECE


def transactions(port: int) -> Pieces:
    """tx: ten persistent messages and a commit, again and again. A transaction counts as one."""
    with clients(port, 1) as (publisher,):
        publisher.declare("ledger", durable=True, x_max_length=1000)
        publisher.call("tx.select")
        frames = publish("", "ledger", BODY, delivery_mode=PERSISTENT) * 10 + method_frame(1, "tx.commit")
        while True:
            for _ in range(20):
                publisher.ask(frames)
            yield 20


def priorities(port: int) -> Pieces:
    """A queue of ten priorities: 10,000 messages of all of them come, then are consumed with prefetch 100."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("urgent", x_max_priority=10)
        consumer.consume("urgent", prefetch=100)
        frames = b"".join(publish("", "urgent", BODY, priority=each % 10) for each in range(PIECE)) * 50
        acks = Acks()
        while True:
            publisher.send(frames)
            publisher.call("basic.qos", 0, 0, False)  # all of them are there
            left = 50 * PIECE
            while left:
                got = consumer.count(DELIVER)
                left -= got
                consumer.send(acks.take(got))
            yield 50 * PIECE


def mortal(port: int) -> Pieces:
    """Every message with an expiration that does not come, prefetch 100, single acks."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("mortal")
        consumer.consume("mortal", prefetch=100)
        frames = publish("", "mortal", BODY, expiration="60000") * PIECE
        yield from stream(publisher, consumer, frames, PIECE, 20 * PIECE, Acks())


def expired(port: int) -> Pieces:
    """Every message expires at once, and goes to a dead-letter exchange whose queue is consumed."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("graveyard")
        consumer.declare(
            "shortlived", x_message_ttl=1, x_dead_letter_exchange="", x_dead_letter_routing_key="graveyard"
        )
        consumer.consume("graveyard", no_ack=True)
        yield from stream(publisher, consumer, publish("", "shortlived", BODY) * PIECE, PIECE, 20 * PIECE, None)


def rejected(port: int) -> Pieces:
    """Each message is rejected by its consumer, and dead-lettered to a second queue, whose consumer takes it."""
    with clients(port, 3) as (publisher, refuser, consumer):
        consumer.declare("second")
        consumer.declare("first", x_dead_letter_exchange="", x_dead_letter_routing_key="second")
        consumer.consume("second", no_ack=True)
        refuser.consume("first", prefetch=1000)
        rejects = Acks(negative=method_frame(1, "basic.reject", 0, False))
        frames = publish("", "first", BODY) * PIECE
        while True:
            publisher.send(frames)
            left = PIECE
            while left:
                got = refuser.count(DELIVER)
                left -= got
                refuser.send(rejects.take(got))
            consumer.wait_for(DELIVER, PIECE)
            yield PIECE


def requeued(port: int) -> Pieces:
    """Each message is given back by its first consumer, comes again, and is acknowledged then."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("again")
        consumer.consume("again")
        frames = publish("", "again", BODY) * PIECE
        tag = 0
        while True:
            publisher.send(frames)
            consumer.wait_for(DELIVER, PIECE)
            tag += PIECE
            consumer.send(method_frame(1, "basic.nack", tag, True, True))
            consumer.wait_for(DELIVER, PIECE)
            tag += PIECE
            consumer.send(method_frame(1, "basic.ack", tag, True))
            yield PIECE


def headers(port: int) -> Pieces:
    """A headers exchange with 100 bindings (x-match all, two headers), of which each message matches one."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("matched")
        consumer.call("exchange.declare", 0, "by-headers", "headers", False, False, True, False, False, {})
        for number in range(100):
            arguments = {"x-match": "all", "region": "north", "shard": number}
            consumer.call("queue.bind", 0, "matched", "by-headers", str(number), False, arguments)
        consumer.consume("matched", no_ack=True)
        each = [publish("by-headers", "k", BODY, headers={"region": "north", "shard": number}) for number in range(100)]
        yield from stream(publisher, consumer, b"".join(each), 100, 4000, None)


def fanout_100(port: int) -> Pieces:
    """A fanout exchange with 100 queues, all consumed on one connection with auto-ack. Deliveries are counted."""
    with clients(port, 2) as (publisher, consumer):
        consumer.call("exchange.declare", 0, "to-all", "fanout", False, False, True, False, False, {})
        for number in range(100):
            consumer.call("queue.declare", 0, f"copy-{number}", False, False, True, False, False, {})
            consumer.call("queue.bind", 0, f"copy-{number}", "to-all", "", False, {})
            consumer.consume(f"copy-{number}", no_ack=True, tag=f"c{number}")
        yield from stream(publisher, consumer, publish("to-all", "", BODY) * 10, 10, 8000, None, 100)


def queues_10000(port: int) -> Pieces:
    """10,000 queues: one message into each, then basic.get of each. A message counts as one."""
    count = 10_000
    with clients(port, 2) as (publisher, getter):
        names = [f"one-of-many-{number}" for number in range(count)]
        try:
            for start in range(0, count, 500):
                part = names[start : start + 500]
                getter.send(
                    b"".join(
                        method_frame(1, "queue.declare", 0, name, False, False, False, False, False, {})
                        for name in part
                    )
                )
                getter.wait_for(b"\0\x32\0\x0b", len(part))
            puts = [publish("", name, BODY) for name in names]
            gets = [method_frame(1, "basic.get", 0, name, True) for name in names]
            while True:
                for start in range(0, count, 500):
                    publisher.send(b"".join(puts[start : start + 500]))
                publisher.call("basic.qos", 0, 0, False)  # all of them are there
                for start in range(0, count, 500):
                    getter.send(b"".join(gets[start : start + 500]))
                    getter.wait_for(GET_OK, 500)
                yield count
        finally:
            for start in range(0, count, 500):
                part = names[start : start + 500]
                getter.send(b"".join(method_frame(1, "queue.delete", 0, name, False, False, False) for name in part))
                getter.wait_for(b"\0\x32\0\x29", len(part))


def connections_2000(port: int) -> Pieces:
    """1000 publishers and 1000 consumers, each pair with a queue of its own: ten messages from each, in turn."""
    with clients(port, 2000) as everybody:
        pairs = list(zip(everybody[:1000], everybody[1000:], strict=True))
        for number, (_, consumer) in enumerate(pairs):
            consumer.call("queue.declare", 0, f"own-{number}", False, False, True, False, False, {})
            consumer.consume(f"own-{number}", no_ack=True)
        frames = [publish("", f"own-{number}", BODY) * 10 for number in range(1000)]
        while True:
            for start in range(0, 1000, 100):
                for number in range(start, start + 100):
                    pairs[number][0].send(frames[number])
                for number in range(start, start + 100):
                    pairs[number][1].wait_for(DELIVER, 10)
                yield 1000


def rpc(port: int) -> Pieces:
    """Requests over direct reply-to, 20 at a time. A request with its reply counts as one."""
    with clients(port, 2) as (asking, serving):
        serving.declare("service")
        serving.consume("service", no_ack=True)
        asking.consume("amq.rabbitmq.reply-to", no_ack=True)
        requests = publish("", "service", BODY, reply_to="amq.rabbitmq.reply-to") * 20
        while True:
            asking.send(requests)
            received = b""
            while received.count(DELIVER) < 20 or not received.endswith(b"\xce"):
                received += serving.receive()
            at = received.index(b"amq.rabbitmq.reply-to.")
            address = received[at : at + received[at - 1]].decode()
            serving.send(publish("", address, BODY) * 20)
            asking.wait_for(DELIVER, 20)
            yield 20


def queue_churn(port: int) -> Pieces:
    """A queue is declared, bound and deleted, ten at a time. All three count as one."""
    with clients(port, 1) as (client,):
        names = itertools.count()
        while True:
            frames = b""
            for _ in range(10):
                name = f"short-{next(names)}"
                frames += method_frame(1, "queue.declare", 0, name, False, False, True, False, False, {})
                frames += method_frame(1, "queue.bind", 0, name, "amq.topic", f"{name}.#", False, {})
                frames += method_frame(1, "queue.delete", 0, name, False, False, False)
            client.send(frames)
            client.wait_for(b"\0\x32\0\x29", 10)
            yield 10


def channel_churn(port: int) -> Pieces:
    """A channel is opened, a message published on it, the channel closed."""
    with clients(port, 1) as (client,):
        client.declare("churned", x_max_length=10)
        raw = encode_properties({})
        frames = (
            method_frame(2, "channel.open", "")
            + method_frame(2, "basic.publish", 0, "", "churned", False, False)
            + frame(FRAME_HEADER, 2, struct.pack(">HHQ", 60, 0, len(BODY)) + raw)
            + frame(FRAME_BODY, 2, BODY)
            + method_frame(2, "channel.close", 200, "", 0, 0)
        )
        while True:
            for _ in range(20):
                client.send(frames)
                client.wait_for(b"\0\x14\0\x29", 1)
            yield 20


def megabytes(port: int) -> Pieces:
    """Durable, persistent bodies of 1 MiB, prefetch 10, single acks. Counted by their bytes."""
    with clients(port, 2) as (publisher, consumer):
        consumer.declare("large", durable=True)
        consumer.consume("large", prefetch=10)
        body = b"x" * (1 << 20)
        one = publish("", "large", b"", delivery_mode=PERSISTENT).removesuffix(frame(FRAME_BODY, 1, b""))
        one = one.replace(struct.pack(">HHQ", 60, 0, 0), struct.pack(">HHQ", 60, 0, len(body)))
        for start in range(0, len(body), FRAME_MAX - 8):
            one += frame(FRAME_BODY, 1, body[start : start + FRAME_MAX - 8])
        acks, outstanding, received, taken = Acks(1 << 10), 0, 0, 0
        while True:
            while outstanding < 8:
                publisher.send(one)
                outstanding += 1
            received += len(consumer.receive())
            got = received // len(body) - taken
            if got:
                taken += got
                outstanding -= got
                consumer.send(acks.take(got))
            yield got


def length_limited(port: int) -> Pieces:
    """Into a queue that holds 1000 messages and is full, without a consumer: the oldest gives way."""
    with clients(port, 1) as (publisher,):
        publisher.declare("short", x_max_length=1000)
        frames = publish("", "short", BODY) * (5 * PIECE)
        while True:
            publisher.send(frames)
            publisher.call("basic.qos", 0, 0, False)
            yield 5 * PIECE


PATTERNS: dict[str, Pattern] = {
    pattern.__name__.replace("_", "-"): pattern
    for pattern in (
        prefetch_100,
        prefetch_100_durable,
        prefetch_1,
        workers,
        get_loop,
        confirm_each,
        returned,
        transactions,
        priorities,
        mortal,
        expired,
        rejected,
        requeued,
        headers,
        fanout_100,
        length_limited,
        queues_10000,
        connections_2000,
        rpc,
        queue_churn,
        channel_churn,
        megabytes,
    )
}
