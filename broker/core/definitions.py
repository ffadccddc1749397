"""What was declared, in the store and back: exchanges, queues and bindings of a vhost, as they are written down.

Owns the records; when one is written is `vhost`'s to say. Asks no questions: what is in the store was allowed when it
was declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core import arguments as argument_rules
from broker.core.binding import QUEUE, Binding
from broker.core.properties import decode_table, encode_table

if TYPE_CHECKING:
    from broker.core.exchange import Exchange
    from broker.core.queue import Queue
    from broker.core.vhost import VirtualHost


def put_exchange(vhost: VirtualHost, exchange: Exchange) -> None:
    """Make a durable exchange outlive a restart, with the open batch."""
    vhost.put_definition(
        "exchange",
        exchange.name,
        {
            "type": exchange.type,
            "auto_delete": exchange.auto_delete,
            "internal": exchange.internal,
            "arguments": encode_table(exchange.arguments),
        },
    )


def restore_exchange(vhost: VirtualHost, value: dict[str, Any]) -> None:
    """Recreate a durable exchange from its definition."""
    vhost.make_exchange(
        value["name"],
        value["type"],
        durable=True,
        auto_delete=value["auto_delete"],
        internal=value["internal"],
        arguments=decode_table(value["arguments"]),
    )


def put_queue(vhost: VirtualHost, queue: Queue) -> None:
    """Make a durable queue outlive a restart, with the open batch."""
    vhost.put_definition(
        "queue",
        queue.name,
        {
            "store_id": queue.store_id,
            "auto_delete": queue.auto_delete,
            "arguments": encode_table(queue.arguments),
        },
    )


def restore_queue(vhost: VirtualHost, value: dict[str, Any]) -> Queue:
    """Recreate a durable queue from its definition; its messages follow."""
    name, arguments = value["name"], decode_table(value["arguments"])
    settings = argument_rules.queue_arguments(
        name, vhost.name, arguments, durable=True, exclusive=False, auto_delete=value["auto_delete"]
    )
    return vhost.make_queue(name, value["store_id"], True, value["auto_delete"], None, arguments, settings)


def put_binding(vhost: VirtualHost, binding: Binding) -> None:
    """Make a binding outlive a restart, with the open batch, where both its ends do."""
    source, destination = binding.source, binding.destination
    if source.durable and destination.durable and getattr(destination, "exclusive_owner", None) is None:
        vhost.broker.put_definition(
            binding.definition_key(vhost.name),
            {
                "vhost": vhost.name,
                "source": source.name,
                "kind": binding.destination_kind,
                "destination": destination.name,
                "key": binding.key,
                "arguments": encode_table(binding.arguments),
            },
        )


def restore_binding(vhost: VirtualHost, value: dict[str, Any]) -> None:
    """Recreate a durable binding, if both its ends are there."""
    source = vhost.exchanges.get(value["source"])
    named = vhost.queues if value["kind"] == QUEUE else vhost.exchanges
    destination = named.get(value["destination"])
    arguments = decode_table(value["arguments"])
    if source is not None and destination is not None:
        vhost.add_binding(Binding(source, destination, value["kind"], value["key"], arguments))
