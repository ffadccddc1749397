"""Events of what is declared: a vhost's exchanges, queues and bindings, with RabbitMQ's fields.

Owns how these objects are described to `core.events`. Nothing is described where nobody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.core.binding import Binding
    from broker.core.exchange import Exchange
    from broker.core.queue import Queue
    from broker.core.target import Consumer
    from broker.core.vhost import VirtualHost


def exchange_created(exchange: Exchange) -> None:
    """It was declared, and is new."""
    events = exchange.vhost.broker.events
    if events.wanted:
        events.tell(
            "exchange.created",
            name=exchange.name,
            vhost=exchange.vhost.name,
            type=exchange.type,
            durable=exchange.durable,
            auto_delete=exchange.auto_delete,
            internal=exchange.internal,
            arguments=exchange.arguments,
        )


def queue_created(queue: Queue) -> None:
    """It was declared, or made for a session or a subscription, and is new."""
    events = queue.vhost.broker.events
    if events.wanted:
        events.tell(
            "queue.created",
            name=queue.name,
            vhost=queue.vhost.name,
            durable=queue.durable,
            auto_delete=queue.auto_delete,
            exclusive=queue.exclusive_owner is not None,
            arguments=queue.arguments,
        )


def consumer_created(queue: Queue, consumer: Consumer) -> None:
    """From now on it gets messages."""
    events = queue.vhost.broker.events
    if events.wanted:
        events.tell(
            "consumer.created",
            **consumer_fields(queue, consumer),
            exclusive=consumer.exclusive,
            ack_required=not consumer.no_ack,
            prefetch_count=getattr(consumer, "prefetch_count", 0),
            arguments=consumer.arguments,
        )


def consumer_deleted(queue: Queue, consumer: Consumer) -> None:
    """It was cancelled, or its queue or connection is gone."""
    events = queue.vhost.broker.events
    if events.wanted:
        events.tell("consumer.deleted", **consumer_fields(queue, consumer))


def consumer_fields(queue: Queue, consumer: Consumer) -> dict[str, Any]:
    """Which one it is."""
    return {"consumer_tag": consumer.tag, "queue": queue.name, "vhost": queue.vhost.name}


def binding_created(binding: Binding, vhost: VirtualHost) -> None:
    """It is new."""
    if vhost.broker.events.wanted:
        vhost.broker.events.tell("binding.created", **binding_fields(binding, vhost))


def binding_deleted(binding: Binding, vhost: VirtualHost) -> None:
    """It was taken out, or one of its ends is gone."""
    if vhost.broker.events.wanted:
        vhost.broker.events.tell("binding.deleted", **binding_fields(binding, vhost))


def binding_fields(binding: Binding, vhost: VirtualHost) -> dict[str, Any]:
    """Both ends, and what stands between."""
    return {
        "source_name": binding.source.name,
        "source_kind": "exchange",
        "destination_name": binding.destination.name,
        "destination_kind": binding.destination_kind,
        "routing_key": binding.key.decode("utf-8", "replace"),
        "arguments": binding.arguments,
        "vhost": vhost.name,
    }
