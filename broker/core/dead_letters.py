"""Where dead letters go: what left a queue of the vhost unconsumed, published again to its dead-letter exchange.

Owns the order and the depth of dead-lettering. What a letter says of itself is `dead_letter`'s.

Invariant: a chain of dead letters (a full queue behind a full queue) is unrolled here and cannot exhaust the stack.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from broker.core import dead_letter
from broker.core.errors import CoreError
from broker.core.exchange import accept_all
from broker.core.queue import Queue

if TYPE_CHECKING:
    from broker.core.message import Message
    from broker.core.vhost import VirtualHost

log = logging.getLogger("hubbub.vhost")


class DeadLetters:
    """Of one vhost."""

    def __init__(self, vhost: VirtualHost) -> None:
        self.vhost = vhost
        self.waiting: deque[tuple[Queue, Message, str]] = deque()
        self.routing = False

    def publish(self, queue: Queue, message: Message, reason: str) -> None:
        """Route a message that left `queue` unconsumed to the queue's dead-letter exchange."""
        self.vhost.broker.dead_lettered[reason] += 1
        self.waiting.append((queue, message, reason))
        if self.routing:
            return
        self.routing = True
        try:
            while self.waiting:
                try:
                    self.route(*self.waiting.popleft())
                except CoreError as error:
                    # Its publisher is long gone, and whoever settles or expires it is not to blame.
                    log.warning(
                        "vhost '%s': a dead letter of queue '%s' is dropped: %s",
                        self.vhost.name,
                        queue.name,
                        error.text,
                    )
        finally:
            self.routing = False

    def route(self, queue: Queue, message: Message, reason: str) -> None:
        """Publish the letter with its history in `x-death`; a queue in its own cycle does not get it again."""
        exchange = self.vhost.exchanges.get(queue.settings.dead_letter_exchange or "")
        if exchange is None:
            return
        keys = dead_letter.routing_keys(message, queue.settings.dead_letter_routing_key)
        letter = dead_letter.letter(
            message,
            queue=queue.name,
            reason=reason,
            exchange=exchange.name,
            routing_key=keys[0],
            now_ms=self.vhost.clock.now_ms,
        )
        targets = exchange.targets_of(keys, letter)
        if message.has_headers:
            takers = [target for target in targets if not is_in_cycle(target, letter)]
        else:  # it has died here alone
            takers = [target for target in targets if target is not queue or reason == dead_letter.REJECTED]
        if self.vhost.watch is not None:
            letter.mark = message.mark
            self.vhost.watch.dead_lettered(queue, letter, exchange.name, takers, reason)
        accept_all(letter, takers)


def is_in_cycle(target: object, letter: Message) -> bool:
    """The letter has died in this queue before, and would for ever."""
    return isinstance(target, Queue) and dead_letter.would_cycle(letter.raw_properties, target.name)
