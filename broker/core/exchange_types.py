"""The exchange types: which of an exchange's own bindings match a message (AMQP 0-9-1 §3.1.3, RabbitMQ's extensions).

Each knows its own index and nothing of queues, caches or alternates. All are asked only when the answer is not known
yet, except where it depends on the message itself (headers, consistent hash).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from broker.core.binding import SUBSCRIBER, Binding
from broker.core.errors import PreconditionFailed
from broker.core.exchange import Exchange, accept_all
from broker.core.hash_ring import HashRing
from broker.core.headers_match import HeadersBindings
from broker.core.message import Message
from broker.core.shares import SHARE_PREFIX
from broker.core.topic_trie import TopicTrie


class DefaultExchange(Exchange):
    """The nameless exchange: every queue is bound to it by its own name (§3.1.3.1)."""

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """The queue of that name, or a direct reply-to consumer."""
        target = self.vhost.target(routing_key)
        return () if target is None else (target,)


class DirectExchange(Exchange):
    """The binding key equals the routing key."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        """As Exchange."""
        super().__init__(*positional, **named)
        self.by_key: dict[bytes, list[Any]] = {}

    def add(self, binding: Binding) -> None:
        """See Exchange."""
        self.by_key.setdefault(binding.key, []).append(binding.destination)

    def remove(self, binding: Binding) -> None:
        """See Exchange."""
        self.by_key[binding.key].remove(binding.destination)
        if not self.by_key[binding.key]:
            del self.by_key[binding.key]

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """See Exchange."""
        return self.by_key.get(routing_key, ())


class FanoutExchange(Exchange):
    """Every binding matches."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        """As Exchange."""
        super().__init__(*positional, **named)
        self.all: list[Any] = []
        self.match_all_keys_alike()

    def add(self, binding: Binding) -> None:
        """See Exchange."""
        self.all.append(binding.destination)

    def remove(self, binding: Binding) -> None:
        """See Exchange."""
        self.all.remove(binding.destination)

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """See Exchange."""
        return self.all


class TopicExchange(Exchange):
    """The binding key is a pattern of words: `*` for one, `#` for any number (§3.1.3.3)."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        """As Exchange."""
        super().__init__(*positional, **named)
        self.trie = TopicTrie()
        self.subscriptions = 0

    def add(self, binding: Binding) -> None:
        """See Exchange."""
        self.trie.add(binding.key, binding)
        self.subscriptions += binding.destination_kind == SUBSCRIBER

    def remove(self, binding: Binding) -> None:
        """See Exchange."""
        self.trie.remove(binding.key, binding)
        self.subscriptions -= binding.destination_kind == SUBSCRIBER

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """See Exchange."""
        found = self.trie.matches(routing_key)
        if routing_key[:1] == b"$":
            found = [binding for binding in found if not spares_dollar(binding)]
        if self.subscriptions:
            return chosen_by_subscribers(found, routing_key)
        return [binding.destination for binding in found]


class HeadersExchange(Exchange):
    """The binding's arguments are compared with the message's headers (§3.1.3.4)."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        """As Exchange."""
        super().__init__(*positional, **named)
        self.by_headers = HeadersBindings()
        self.match_by_message()

    def add(self, binding: Binding) -> None:
        """See Exchange."""
        self.by_headers.add(binding.arguments, binding.destination)

    def remove(self, binding: Binding) -> None:
        """See Exchange."""
        self.by_headers.remove(binding.arguments, binding.destination)

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """See Exchange."""
        return self.by_headers.match(message.properties.get("headers") or {})


class ConsistentHashExchange(Exchange):
    """Each message goes to one destination, chosen by a hash; the binding key is the destination's weight."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        """As Exchange. Raises PreconditionFailed for arguments that contradict each other."""
        super().__init__(*positional, **named)
        self.ring = HashRing(self.arguments)
        self.match_by_message()

    def add(self, binding: Binding) -> None:
        """See Exchange."""
        self.ring.add(binding.key, binding.destination)

    def remove(self, binding: Binding) -> None:
        """See Exchange."""
        self.ring.remove(binding.key, binding.destination)

    def find(self, routing_key: bytes, message: Any) -> Sequence[Any]:
        """See Exchange."""
        destination = self.ring.find(routing_key, message.properties)
        return () if destination is None else (destination,)


def spares_dollar(binding: Binding) -> bool:
    """A shared subscription that begins with a wildcard: it sees no topic that begins with `$` [MQTT-4.7.2-1]."""
    return binding.key[:1] in (b"*", b"#") and binding.destination.name.startswith(SHARE_PREFIX)


def chosen_by_subscribers(bindings: Sequence[Binding], routing_key: bytes) -> list[Any]:
    """The targets of these bindings. A subscriber is asked once, with all that it has among them, what takes it."""
    targets = []
    subscribers: dict[Any, list[Binding]] = {}
    for binding in bindings:
        if binding.destination_kind == SUBSCRIBER:
            subscribers.setdefault(binding.destination, []).append(binding)
        else:
            targets.append(binding.destination)
    for subscriber, selected in subscribers.items():
        target = subscriber.matched(selected, routing_key)
        if target is not None:
            targets.append(target)
    return targets


TYPES: dict[str, type[Exchange]] = {
    "direct": DirectExchange,
    "fanout": FanoutExchange,
    "topic": TopicExchange,
    "headers": HeadersExchange,
    "x-consistent-hash": ConsistentHashExchange,
}
DELAYED_TYPE = "x-delayed-message"


def exchange_class(type_name: str, arguments: dict[str, Any]) -> tuple[type[Exchange], bool]:
    """The class that routes for `type_name`, and whether it delays. Raises PreconditionFailed for an unknown type."""
    delays = type_name == DELAYED_TYPE
    if delays:
        inner = arguments.get("x-delayed-type")
        if not isinstance(inner, str) or inner not in TYPES:
            raise PreconditionFailed(
                f"Invalid argument, 'x-delayed-type' must be an existing exchange type, one of {', '.join(TYPES)}"
            )
        type_name = inner
    if type_name not in TYPES:
        raise PreconditionFailed(f"unknown exchange type '{type_name}'")
    return TYPES[type_name], delays


def publish_named(exchange: TopicExchange, message: Message) -> int:
    """Publish to a topic of the broker's own ($SYS, $sparkplug): only to bindings that name its first word.

    AMQP's `#` matches such topics too (MQTT's does not, [MQTT-4.7.2-1]), but whoever binds with it did not ask for the
    broker's own. ROUTED, STORED, REFUSED or'ed.
    """
    first_word = message.routing_key.partition(b".")[0]
    if not exchange.trie.has_first_word(first_word):
        return 0
    named = [each for each in exchange.trie.matches(message.routing_key) if each.key.partition(b".")[0] == first_word]
    return accept_all(message, dict.fromkeys(chosen_by_subscribers(named, message.routing_key)))
