"""What a vhost, and what lives in one, asks of the broker around it.

Owns nothing: `broker.Broker` is what is described here. So that vhosts need not know who holds them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from broker.core.access import Access
    from broker.core.delayed import Delayed
    from broker.core.events import Events
    from broker.core.exchange import Exchange
    from broker.core.fan_out import FanOut
    from broker.core.parameters import Parameters
    from broker.core.queue import Queue


class Blockable(Protocol):
    """A connection that publishes, and can be told that publishing has to wait."""

    def block(self, reason: str) -> None:
        """Take no further publish from the publisher, and say why. One that it has begun goes on (`intake`)."""

    def unblock(self) -> None:
        """Read on."""


class Surroundings(Protocol):
    """What all vhosts of a broker share."""

    store: Any
    clock: Any
    limits: Any
    events: Events
    parameters: Parameters
    fan_out: FanOut
    delayed: Delayed
    publishing: set[Blockable]
    access: Access
    queues_declared: int
    dead_lettered: Counter[str]
    definitions_changed: int
    marks_given: int

    def next_store_id(self, count: int) -> int:
        """The first of `count` numbers by which the store knows a queue."""

    def put_definition(self, key: bytes, value: dict[str, Any]) -> None:
        """Make a definition outlive a restart, with the open batch."""

    def delete_definition(self, key: bytes) -> None:
        """Forget a definition, with the open batch."""

    def on_queue_deleted(self, queue: Queue) -> None:
        """A queue is gone from its vhost."""

    def on_exchange_deleted(self, exchange: Exchange) -> None:
        """An exchange is gone from its vhost."""
