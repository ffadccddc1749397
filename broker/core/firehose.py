"""The firehose: what is published and delivered in a vhost, published again to `amq.rabbitmq.trace` (RabbitMQ).

Owns the shape of its messages, which is RabbitMQ's: routing key `publish.EXCHANGE` or `deliver.QUEUE`, the traced
message's body, and in the headers

    exchange_name  routing_keys  properties  node  vhost  connection  channel  user  routed_queues | redelivered

Invariants: what was published to the trace exchange is not traced; nothing is published in the middle of what is being
told: copies wait for the next turn, at most WAITING_MAX of them and BYTES_MAX of their bodies, and what is above that
is counted as dropped; where nobody has bound a queue nothing waits. It does not outlive a restart, as in RabbitMQ.

Deviation: a delivery without a queue (MQTT QoS 0, direct reply-to) is `deliver.` and the client identifier, because it
has no queue here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from broker.core.dead_letter import carbon_copies, text
from broker.core.errors import CoreError
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.core.sieve import BoundSieve
from broker.core.watch import MessageEvent, watch

if TYPE_CHECKING:
    from broker.core.vhost import VirtualHost

TRACE_EXCHANGE = "amq.rabbitmq.trace"
NAME = TRACE_EXCHANGE.encode()
WAITING_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
PREFIXES = {"published": "publish", "delivered": "deliver"}


class Firehose:
    """Of one vhost, from its making until `stop`."""

    def __init__(self, vhost: VirtualHost, node: str) -> None:
        """`node`: what messages name as their origin."""
        self.vhost = vhost
        self.node = node
        self.waiting: deque[MessageEvent] = deque()
        self.waiting_bytes = 0
        self.published = 0
        self.dropped = 0
        trace_exchange = vhost.exchanges[TRACE_EXCHANGE]
        self.stop = watch(vhost, self.hear, BoundSieve(NAME, trace_exchange.bindings))

    def hear(self, event: MessageEvent) -> None:
        """Something has happened to a message."""
        message = event.message
        if message is None or event.name not in PREFIXES or message.exchange == NAME:
            return
        if not self.vhost.exchanges[TRACE_EXCHANGE].bindings:
            return  # another listener's sieve has let it through
        if len(self.waiting) >= WAITING_MAX or self.waiting_bytes + message.body_size > BYTES_MAX:
            self.dropped += 1
            return
        if not self.waiting:
            self.vhost.clock.call_at(self.vhost.clock.now_ms, self.publish)
        self.waiting.append(event)
        self.waiting_bytes += message.body_size

    def publish(self) -> None:
        """Route what waits."""
        told, self.waiting, self.waiting_bytes = self.waiting, deque(), 0
        exchange = self.vhost.exchanges.get(TRACE_EXCHANGE)
        if exchange is None:
            return
        for event in told:
            exchange.publish_message(self.message(event))
            self.published += 1

    def message(self, event: MessageEvent) -> Message:
        """One event as a message."""
        message, about = event.message, event.who
        assert message is not None
        headers: dict[str, Any] = {
            "exchange_name": text(message.exchange),
            "routing_keys": [text(message.routing_key), *carbon_copies(message.raw_properties)],
            "properties": message.properties,
            "node": self.node,
            "vhost": self.vhost.name,
            "connection": about.connection,
            "channel": about.channel,
            "user": about.user,
        }
        if event.name == "published":
            suffix = event.exchange
            headers["routed_queues"] = list(event.routed_to)
        else:
            suffix = event.queue or about.client_id
            headers["redelivered"] = int(event.redelivered)
        key = f"{PREFIXES[event.name]}.{suffix}".encode("utf-8", "surrogateescape")[:255]
        try:
            properties = encode_properties({"headers": headers})
        except (CoreError, ValueError):  # properties that no table can hold: the rest is told
            properties = encode_properties({"headers": {**headers, "properties": {}}})
        return Message(NAME, key, properties, message.body)
