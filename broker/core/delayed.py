"""Messages that wait for their time: the x-delayed-message exchange's ordered index on disk.

Owns which delayed message is due. Nothing is kept in memory per message: the index is the store's `delayed` database,
(due time, number) -> message, and what is delivered is what is committed there.

    schedule ──▶ put in the open batch ──commit──▶ arm: one timer, for the earliest due
    timer ──▶ scan up to now, one slice ──▶ publish and delete in one batch ──commit──▶ arm again

Invariants: an entry is published and deleted in the same batch, so that a crash leaves either both or neither; a slice
starts only when the deletes of the one before are committed, so that no scan sees what was published already.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from broker.core.message import Message
from broker.core.properties import header_value, replace_headers
from storage.interface import CallbackWaiter
from storage.layout import Database, delayed_key, delayed_parts

log = logging.getLogger("hubbub.delayed")

X_DELAY = "x-delay"
INTEGER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
DELAY_MS_MAX = 2**32 - 1
SLICE_MESSAGES = 256
LISTED_AT_ONCE = 1000
RETRY_MS = 1000

Publish = Callable[[str, str, Message], object]


@dataclass(slots=True, frozen=True)
class DelayedMessage:
    """One entry of the index, as listed. `id` is what `cancel` takes; `body_size` in bytes."""

    id: str
    due_ms: int
    vhost: str
    exchange: str
    routing_key: bytes
    properties: bytes
    body_size: int


def delay_ms(raw_properties: bytes) -> int:
    """The message's `x-delay` in milliseconds: an integer, or a text that is one; 0 where there is none to respect."""
    value = header_value(raw_properties, X_DELAY)
    if isinstance(value, str) and INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and abs(value) <= DELAY_MS_MAX:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return 0
    return min(value, DELAY_MS_MAX)


class Delayed:
    """The delayed messages of all vhosts."""

    def __init__(self, store: Any, clock: Any, publish: Publish) -> None:
        """`publish(vhost, exchange, message)` routes a message whose time has come."""
        self.store = store
        self.clock = clock
        self.publish = publish
        self.scheduled = 0
        self.published = 0
        self.cancelled = 0
        self.failed = 0
        # Numbers tell entries of one due time apart. They begin with the time, so that they go on after a restart.
        self.next_number = clock.now_ms << 20
        self.timer: Any = None
        self.timer_due_ms = 0
        self.deleting_batch = 0
        self.going: set[bytes] = set()
        self.waiter = CallbackWaiter(self.on_committed, self.on_refused)

    def restore(self) -> None:
        """Look for what is due, now that exchanges and queues are there."""
        self.arm()

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def schedule(self, vhost: Any, exchange: Any, message: Message) -> bool:
        """Take a message that is to wait; False where it has no positive `x-delay` and goes on at once."""
        wait_ms = delay_ms(message.raw_properties)
        if wait_ms == 0:
            return False
        # Turned negative, as RabbitMQ's plugin does: the consumer sees it, and another delayed exchange lets it pass.
        properties = replace_headers(message.raw_properties, {X_DELAY: -wait_ms})
        entry = (vhost.name, exchange.name, message.routing_key, properties, message.body)
        key = delayed_key(self.clock.now_ms + wait_ms, self.next_number)
        self.next_number += 1
        self.store.put(Database.DELAYED, key, msgpack.packb(entry))
        self.store.join(self.waiter)
        self.scheduled += 1
        return True

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_committed(self, batch: int) -> None:
        """What was put is in the index now, and what was deleted is out of it."""
        if self.deleting_batch and batch >= self.deleting_batch:
            self.deleting_batch = 0
            self.going.clear()
        self.arm()

    def on_refused(self, batch: int) -> None:
        """The store lost a batch: what it would have deleted is still there, and comes again later."""
        if self.deleting_batch and batch >= self.deleting_batch:
            self.deleting_batch = 0
            self.going.clear()
        self.arm(not_before_ms=self.clock.now_ms + RETRY_MS)

    def arm(self, not_before_ms: int = 0) -> None:
        """Set the timer for the earliest entry, unless deletes are on their way: their commit comes here again."""
        if self.deleting_batch:
            return
        first = self.store.scan(Database.DELAYED, b"", None, 1)
        if not first:
            return
        due_ms = max(delayed_parts(first[0][0])[0], not_before_ms)
        if self.timer is not None:
            if self.timer_due_ms == due_ms:
                return
            self.timer.cancel()
        self.timer = self.clock.call_at(due_ms, self.on_due)
        self.timer_due_ms = due_ms

    def on_due(self) -> None:
        """Publish one slice of what is due."""
        self.timer = None
        if self.deleting_batch:
            return
        end = delayed_key(self.clock.now_ms + 1, 0)
        pairs = self.store.scan(Database.DELAYED, b"", end, SLICE_MESSAGES)
        for key, value in pairs:
            self.publish_entry(key, value)
            self.delete(key)
        if not pairs:
            self.arm()

    def publish_entry(self, key: bytes, value: bytes) -> None:
        """Publish one entry. One that cannot be published must not hold up all that are behind it."""
        try:
            vhost, exchange, routing_key, properties, body = msgpack.unpackb(value)
            self.publish(vhost, exchange, Message(exchange.encode(), routing_key, properties, body))
        except Exception:
            self.failed += 1
            log.exception("delayed message %s could not be published and is dropped", key.hex())
        else:
            self.published += 1

    def delete(self, key: bytes) -> None:
        """Take an entry out with the open batch; no slice starts before that is on disk."""
        self.store.delete(Database.DELAYED, key)
        self.going.add(key)
        self.deleting_batch = self.store.open_batch
        self.store.join(self.waiter)

    # ── the operator ──────────────────────────────────────────────────────────────────────────────────────────────────

    def cancel(self, entry_id: str) -> bool:
        """Drop a waiting message; False where there is none of that id (any more)."""
        try:
            key = bytes.fromhex(entry_id)
        except ValueError:
            return False
        if not key or key in self.going or self.store.get(Database.DELAYED, key) is None:
            return False
        self.delete(key)
        self.cancelled += 1
        return True

    def listing(
        self, vhost: str | None = None, exchange: str | None = None, limit: int = 100, after: str = ""
    ) -> tuple[list[DelayedMessage], str]:
        """Up to `limit` waiting messages in order of due time, and where to go on: an id for `after`, "" at the end.

        Looks at no more than LISTED_AT_ONCE entries per call, so that it may find fewer though there are more.
        """
        start = bytes.fromhex(after) + b"\0" if after else b""
        pairs = self.store.scan(Database.DELAYED, start, None, LISTED_AT_ONCE)
        found: list[DelayedMessage] = []
        for key, value in pairs:
            if key in self.going:
                continue
            of_vhost, of_exchange, routing_key, properties, body = msgpack.unpackb(value)
            if vhost not in (None, of_vhost) or exchange not in (None, of_exchange):
                continue
            due_ms = delayed_parts(key)[0]
            found.append(DelayedMessage(key.hex(), due_ms, of_vhost, of_exchange, routing_key, properties, len(body)))
            if len(found) == limit:
                return found, key.hex()
        return found, pairs[-1][0].hex() if len(pairs) == LISTED_AT_ONCE else ""
