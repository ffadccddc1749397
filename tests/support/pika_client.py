"""What the pika tests share: names that clean up after themselves, waiting for messages, and closes by the broker."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.polling import WAIT_S

Arguments = dict[str, Any]


class Delivery(NamedTuple):
    """One message as basic.deliver or basic.get-ok brought it; `method` and `properties` are pika's."""

    method: Any
    properties: Any
    body: bytes


class Refusal:
    """What the broker said when it closed; filled when the `with` block of `closes_*` ends."""

    code: int = 0
    text: str = ""


def connect(url: str, **parameters: Any) -> BlockingConnection:
    """A blocking connection without heartbeat (so that slow tests are not cut) unless the caller wants one."""
    chosen = pika.URLParameters(url)
    chosen.heartbeat = 0
    chosen.socket_timeout = chosen.blocked_connection_timeout = chosen.stack_timeout = 20
    for name, value in parameters.items():
        setattr(chosen, name, value)
    return BlockingConnection(chosen)


class Scratch:
    """Unique names, declared on demand and deleted by `clean`, whatever state the test left its channels in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._queues: list[str] = []
        self._exchanges: list[str] = []
        self._connections: list[BlockingConnection] = []

    def connect(self, **parameters: Any) -> BlockingConnection:
        """One more connection, closed at the end of the test."""
        connection = connect(self.url, **parameters)
        self._connections.append(connection)
        return connection

    def name(self, prefix: str = "t") -> str:
        """A fresh name, deleted at the end whether it became a queue, an exchange, both or neither."""
        name = f"{prefix}.{uuid.uuid4().hex[:12]}"
        self._queues.append(name)
        self._exchanges.append(name)
        return name

    def queue(self, channel: BlockingChannel, arguments: Arguments | None = None, **options: Any) -> str:
        """Declare a transient queue with a fresh name."""
        name = self.name("q")
        channel.queue_declare(name, arguments=arguments, **options)
        return name

    def exchange(
        self, channel: BlockingChannel, exchange_type: str, arguments: Arguments | None = None, **options: Any
    ) -> str:
        """Declare a transient exchange with a fresh name."""
        name = self.name("x")
        channel.exchange_declare(name, exchange_type, arguments=arguments, **options)
        return name

    def bound_queue(
        self, channel: BlockingChannel, exchange: str, binding_key: str = "", arguments: Arguments | None = None
    ) -> str:
        """A fresh transient queue, bound."""
        queue = self.queue(channel)
        channel.queue_bind(queue, exchange, binding_key, arguments)
        return queue

    def clean(self) -> None:
        for connection in self._connections:
            close_quietly(connection)
        if not self._queues:
            return
        connection = connect(self.url)
        try:
            channel = connection.channel()
            for queue in self._queues:
                channel.queue_delete(queue)
            for exchange in self._exchanges:
                channel.exchange_delete(exchange)
        finally:
            close_quietly(connection)


def close_quietly(connection: BlockingConnection) -> None:
    with contextlib.suppress(pika.exceptions.AMQPError):
        if connection.is_open:
            connection.close()


def get(channel: BlockingChannel, queue: str, auto_ack: bool = True) -> Delivery | None:
    """One basic.get."""
    method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
    return None if method is None else Delivery(method, properties, body)


def get_soon(channel: BlockingChannel, queue: str, auto_ack: bool = True, timeout_s: float = WAIT_S) -> Delivery:
    """basic.get until a message is there: for what arrives by way of timers or other queues."""
    deadline = time.monotonic() + timeout_s
    while True:
        delivery = get(channel, queue, auto_ack)
        if delivery is not None:
            return delivery
        assert time.monotonic() < deadline, f"nothing arrived in {queue} within {timeout_s} s"
        channel.connection.process_data_events(0.01)


def bodies(channel: BlockingChannel, queue: str) -> list[bytes]:
    """Take all that is ready, in order."""
    taken = []
    while (delivery := get(channel, queue)) is not None:
        taken.append(delivery.body)
    return taken


def depth(channel: BlockingChannel, queue: str) -> int:
    """The messages that are ready, as queue.declare-ok tells them."""
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count


def wait_depth(channel: BlockingChannel, queue: str, count: int) -> None:
    """Return once `count` messages are ready: confirms of transient messages and dead-lettering are not synchronous."""
    pump(channel, lambda: depth(channel, queue) == count, f"{count} messages ready in {queue}")


def pump(channel: BlockingChannel, until: Callable[[], object], what: str = "", timeout_s: float = WAIT_S) -> None:
    """Process this connection's events until the predicate holds."""
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or until}"
        channel.connection.process_data_events(0.01)


def settle_down(channel: BlockingChannel, seconds: float = 0.15) -> None:
    """Give the broker a chance to do what it must not do; for tests of absence only."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        channel.connection.process_data_events(left)  # returns at the first event


class Inbox:
    """A consumer that keeps what it was given."""

    def __init__(self, channel: BlockingChannel, queue: str, **options: Any) -> None:
        self.channel = channel
        self.deliveries: list[Delivery] = []
        self.consumer_tag: str = channel.basic_consume(queue, self._on_message, **options)

    def _on_message(self, _channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self.deliveries.append(Delivery(method, properties, body))

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]

    def wait(self, count: int) -> list[Delivery]:
        """Return once `count` messages have come."""
        pump(self.channel, lambda: len(self.deliveries) >= count, f"{count} deliveries; have {self.bodies!r:.300}")
        return self.deliveries

    def stays_at(self, count: int) -> None:
        """`count` messages come, and no more soon after."""
        self.wait(count)
        settle_down(self.channel)
        assert len(self.deliveries) == count, self.bodies


@contextlib.contextmanager
def closes_channel(channel: BlockingChannel, code: int, text: str | None = None) -> Iterator[Refusal]:
    """The block makes the broker close `channel` with `code` and exactly `text`; the connection lives on."""
    refusal = Refusal()
    try:
        yield refusal
        channel.basic_qos()  # a round trip: the close is here before its answer would be
    except pika.exceptions.ChannelClosedByBroker as closed:
        refusal.code, refusal.text = closed.reply_code, closed.reply_text
    _check(refusal, code, text)
    assert channel.connection.is_open


@contextlib.contextmanager
def closes_connection(channel: BlockingChannel, code: int, text: str | None = None) -> Iterator[Refusal]:
    """The block makes the broker close the whole connection with `code` and exactly `text`."""
    refusal = Refusal()
    try:
        yield refusal
        channel.basic_qos()
    except pika.exceptions.ConnectionClosedByBroker as closed:
        refusal.code, refusal.text = closed.reply_code, closed.reply_text
    _check(refusal, code, text)


def _check(refusal: Refusal, code: int, text: str | None) -> None:
    assert (refusal.code, refusal.text) == (code, refusal.text if text is None else text), refusal.text
