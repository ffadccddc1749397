"""The event exchange: what happens to the broker's objects (`core.events`), as messages for whoever binds a queue.

Owns `amq.rabbitmq.event`, a topic exchange of one vhost, and the shape of its messages, which is that of RabbitMQ's
plugin: routing key `queue.created`, the fields as headers, an empty body.

Invariants: nothing is published in the middle of what is being told: events wait for the next turn, at most EVENTS_MAX
of them, and what is above that is counted as dropped; what publishing an event leads to cannot loop within one turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from broker.core import definitions
from broker.core.errors import CoreError
from broker.core.events import Event
from broker.core.message import Message
from broker.core.properties import encode_properties

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.vhost import VirtualHost

EVENT_EXCHANGE = "amq.rabbitmq.event"
EVENTS_MAX = 10_000
"""Told and not yet published: those of one turn of the loop."""
PLAIN = (bool, int, float, str, bytes, list, dict, type(None))
INT64_MAX = 1 << 63


class EventExchange:
    """Publishes the events of the broker in one vhost."""

    def __init__(self, vhost: VirtualHost, node: str) -> None:
        """Declares the exchange and listens from now on. `node`: what messages name as their origin."""
        self.vhost = vhost
        self.node = node
        self.waiting: deque[Event] = deque()
        self.published = 0
        self.dropped = 0
        if EVENT_EXCHANGE not in vhost.exchanges:
            definitions.put_exchange(vhost, vhost.make_exchange(EVENT_EXCHANGE, "topic", durable=True, internal=True))
        self.stop = vhost.broker.events.listen(self.hear)

    def hear(self, event: Event) -> None:
        """Something has happened. Where nobody has bound a queue it is not kept."""
        exchange = self.vhost.exchanges.get(EVENT_EXCHANGE)
        if exchange is None or not exchange.bindings:
            return
        if len(self.waiting) >= EVENTS_MAX:
            self.dropped += 1
            return
        if not self.waiting:
            self.vhost.clock.call_at(self.vhost.clock.now_ms, self.publish)
        self.waiting.append(event)

    def publish(self) -> None:
        """Route what waits."""
        told, self.waiting = self.waiting, deque()
        exchange = self.vhost.exchanges.get(EVENT_EXCHANGE)
        if exchange is None:
            return
        for event in told:
            exchange.publish_message(self.message(event))
            self.published += 1

    def message(self, event: Event) -> Message:
        """One event as a message."""
        headers = {
            **{name: encodable(value) for name, value in event.fields.items()},
            "user_who_performed_action": event.user,
            "timestamp_in_ms": event.at_ms,
            "node": self.node,
        }
        common: dict[str, Any] = {"delivery_mode": 2, "timestamp": event.at_ms // 1000}
        key = event.name.encode()
        try:
            properties = encode_properties({**common, "headers": headers})
        except (CoreError, ValueError):  # an argument that no table can hold: the event is told without its fields
            properties = encode_properties({**common, "headers": {"name": str(event.fields.get("name", ""))}})
        return Message(EVENT_EXCHANGE.encode(), key, properties, b"")


def remove_event_exchange(broker: Broker) -> None:
    """It is switched off: what was declared before goes, with its bindings."""
    for vhost in broker.vhosts.values():
        exchange = vhost.exchanges.get(EVENT_EXCHANGE)
        if exchange is not None:
            vhost.remove_exchange(exchange)


def encodable(value: Any) -> Any:
    """A field as a field table can hold it."""
    if isinstance(value, tuple | set | frozenset):
        value = list(value)
    if isinstance(value, dict):
        return {str(name): encodable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [encodable(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -INT64_MAX <= value < INT64_MAX:
        return str(value)
    return value if isinstance(value, PLAIN) or hasattr(value, "timestamp") else str(value)
