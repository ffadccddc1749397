"""The broker's client within its own process: declare, publish, consume, settle. The only door for bridges, and for the
native dialect of `broker.websocket`.

    client = log_in(broker, "guest", b"guest", vhost="/", peer="127.0.0.1:5000")
    client.declare_queue("orders")
    await client.publish_and_wait("", "orders", b"hello", {"delivery_mode": 2})       # returns when the disk has it
    client.consume("orders", lambda received: client.settle(received.tag, COMPLETE), credit=10)

Owns what one such user has open: consumers, unsettled deliveries, exclusive queues, promises that wait for the disk.
Refuses to know any protocol, and whoever calls it. Everything happens at once, in the loop's thread; nothing is told
before the store has it (law 1).

Invariants: a publication with `told` is told once, in order; `close` gives back every delivery that is not settled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from broker.core.access import User
from broker.core.binding import QUEUE
from broker.core.broker import Broker
from broker.core.errors import (
    AccessRefused,
    BindingInvalid,
    CoreError,
    InvalidPath,
    LimitExceeded,
    NotAccepted,
    NotFound,
    NotImplementedHere,
    PreconditionFailed,
    ResourceLocked,
    TableError,
)
from broker.core.events import INTERNAL_USER, split_address
from broker.core.local import COMPLETE, DISCARD, REQUEUE, Delivery, LocalConsumer, LocalPublisher
from broker.core.message import Message
from broker.core.peers import host_of, is_loopback
from broker.core.properties import encode_properties
from broker.core.topic_access import TopicRightsOf
from broker.core.undecided import Undecided

TOPICS = "amq.topic"
"""The exchange of MQTT's topics."""
KEY_BYTES_MAX = 65_535

Outcome = Literal["accepted", "refused", "unroutable"]
"""What became of a publication: on disk as far as it must be; refused (a full queue, a failed disk); or nobody's."""
Told = Callable[[Outcome], object]


class Received(NamedTuple):
    """A message that a consumer was given. It is settled by its tag, unless the consumer has `no_ack`."""

    tag: int
    consumer_tag: str
    message: Message
    redelivered: bool


class BlockedError(CoreError):
    """Publishing has to wait: memory or disk run short."""


class RefusedError(Exception):
    """A publication was not accepted: `outcome` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def log_in(broker: Broker, name: str, password: bytes, *, vhost: str, peer: str, number: int = 0) -> Client:
    """A client that acts as a user of the broker. `peer`: "127.0.0.1:5000".

    Raises AccessRefused, InvalidPath, Undecided.
    """
    try:
        user = broker.access.authenticate(name, password, is_loopback(peer), host_of(peer))
    except AccessRefused as error:
        _tell_login(broker, name, peer, "PLAIN", error.text)
        raise
    user.may_access(vhost)  # asked before anything is told: the whole login may come again
    _tell_login(broker, user.name, peer, "PLAIN")
    return _client_of(user, broker, vhost, number)


def admit(broker: Broker, name: str, *, vhost: str, peer: str, number: int = 0) -> Client:
    """The same without a password, for whom the operator lets in so. Raises AccessRefused, InvalidPath."""
    user = broker.access.admit_external(name, is_loopback(peer), host_of(peer))
    user.may_access(vhost)
    _tell_login(broker, name, peer, "ANONYMOUS")
    return _client_of(user, broker, vhost, number)


def _tell_login(broker: Broker, name: str, peer: str, mechanism: str, refusal: str = "") -> None:
    host, port = split_address(peer)
    broker.events.attempted("hubbub", host, name, not refusal)
    fields: dict[str, Any] = {"name": name, "peer_host": host, "peer_port": port, "auth_mechanism": mechanism}
    if refusal:
        broker.events.tell("user.authentication.failure", **fields, connection_type="hubbub", error=refusal)
    else:
        broker.events.tell("user.authentication.success", **fields, connection_type="hubbub")


def _client_of(user: User, broker: Broker, vhost: str, number: int) -> Client:
    if vhost in broker.vhosts and not user.may_access(vhost):
        raise AccessRefused(f"access to vhost '{vhost}' refused for user '{user.name}'")
    return Client(broker, vhost=vhost, user=user, number=number)


class Client:
    """One user of one vhost. Without a user it is a part of the broker, which may do everything."""

    def __init__(
        self,
        broker: Broker,
        *,
        vhost: str = "/",
        user: User | None = None,
        number: int = 0,
        enter: Callable[[], object] | None = None,
    ) -> None:
        """`number`: its connection's, for no-local; `enter`: called first by whoever is outside a turn (Turn.enter)."""
        self.broker = broker
        self.vhost = broker.vhost(vhost)
        self.user = user
        self.number = number
        self.consumers: dict[str, LocalConsumer] = {}
        self.closed = False
        self._enter = enter or (lambda: None)  # whoever calls is within a turn
        self._publisher = LocalPublisher(broker.store, number, self._on_accepted, self._on_refused)
        self._promises: deque[tuple[int, Told, Outcome]] = deque()
        self._unsettled: dict[int, Delivery] = {}
        self._last_tag = 0
        self._exclusive: set[str] = set()
        self._chosen_name = ""
        self.topics = TopicRightsOf(broker.access.topics, user, self.vhost)

    # ── rights ────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, verb: Literal["configure", "write", "read"], what: str, name: str) -> None:
        """Raise AccessRefused unless the user may; Undecided where others have not said yet."""
        if self.user is not None and not self.user.may(self.vhost.name, verb, name, what):
            raise AccessRefused(
                f"access to {what} '{name}' in vhost '{self.vhost.name}' refused for user '{self.user.name}'"
            )

    def _act(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call, in the user's name."""
        name = self.user.name if self.user is not None else INTERNAL_USER
        return self.broker.events.act_as(name, call, *arguments, **options)

    # ── declaring ─────────────────────────────────────────────────────────────────────────────────────────────────

    def declare_queue(
        self,
        name: str = "",
        *,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Create the queue, or find it the same; its name, which the broker chooses where it is empty. CoreError."""
        self._enter()
        options: dict[str, Any] = {"durable": durable, "auto_delete": auto_delete, "arguments": dict(arguments or {})}
        owner = self if exclusive else None
        if not name:
            name = self._chosen_name = self._chosen_name or f"amq.gen-{secrets.token_urlsafe(16)}"
            self.check("configure", "queue", name)
            self._chosen_name = ""
            self._act(self.vhost.create_queue, name, exclusive=exclusive, owner=owner, **options)
        else:
            self.check("configure", "queue", name)
            self._act(self.vhost.declare_queue, name, exclusive=exclusive, owner=owner, **options)
        if exclusive:
            self._exclusive.add(name)
        return name

    def declare_exchange(
        self, name: str, kind: str, *, durable: bool = True, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Create the exchange, or find it the same. CoreError."""
        self._enter()
        self.check("configure", "exchange", name)
        self._act(self.vhost.declare_exchange, name, kind, durable=durable, arguments=dict(arguments or {}))

    def bind(self, queue: str, exchange: str, key: bytes, arguments: Mapping[str, Any] | None = None) -> None:
        """Bind a queue to an exchange. CoreError."""
        self._enter()
        self.check("write", "queue", queue)
        self.check("read", "exchange", exchange)
        ends = self.vhost.exchange(exchange), self.vhost.queue(queue, self)
        self.topics.check_bind(exchange, key)
        self._act(self.vhost.bind, *ends, QUEUE, key, dict(arguments or {}))

    def unbind(self, queue: str, exchange: str, key: bytes, arguments: Mapping[str, Any] | None = None) -> None:
        """Remove a binding, if it is there. CoreError."""
        self._enter()
        self.check("write", "queue", queue)
        self.check("read", "exchange", exchange)
        ends = self.vhost.exchange(exchange), self.vhost.queue(queue, self)
        self._act(self.vhost.unbind, *ends, QUEUE, key, dict(arguments or {}))

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all that is in it. CoreError."""
        self._enter()
        self.check("configure", "queue", name)
        self._act(self.vhost.delete_queue, self.vhost.queue(name, self))
        self._exclusive.discard(name)

    def when_stored(self, stored: Callable[[], None], refused: Callable[[], None]) -> None:
        """Call `stored` when all that was declared so far is on disk, or `refused` when it will never be."""
        self._enter()
        self.broker.when_stored(stored, refused)

    # ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def blocked_reason(self) -> str:
        """Why publishing is refused for now; empty where it is not."""
        return self.broker.blocked_reason

    @property
    def is_ahead(self) -> bool:
        """The disk has not caught up: whoever can wait should, with `when_stored`."""
        return bool(self.broker.store.filling_bytes > self.broker.limits.open_batch_bytes_max)

    def publish(
        self,
        exchange: str,
        routing_key: str | bytes,
        body: bytes,
        properties: Mapping[str, object] | None = None,
        *,
        told: Told | None = None,
        mandatory: bool = False,
        retain: bool = False,
    ) -> None:
        """Publish a message; `told` hears what became of it, as soon as that is certain, perhaps before this returns.

        `properties`: AMQP's, by their names; `delivery_mode` 2 for what must outlive the broker. `mandatory`: nobody's
        is "unroutable". `retain`: for those who subscribe later, too (on amq.topic). Raises CoreError: nothing was
        published.
        """
        self._enter()
        key = routing_key.encode() if isinstance(routing_key, str) else routing_key
        message, point = self._message(exchange, key, body, properties or {}), self._point(exchange)
        self.topics.check_publish(exchange, message)
        outcome = self._publisher.route(point, message, mandatory=mandatory, retain=retain)
        if retain and exchange == TOPICS:
            outcome |= self.vhost.retained.keep(message)
        if told is not None:
            unroutable = mandatory and outcome == 0
            self._promises.append((self._publisher.published + 1, told, "unroutable" if unroutable else "accepted"))
            self._publisher.number(outcome)

    async def publish_and_wait(
        self,
        exchange: str,
        routing_key: str | bytes,
        body: bytes,
        properties: Mapping[str, object] | None = None,
        *,
        mandatory: bool = False,
    ) -> None:
        """Publish, and return when the message is accepted. Raises RefusedError, CoreError."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def told(outcome: Outcome) -> None:
            if not future.done():  # whoever waited may have given up
                future.set_result(outcome)

        self.publish(exchange, routing_key, body, properties, told=told, mandatory=mandatory)
        outcome = await future
        if outcome != "accepted":
            raise RefusedError(outcome)

    def _point(self, exchange: str) -> Any:
        point = self.vhost.exchange(exchange)
        if point.internal:
            raise AccessRefused(f"cannot publish to internal exchange '{exchange}' in vhost '{self.vhost.name}'")
        self.check("write", "exchange", exchange)
        return point

    def _message(self, exchange: str, key: bytes, body: bytes, properties: Mapping[str, object]) -> Message:
        if self.blocked_reason:
            raise BlockedError(f"publishing is blocked: {self.blocked_reason}")
        if len(body) > self.broker.limits.message_bytes_max:
            raise LimitExceeded(f"a message has at most {self.broker.limits.message_bytes_max} bytes")
        if len(key) > KEY_BYTES_MAX:
            raise PreconditionFailed(f"a routing key has at most {KEY_BYTES_MAX} bytes")
        if self.user is not None and properties.get("user_id", self.user.name) != self.user.name:
            raise PreconditionFailed(f"user_id is not the authenticated user '{self.user.name}'")
        try:
            return Message(exchange.encode(), key, encode_properties(properties), body)
        except ValueError as error:
            raise PreconditionFailed(str(error)) from None

    def _on_accepted(self, number: int) -> None:
        promises = self._promises
        while promises and promises[0][0] <= number:
            _, told, outcome = promises.popleft()
            told(outcome)

    def _on_refused(self, first: int, last: int) -> None:
        promises = self._promises
        while promises and promises[0][0] < first:
            _, told, outcome = promises.popleft()
            told(outcome)
        while promises and promises[0][0] <= last:
            promises.popleft()[1]("refused")

    # ── consuming ─────────────────────────────────────────────────────────────────────────────────────────────────

    def consume(
        self,
        queue: str,
        on_received: Callable[[Received], object],
        *,
        tag: str = "",
        credit: int = 1,
        no_ack: bool = False,
        exclusive: bool = False,
        priority: int = 0,
        arguments: Mapping[str, Any] | None = None,
        on_started: Callable[[], object] | None = None,
        on_cancelled: Callable[[], object] | None = None,
    ) -> str:
        """Call `on_received` for each message; the consumer's tag.

        At most `credit` messages are unsettled at a time (0: no limit). `no_ack`: they count as settled when given.
        `on_started`: called before the first of them, when nothing can be refused any more. `on_cancelled`: the queue
        is gone. Raises CoreError.
        """
        self._enter()
        self.check("read", "queue", queue)
        found = self.vhost.queue(queue, self)
        tag = tag or f"amq.ctag-{secrets.token_urlsafe(16)}"
        if tag in self.consumers:
            raise PreconditionFailed(f"consumer tag '{tag}' is in use")

        def receive(delivery: Delivery) -> None:
            self._last_tag += 1
            if not no_ack:
                self._unsettled[self._last_tag] = delivery
            on_received(Received(self._last_tag, tag, delivery.message, delivery.redelivered))

        def cancelled() -> None:
            self.consumers.pop(tag, None)
            if on_cancelled is not None:
                on_cancelled()

        consumer = LocalConsumer(
            found,
            tag,
            no_ack=no_ack,
            exclusive=exclusive,
            no_local=False,
            priority=priority,
            credit=credit,
            connection=self.number,
            arguments=arguments or {},
            on_delivery=receive,
            on_cancelled=cancelled,
        )
        found.check_consumer(consumer)
        self.consumers[tag] = consumer
        if on_started is not None:
            on_started()
        found.add_consumer(consumer)
        return tag

    def cancel(self, tag: str) -> None:
        """No more messages for a consumer. What it has not settled stays to be settled. Raises NotFound."""
        self._enter()
        consumer = self.consumers.pop(tag, None)
        if consumer is None:
            raise NotFound(f"no consumer '{tag}'")
        consumer.stop()

    def hold(self) -> None:
        """No deliveries for now: whoever they are for is not keeping up."""
        for consumer in self.consumers.values():
            consumer.hold()

    def go_on(self) -> None:
        """Deliveries again."""
        for consumer in list(self.consumers.values()):
            consumer.go_on()

    @property
    def awaited_count(self) -> int:
        """Publications that are not yet accepted, and of which somebody wants to hear."""
        return len(self._promises)

    @property
    def unsettled_count(self) -> int:
        """Deliveries that wait to be settled."""
        return len(self._unsettled)

    def settle(self, tag: int, outcome: int = COMPLETE, *, multiple: bool = False) -> int:
        """COMPLETE, REQUEUE or DISCARD the delivery, with `multiple` all up to it; how many. Raises NotFound."""
        self._enter()
        tags = [tag]
        if multiple:
            tags = []
            for each in self._unsettled:  # in order of delivery
                if each > tag:
                    break
                tags.append(each)
        elif tag not in self._unsettled:
            raise NotFound(f"no unsettled delivery {tag}")
        self._settle(tags, outcome)
        return len(tags)

    def _settle(self, tags: list[int], outcome: int) -> None:
        concerned: dict[LocalConsumer, None] = {}
        for tag in tags:
            delivery = self._unsettled.pop(tag)
            delivery.settle(outcome, wake=False)
            concerned[delivery.consumer] = None
        for consumer in concerned:
            consumer.wake()

    def retained(self, binding_key: bytes) -> Iterator[Message]:
        """What is retained under the topics that a binding key matches now; each made when it is asked for. Raises
        AccessRefused."""
        self.check("read", "exchange", TOPICS)
        clock = self.broker.clock
        return (each.as_delivered(clock.now_ms) for each in self.vhost.retained.matches(binding_key))

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Consume no more, give back what is not settled, delete exclusive queues. Nothing is told any more."""
        if self.closed:
            return
        self._enter()
        self.closed = True
        self._promises.clear()
        self._publisher.close()
        consumers, self.consumers = list(self.consumers.values()), {}
        for consumer in consumers:
            consumer.hold()
        self._settle(list(self._unsettled), REQUEUE)
        for consumer in consumers:
            consumer.stop()
        for name in self._exclusive:
            queue = self.vhost.queues.get(name)
            if queue is not None and queue.exclusive_owner is self:
                self.vhost.remove_queue(queue)


__all__ = [
    "COMPLETE",
    "DISCARD",
    "REQUEUE",
    "AccessRefused",
    "BindingInvalid",
    "BlockedError",
    "Client",
    "CoreError",
    "InvalidPath",
    "LimitExceeded",
    "NotAccepted",
    "NotFound",
    "NotImplementedHere",
    "PreconditionFailed",
    "Received",
    "RefusedError",
    "ResourceLocked",
    "TableError",
    "Undecided",
    "admit",
    "log_in",
]
