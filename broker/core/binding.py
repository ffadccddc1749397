"""A binding: from an exchange to a queue, to another exchange, or to a subscriber without a queue."""

from __future__ import annotations

from typing import Any

from broker.core.properties import encode_table
from storage import layout

QUEUE = "queue"
EXCHANGE = "exchange"
SUBSCRIBER = "subscriber"
"""A target without a queue of its own name, which says itself what takes a message (`Target.matched`)."""


class Binding:
    """One rule of an exchange. Two bindings with the same identity are one binding (AMQP 0-9-1 §1.7.2.3)."""

    __slots__ = ("arguments", "destination", "destination_kind", "identity", "key", "source")

    def __init__(self, source: Any, destination: Any, destination_kind: str, key: bytes, arguments: dict[str, Any]):
        """Bind `destination` (Queue or Exchange) to `source` (Exchange) by a binding key and arguments."""
        self.source = source
        self.destination = destination
        self.destination_kind = destination_kind
        self.key = key
        self.arguments = arguments
        self.identity = identity(destination_kind, destination.name, key, arguments)

    def definition_key(self, vhost: str) -> bytes:
        """Where the store keeps it: the key is made of everything that tells bindings apart."""
        return layout.definition_key("binding", vhost, self.source.name, *self.identity)


def identity(destination_kind: str, destination_name: str, key: bytes, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a binding the same binding, within its source."""
    ordered = encode_table(dict(sorted(arguments.items()))) if arguments else b""
    return (destination_kind, destination_name, key, ordered)
