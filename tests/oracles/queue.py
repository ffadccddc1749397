"""Queues that dead-letter into each other, as slowly and plainly as they can be written: lists, and one rule per line.

An oracle decides everything but one thing: which of the consumers with credit gets a message. `choose` says that, and
is asked for each delivery in order.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

REJECTED, EXPIRED, MAXLEN, DELIVERY_LIMIT = "rejected", "expired", "maxlen", "delivery_limit"


@dataclass(eq=False)
class Entry:
    """One message in one queue. `deaths`: (queue, reason), the newest first."""

    body: bytes
    persistent: bool = False
    priority: int = 0
    ttl_ms: int | None = None
    deaths: list[tuple[str, str]] = field(default_factory=list)
    position: int = 0
    expires_at_ms: int | None = None
    redelivered: bool = False
    delivery_count: int = 0


@dataclass(eq=False)
class Consumer:
    """`prefetch` 0: no limit."""

    tag: str
    queue: QueueOracle
    no_ack: bool
    prefetch: int
    unacked: int = 0
    stopped: bool = False

    def has_credit(self) -> bool:
        return not self.stopped and (self.no_ack or self.prefetch == 0 or self.unacked < self.prefetch)


@dataclass(frozen=True)
class Arguments:
    """A queue's, None where it has none. `dead_letter_to`: a queue's name."""

    durable: bool = False
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: str = "drop-head"
    message_ttl_ms: int | None = None
    max_priority: int = 0
    delivery_limit: int | None = None
    dead_letter_to: str | None = None


Choose = Callable[["QueueOracle", Entry, list[Consumer]], Consumer]
Delivered = Callable[[Consumer, Entry], None]


class QueueOracle:
    """One queue."""

    def __init__(self, broker: BrokerOracle, name: str, arguments: Arguments) -> None:
        self.broker = broker
        self.name = name
        self.arguments = arguments
        self.ready: list[Entry] = []
        self.unacked: list[Entry] = []
        self.consumers: list[Consumer] = []
        self.next_position = 1
        self.delivered_up_to = 0
        self.counts: dict[str, int] = {}

    def count(self, word: str) -> None:
        self.counts[word] = self.counts.get(word, 0) + 1

    def level(self, entry: Entry) -> int:
        return min(entry.priority, self.arguments.max_priority)

    def sort(self) -> None:
        self.ready.sort(key=lambda entry: (-self.level(entry), entry.position))

    def ready_bytes(self) -> int:
        return sum(len(entry.body) for entry in self.ready)

    def is_over(self, count: int, size: int) -> bool:
        limits = self.arguments
        return (limits.max_length is not None and count > limits.max_length) or (
            limits.max_length_bytes is not None and size > limits.max_length_bytes
        )

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def accept(self, entry: Entry) -> None:
        limits = self.arguments
        if limits.overflow != "drop-head" and self.is_full(entry):
            if limits.overflow in ("reject-publish-dlx", "drop-tail") and limits.dead_letter_to is not None:
                self.count("dead_lettered")
                self.broker.dead_letter(self, entry, MAXLEN)
            if limits.overflow == "drop-tail":
                self.count("accepted")
                self.count("dropped_tail")
            else:
                self.count("refused_maxlen")
            return
        self.count("accepted")
        ttls = [ttl_ms for ttl_ms in (entry.ttl_ms, limits.message_ttl_ms) if ttl_ms is not None]
        entry.expires_at_ms = self.broker.now_ms + min(ttls) if ttls else None
        entry.position = self.next_position
        self.next_position += 1
        candidates = [consumer for consumer in self.consumers if consumer.has_credit()]
        if not self.ready and candidates:
            self.hand_over(entry, candidates)
            return
        self.ready.append(entry)
        self.sort()
        self.drop_overflow()
        if entry.expires_at_ms is not None and entry.expires_at_ms <= self.broker.now_ms:
            self.drop_expired()
        self.deliver()

    def is_full(self, entry: Entry) -> bool:
        """No room for one more, even when what has expired is gone."""
        if self.is_over(len(self.ready) + 1, self.ready_bytes() + len(entry.body)):
            self.drop_expired()
        return self.is_over(len(self.ready) + 1, self.ready_bytes() + len(entry.body))

    def drop_overflow(self) -> None:
        if self.is_over(len(self.ready), self.ready_bytes()):
            self.drop_expired()
        while self.is_over(len(self.ready), self.ready_bytes()):
            self.drop(self.ready[0], MAXLEN, "dropped_maxlen")

    def heads(self) -> list[Entry]:
        """The first of each priority."""
        firsts: dict[int, Entry] = {}
        for entry in self.ready:
            firsts.setdefault(self.level(entry), entry)
        return list(firsts.values())

    def drop_expired(self) -> None:
        while expired := [
            entry
            for entry in self.heads()
            if entry.expires_at_ms is not None and entry.expires_at_ms <= self.broker.now_ms
        ]:
            self.drop(expired[-1], EXPIRED, "expired")

    def drop(self, entry: Entry, reason: str, word: str) -> None:
        self.ready.remove(entry)
        self.count(word)
        self.leave(entry, reason)

    def leave(self, entry: Entry, reason: str) -> None:
        if self.arguments.dead_letter_to is not None:
            self.count("dead_lettered")
            self.broker.dead_letter(self, entry, reason)

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self) -> None:
        while self.ready and self.consumers:
            self.drop_expired()
            candidates = [consumer for consumer in self.consumers if consumer.has_credit()]
            if not candidates or not self.ready:
                return
            self.hand_over(self.ready.pop(0), candidates)

    def hand_over(self, entry: Entry, candidates: list[Consumer]) -> None:
        consumer = self.broker.choose(self, entry, candidates)
        self.delivered_up_to = max(self.delivered_up_to, entry.position)
        if entry.redelivered:
            self.count("redelivered")
        if consumer.no_ack:
            self.count("delivered_no_ack")
            return
        self.count("delivered")
        consumer.unacked += 1
        self.unacked.append(entry)
        self.broker.delivered(consumer, entry)

    def get(self, no_ack: bool) -> Entry | None:
        self.drop_expired()
        if not self.ready:
            self.count("get_empty")
            return None
        entry = self.ready.pop(0)
        self.delivered_up_to = max(self.delivered_up_to, entry.position)
        if entry.redelivered:
            self.count("redelivered")
        self.count("got_no_ack" if no_ack else "got")
        if not no_ack:
            self.unacked.append(entry)
        return entry

    def settle(self, entry: Entry, outcome: str) -> None:
        """`outcome`: ack, requeue or discard. `deliver` follows after the last of a series."""
        self.unacked.remove(entry)
        if outcome == "ack":
            self.count("acknowledged")
            return
        if outcome == "discard":
            self.count("rejected")
            self.leave(entry, REJECTED)
            return
        entry.delivery_count += 1
        entry.redelivered = True
        if self.arguments.delivery_limit is not None and entry.delivery_count > self.arguments.delivery_limit:
            self.count("dropped_delivery_limit")
            self.leave(entry, DELIVERY_LIMIT)
            return
        self.count("requeued")
        self.ready.append(entry)
        self.sort()
        if self.arguments.overflow == "drop-head":
            self.drop_overflow()

    def purge(self) -> int:
        removed = len(self.ready)
        for _ in self.ready:
            self.count("purged")
        self.ready = []
        return removed


class BrokerOracle:
    """All queues, and the time."""

    def __init__(self, queues: dict[str, Arguments], now_ms: int) -> None:
        self.now_ms = now_ms
        self.queues = {name: QueueOracle(self, name, arguments) for name, arguments in queues.items()}
        self.choose: Choose = lambda _queue, _entry, candidates: candidates[0]
        self.delivered: Delivered = lambda _consumer, _entry: None
        self.waiting: list[tuple[QueueOracle, Entry, str]] = []
        self.is_dead_lettering = False
        self.committed: dict[str, list[Entry]] = {name: [] for name in queues}

    def dead_letter(self, queue: QueueOracle, entry: Entry, reason: str) -> None:
        """One after the other: what dies while a dead letter is routed has its turn afterwards."""
        self.waiting.append((queue, entry, reason))
        if self.is_dead_lettering:
            return
        self.is_dead_lettering = True
        while self.waiting:
            died_in, dead, why = self.waiting.pop(0)
            death = (died_in.name, why)
            deaths = [death, *(other for other in dead.deaths if other != death)]
            target = self.queues[died_in.arguments.dead_letter_to or ""]
            if not would_cycle(deaths, target.name):
                target.accept(Entry(dead.body, dead.persistent, dead.priority, None, deaths))
        self.is_dead_lettering = False

    def pass_ms(self, ms: int) -> None:
        """Each head expires at its own time."""
        end_ms = self.now_ms + ms
        while True:
            due = [
                entry.expires_at_ms
                for queue in self.queues.values()
                for entry in queue.heads()
                if entry.expires_at_ms is not None and entry.expires_at_ms <= end_ms
            ]
            if not due:
                break
            self.now_ms = max(self.now_ms, min(due))
            for queue in self.queues.values():
                queue.drop_expired()
        self.now_ms = end_ms

    # ── the disk ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self) -> None:
        """What a crash from now on leaves: persistent messages of durable queues."""
        for queue in self.queues.values():
            kept = [entry for entry in (*queue.ready, *queue.unacked) if queue.arguments.durable and entry.persistent]
            self.committed[queue.name] = [replace(entry) for entry in kept]

    def restore(self, next_positions: dict[str, int], *, orderly: bool) -> None:
        """As after a start: an orderly stop has written down how far each queue was delivered, a crash has not.

        Positions tell order alone: where nothing is left, they may begin anew, so the queue says with which.
        """
        for queue in self.queues.values():
            entries = self.committed[queue.name]
            queue.counts = {}
            queue.unacked, queue.consumers = [], []
            queue.ready = deepcopy(entries)
            for entry in queue.ready:
                entry.redelivered = entry.position <= queue.delivered_up_to if orderly else True
                entry.delivery_count = 0
                queue.count("restored")
            queue.sort()
            queue.next_position = next_positions[queue.name]
            if not orderly or not queue.ready:
                queue.delivered_up_to = max((entry.position for entry in queue.ready), default=0)
        self.pass_ms(0)


def would_cycle(deaths: list[tuple[str, str]], queue: str) -> bool:
    """The message died there before, and nobody rejected it since."""
    for name, reason in deaths:
        if reason == REJECTED:
            return False
        if name == queue:
            return True
    return False
