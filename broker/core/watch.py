"""What happens to messages, told to whoever watches a vhost: the firehose, a trace.

Owns the words for it and who is named as having done it. Refuses to know what listeners make of it.

    published   it came to an exchange, and what it is routed to         delayed       it waits for its time (x-delay)
    enqueued    a queue has taken it                                     delivered     to a consumer, or fetched
    requeued    it goes back to its place                                acknowledged  its consumer is done with it
    expired, rejected, dropped   it has left its queue otherwise; `reason`: maxlen, delivery_limit, offline, no_local
    refused     a full queue has not taken it                            dead-lettered it is routed once more
    purged      a queue was emptied; no single message is named

What a listener does not want to hear of costs no Python: its sieve (`core.sieve`) is asked before.

Invariants: while nobody watches, an exchange and a queue have None for their watch, and a message costs one look at
that; a listener that fails is logged, and disturbs neither the others nor the message. A mark outlives a message's stay
on disk (by its queue and position there), but not a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.core.events import ACTING_USER, INTERNAL_USER, connection_name, name_of
from broker.core.exchange import accept_all
from broker.core.sieve import Sieve, Sieves

if TYPE_CHECKING:
    from broker.core.exchange import Exchange
    from broker.core.message import Message
    from broker.core.queue import Queue
    from broker.core.target import Target
    from broker.core.vhost import VirtualHost

log = logging.getLogger("hubbub.watch")

MARKS_MAX = 1 << 32
POSITIONS_MAX = 100_000
"""Marked messages in queues that are known by their position, should they go to disk meanwhile."""
LEFT = {"acknowledged": "acknowledged", "expired": "expired", "rejected": "rejected"}


class Who(NamedTuple):
    """Who did it, as far as it is known."""

    connection: str = ""
    """RabbitMQ's name of the connection."""
    channel: int = 0
    user: str = ""
    client_id: str = ""
    """MQTT's."""
    number: int = 0
    """Of the connection."""


NOBODY = Who()


class MessageEvent(NamedTuple):
    """One of them."""

    name: str
    at_ms: int
    """Milliseconds since 1970."""
    message: Message | None
    """None: purged."""
    exchange: str = ""
    """Published, dead-lettered: to which one."""
    queue: str = ""
    """Where it was; empty: it never was in one (an MQTT QoS 0 subscription, direct reply-to)."""
    routed_to: tuple[str, ...] = ()
    """Published, dead-lettered: names of queues, sessions and reply consumers."""
    who: Who = NOBODY
    redelivered: bool = False
    reason: str = ""


Listener = Callable[[MessageEvent], None]


class Watch(Sieves):
    """Of one vhost, while somebody listens. Exchanges and queues call it; see the words above."""

    def __init__(self, vhost: VirtualHost) -> None:
        super().__init__()
        self.vhost = vhost
        self.listeners: tuple[tuple[Listener, Sieve], ...] = ()
        self.publishers: dict[int, Any] = {}

    def tell(self, name: str, message: Message | None, **fields: Any) -> None:
        """It has happened."""
        event = MessageEvent(name, self.vhost.clock.now_ms, message, **fields)
        for listener, _ in self.listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at a message that was %s", name)

    # ── exchanges ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def published(self, exchange: Exchange, message: Message, targets: Iterable[Target]) -> None:
        """It is going to be handed to these."""
        self.tell(
            "published", message, exchange=exchange.name, routed_to=names(targets), who=self.publisher_of(message)
        )

    def delayed(self, exchange: Exchange, message: Message) -> None:
        """It will be published when its time has come."""
        self.tell("delayed", message, exchange=exchange.name, who=self.publisher_of(message))

    def dead_lettered(self, queue: Queue, letter: Message, exchange: str, targets: Iterable[Target], why: str) -> None:
        """It goes from a queue to its dead-letter exchange."""
        self.tell("dead-lettered", letter, queue=queue.name, exchange=exchange, routed_to=names(targets), reason=why)

    def accept(self, target: Target, message: Message) -> int:
        """Hand it out; what has no queue is told here."""
        before = target.direct_count(message)
        outcome = accept_all(message, (target,))
        if before >= 0:
            if target.direct_count(message) > before:
                self.tell("delivered", message, who=who(target))
            else:
                self.tell("dropped", message, who=who(target), reason="offline")
        return outcome

    def publisher_of(self, message: Message) -> Who:
        """The connection that published it; over HTTP, the user."""
        number = message.publisher
        if not number:
            user = ACTING_USER.get()
            return NOBODY if user == INTERNAL_USER else Who(user=user)
        connection = self.publishers.get(number)
        if connection is None:
            self.publishers = {getattr(each, "number", 0): each for each in self.vhost.broker.publishing}
            connection = self.publishers.get(number)
        return Who(number=number) if connection is None else named(connection, getattr(connection, "in_channel", None))

    # ── queues ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def enqueued(self, queue: Queue, message: Message, position: int) -> None:
        """The queue has taken it; perhaps only to deliver it at once."""
        self.tell("enqueued", message, queue=queue.name)
        if message.mark and len(self.positions) < POSITIONS_MAX:
            self.positions[queue.store_id, position] = message.mark

    def delivered(
        self, queue: Queue, consumer: object, message: Message, position: int, redelivered: bool, settled: bool
    ) -> None:
        """To a consumer, or to whoever fetched it. `settled`: nobody will acknowledge it."""
        self.recall(queue, message, position, settled)
        self.tell("delivered", message, queue=queue.name, who=who(consumer), redelivered=redelivered)

    def requeued(self, queue: Queue, message: Message, position: int) -> None:
        """Its consumer gave it back."""
        self.recall(queue, message, position, False)
        self.tell("requeued", message, queue=queue.name)

    def left(self, queue: Queue, message: Message, position: int, why: str) -> None:
        """It is in the queue no more."""
        self.recall(queue, message, position, True)
        name = LEFT.get(why, "dropped")
        self.tell(name, message, queue=queue.name, reason="" if name == why else why)

    def turned_away(self, queue: Queue, message: Message, why: str, refused: bool) -> None:
        """The queue has not taken it."""
        self.tell("refused" if refused else "dropped", message, queue=queue.name, reason=why)

    def purged(self, queue: Queue, count: int) -> None:
        """So many are gone at once."""
        self.tell("purged", None, queue=queue.name, reason=f"{count} messages")

    def recall(self, queue: Queue, message: Message, position: int, leaves: bool) -> None:
        """Its mark again, where it has been on disk."""
        if self.positions:
            place = (queue.store_id, position)
            mark = self.positions.pop(place, 0) if leaves else self.positions.get(place, 0)
            if mark:
                message.mark = mark

    # ── for listeners ─────────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, message: Message) -> int:
        """The number that the message is known by; given now, if it has none."""
        if not message.mark:
            broker = self.vhost.broker
            broker.marks_given += 1
            message.mark = broker.marks_given % MARKS_MAX or 1
        return message.mark


def watch(vhost: VirtualHost, listener: Listener, sieve: Sieve | None = None) -> Callable[[], None]:
    """From now on the listener hears what happens to the vhost's messages; what comes back ends that.

    `sieve`: what it wants to hear of; it hears more where others listen, too. None: everything.
    """
    if vhost.watch is None:
        set_watch(vhost, Watch(vhost))
    watching: Watch = vhost.watch
    pair = (listener, Sieve() if sieve is None else sieve)
    listen(watching, (*watching.listeners, pair))

    def stop() -> None:
        listen(watching, tuple(each for each in watching.listeners if each is not pair))
        if not watching.listeners and vhost.watch is watching:
            set_watch(vhost, None)

    return stop


def listen(watching: Watch, listeners: tuple[tuple[Listener, Sieve], ...]) -> None:
    """These are told from now on, and their sieves asked."""
    watching.listeners = listeners
    watching.set_sieves([sieve for _, sieve in listeners])


def set_watch(vhost: VirtualHost, watching: Watch | None) -> None:
    """Every exchange and queue of the vhost tells it; those that come later ask the vhost."""
    vhost.watch = watching
    for exchange in vhost.exchanges.values():
        exchange.watch = watching
    for queue in vhost.queues.values():
        queue.set_watch(watching)


def names(targets: Iterable[Target]) -> tuple[str, ...]:
    """Of queues, sessions and reply consumers."""
    return tuple(str(getattr(each, "name", "") or getattr(who(each), "client_id", "")) for each in targets)


def who(taker: Any) -> Who:
    """Who takes a message: a consumer, a session's subscription, or the channel that fetched it."""
    channel = getattr(taker, "channel", taker)
    connection = getattr(channel, "connection", None)
    if connection is not None and hasattr(channel, "number"):
        return named(connection, channel)
    session = getattr(taker, "session", None)
    if session is not None:
        client = session.connection
        return Who(client_id=session.client_id) if client is None else named(client, None)
    return NOBODY


def named(connection: Any, channel: Any) -> Who:
    """A connection as it is named everywhere."""
    session = getattr(connection, "session", None)
    return Who(
        connection=connection_name(connection),
        channel=getattr(channel, "number", 0),
        user=name_of(getattr(connection, "user", None)),
        client_id=getattr(session, "client_id", "") or "",
        number=connection.number,
    )
