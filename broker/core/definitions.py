"""What was declared, back from the store: exchanges, queues and bindings of a vhost, as they were written down.

Owns reading definitions; writing them is `vhost`'s, where they change. Asks no questions: what is in the store was
allowed when it was declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core import arguments as argument_rules
from broker.core.binding import QUEUE, Binding
from broker.core.properties import decode_table

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import VirtualHost


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


def restore_queue(vhost: VirtualHost, value: dict[str, Any]) -> Queue:
    """Recreate a durable queue from its definition; its messages follow."""
    name, arguments = value["name"], decode_table(value["arguments"])
    settings = argument_rules.queue_arguments(
        name, vhost.name, arguments, durable=True, exclusive=False, auto_delete=value["auto_delete"]
    )
    return vhost.make_queue(name, value["store_id"], True, value["auto_delete"], None, arguments, settings)


def restore_binding(vhost: VirtualHost, value: dict[str, Any]) -> None:
    """Recreate a durable binding, if both its ends are there."""
    source = vhost.exchanges.get(value["source"])
    named = vhost.queues if value["kind"] == QUEUE else vhost.exchanges
    destination = named.get(value["destination"])
    arguments = decode_table(value["arguments"])
    if source is not None and destination is not None:
        vhost.add_binding(Binding(source, destination, value["kind"], value["key"], arguments))
