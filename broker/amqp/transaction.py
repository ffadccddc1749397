"""tx.select: publishes and settlements that are held back until tx.commit (AMQP 0-9-1 §1.9).

All of a transaction enters the same batch of the store, so that a crash leaves all of it or nothing; commit-ok follows
the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.amqp.translate import AmqpError

if TYPE_CHECKING:
    from broker.amqp.channel import Channel


class Transaction:
    """What a channel in transaction mode has been asked to do and has not done."""

    __slots__ = ("channel", "held_bytes", "intake", "publishes", "settled_up_to", "settlements", "tags")

    def __init__(self, channel: Channel) -> None:
        """An empty transaction."""
        self.channel = channel
        self.publishes: list[tuple[Any, Any, bool]] = []
        self.settlements: list[tuple[int, bool, int]] = []
        self.tags: set[int] = set()
        self.settled_up_to = 0
        self.intake = channel.connection.broker.intake
        self.held_bytes = 0

    def publish(self, exchange: Any, message: Any, mandatory: bool) -> None:
        """Hold a message back (core.message.Message)."""
        self.channel.connection.reserve(message.memory_bytes)
        self.intake.bytes += message.memory_bytes
        self.held_bytes += message.memory_bytes
        self.publishes.append((exchange, message, mandatory))
        self.check_limits()

    def settle(self, tag: int, multiple: bool, outcome: int) -> None:
        """Hold an acknowledgement back. What could not be done is refused now: commit does all or nothing."""
        known = self.channel.is_outstanding(tag, multiple)
        if not known or (tag and (tag in self.tags or tag <= self.settled_up_to)):
            raise AmqpError(406, f"unknown delivery tag {tag}")
        if multiple:
            self.settled_up_to = tag or self.channel.last_delivery_tag
        else:
            self.tags.add(tag)
        self.settlements.append((tag, multiple, outcome))
        self.check_limits()

    def unsettled(self, tags: list[int]) -> list[int]:
        """Those of the delivery tags of which no settlement is held back, newest first, as they go back to a queue."""
        return [tag for tag in reversed(tags) if tag > self.settled_up_to and tag not in self.tags]

    def check_limits(self) -> None:
        """A transaction is memory: it ends somewhere."""
        endpoint = self.channel.connection.endpoint
        operations = len(self.publishes) + len(self.settlements)
        if operations > endpoint.transaction_operations_max or self.held_bytes > endpoint.transaction_bytes_max:
            self.rollback()
            raise AmqpError(
                406,
                f"a transaction holds at most {endpoint.transaction_operations_max} operations and "
                f"{endpoint.transaction_bytes_max} bytes",
            )

    def commit(self) -> None:
        """Do it all, in order."""
        publishes, settlements = self.publishes, self.settlements
        self.rollback()
        for exchange, message, mandatory in publishes:
            self.channel.publish_now(exchange, message, mandatory)
        for tag, multiple, outcome in settlements:
            self.channel.settle(tag, multiple, outcome)

    def rollback(self) -> None:
        """Forget it all; deliveries that were to be settled are unacked as before."""
        self.publishes = []
        self.settlements = []
        self.tags = set()
        self.settled_up_to = 0
        self.intake.bytes -= self.held_bytes
        self.channel.connection.release(self.held_bytes)
        self.held_bytes = 0
