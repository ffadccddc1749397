"""A virtual host: its exchanges, queues and bindings, and what may be done with them.

Owns names: declaring, deleting, binding, and the rules the specifications give for these. What outlives a restart goes
into the store's open batch (`definitions`): the dialect waits for it. Knows no protocol: its errors are `core.errors`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from broker.core import arguments as argument_rules
from broker.core import carbon_copies, definitions, object_events
from broker.core.binding import EXCHANGE, QUEUE, Binding, identity
from broker.core.dead_letters import DeadLetters
from broker.core.errors import (
    AccessRefused,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)
from broker.core.exchange import Exchange
from broker.core.exchange_types import DefaultExchange, exchange_class
from broker.core.message import Message
from broker.core.policy import Policies, declared_settings
from broker.core.queue import Queue
from broker.core.retained import RetainedMessages
from broker.core.shares import SHARE_PREFIX, Shares
from storage import layout

if TYPE_CHECKING:
    from broker.core.surroundings import Surroundings

NAMES_MADE = (b"amq.gen-", b"amq.rabbitmq.reply-to.")
"""How names begin that the broker makes up, and that nobody can guess."""
PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
}


class VirtualHost:
    """One namespace of exchanges, queues and bindings."""

    def __init__(self, broker: Surroundings, name: str) -> None:
        """Make an empty vhost with the exchanges that every vhost has."""
        self.broker = broker
        self.name = name
        self.description = ""
        self.tags: tuple[str, ...] = ()
        self.watch: Any = None  # watch.Watch, while somebody watches messages
        self.store = broker.store
        self.clock = broker.clock
        self.limits = broker.limits
        self.exchanges: dict[str, Exchange] = {}
        self.by_alternate: defaultdict[str, set[Exchange]] = defaultdict(set)
        self.queues: dict[str, Queue] = {}
        self.binding_count = 0
        self.reply_targets: dict[str, Any] = {}
        self.policies = Policies(self)
        self.retained = RetainedMessages(name, self.store, self.clock, self.limits)
        self.default_exchange = self.make_exchange("", "direct", durable=True)
        for exchange_name, type_name in PREDECLARED.items():
            self.make_exchange(exchange_name, type_name, durable=True, internal=exchange_name == "amq.rabbitmq.trace")
        self.dead_letters = DeadLetters(self)
        self.shares = Shares(self)

    # ── exchanges ─────────────────────────────────────────────────────────────────────────────────────────────────

    def make_exchange(
        self,
        name: str,
        type_name: str,
        *,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> Exchange:
        """Create an exchange without asking whether that is allowed."""
        kind, delays = (DefaultExchange, False) if name == "" else exchange_class(type_name, arguments or {})
        exchange = kind(
            self,
            name,
            type_name,
            durable=durable,
            auto_delete=auto_delete,
            internal=internal,
            arguments=arguments or {},
            routes_cached_max=self.limits.routes_cached_max,
        )
        if delays:
            exchange.delay_messages()
        self.exchanges[name] = exchange
        if exchange.alternate is not None:
            self.by_alternate[exchange.alternate].add(exchange)
        else:
            self.set_alternate(exchange, self.policies.alternate(name))
        self.forget_routes(exchange, None)
        return exchange

    def set_alternate(self, exchange: Exchange, alternate: str | None) -> None:
        """What the exchange cannot route goes to the alternate from now on; None: nowhere."""
        if alternate == exchange.alternate:
            return
        if exchange.alternate is not None:
            self.forget_alternate(exchange)
        exchange.alternate = alternate
        if alternate is not None:
            self.by_alternate[alternate].add(exchange)
        self.forget_routes(exchange, None)

    def forget_alternate(self, exchange: Exchange) -> None:
        """The exchange names its alternate no more."""
        named = self.by_alternate[exchange.alternate or ""]
        named.discard(exchange)
        if not named:
            del self.by_alternate[exchange.alternate or ""]

    def exchange(self, name: str) -> Exchange:
        """The exchange of that name. Raises NotFound."""
        try:
            return self.exchanges[name]
        except KeyError:
            raise NotFound(f"no exchange '{name}' in vhost '{self.name}'") from None

    def declare_exchange(
        self,
        name: str,
        type_name: str,
        *,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> Exchange:
        """Create the exchange, or find it the same (AMQP 0-9-1 §1.6.2.1). Raises CoreError."""
        arguments = arguments or {}
        existing = self.exchanges.get(name)
        if existing is not None:
            argument_rules.check_exchange_equivalence(
                existing, type_name, durable, auto_delete, internal, arguments, self.name
            )
            return existing
        if name.startswith("amq."):
            raise AccessRefused(f"exchange name '{name}' contains reserved prefix 'amq.*'")
        argument_rules.check_exchange_arguments(name, self.name, arguments)
        if len(self.exchanges) >= self.limits.exchanges_max:
            raise LimitExceeded(f"vhost '{self.name}' has its limit of {self.limits.exchanges_max} exchanges")
        exchange = self.make_exchange(
            name, type_name, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments
        )
        if durable:
            definitions.put_exchange(self, exchange)
        object_events.exchange_created(exchange)
        return exchange

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """Delete the exchange and its bindings, if it is there (RabbitMQ: deleting what is gone succeeds)."""
        if name == "" or name.startswith("amq."):
            raise AccessRefused(
                "operation not permitted on the default exchange"
                if name == ""
                else f"deletion of system exchange '{name}' in vhost '{self.name}' not allowed"
            )
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise PreconditionFailed(f"exchange '{name}' in vhost '{self.name}' in use")
        self.remove_exchange(exchange)

    def remove_exchange(self, exchange: Exchange) -> None:
        """Delete without conditions; a chain of auto-delete exchanges follows without exhausting the stack."""
        exchange.deleted = True
        leaving = [exchange]
        for gone in leaving:  # grows while it is walked
            del self.exchanges[gone.name]
            self.broker.on_exchange_deleted(gone)
            near = chain.from_iterable(each.bindings.values() for each in (gone, *gone.upstreams))
            for binding in [each for each in near if each.source is gone or each.destination is gone]:
                if self.unwire(binding):
                    binding.source.deleted = True
                    leaving.append(binding.source)
            if gone.durable:
                self.delete_definition("exchange", gone.name)
            if gone.alternate is not None:
                self.forget_alternate(gone)
            self.forget_routes(gone, None)

    # ── queues ────────────────────────────────────────────────────────────────────────────────────────────────────

    def queue(self, name: str, owner: object = None) -> Queue:
        """The queue of that name. Raises NotFound; ResourceLocked where it is another connection's own."""
        try:
            queue = self.queues[name]
        except KeyError:
            raise NotFound(f"no queue '{name}' in vhost '{self.name}'") from None
        if queue.exclusive_owner is not None and queue.exclusive_owner is not owner:
            raise ResourceLocked(
                f"cannot obtain exclusive access to locked queue '{name}' in vhost '{self.name}'. It could be "
                "originally declared on another connection or the exclusive property value does not match that of "
                "the original declaration."
            )
        return queue

    def declare_queue(
        self,
        name: str,
        *,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        owner: object = None,
        arguments: dict[str, Any] | None = None,
    ) -> Queue:
        """Create the queue, or find it the same (AMQP 0-9-1 §1.7.2.1). Raises CoreError."""
        arguments = arguments or {}
        if name.startswith("amq."):
            raise AccessRefused(f"queue name '{name}' contains reserved prefix 'amq.*'")
        if name.startswith(SHARE_PREFIX):
            raise AccessRefused(f"queue name '{name}' is that of a shared subscription")
        existing = self.queues.get(name)
        if existing is not None:
            self.queue(name, owner)
            argument_rules.check_queue_equivalence(existing, durable, exclusive, auto_delete, arguments, self.name)
            existing.last_used_ms = self.clock.now_ms
            return existing
        return self.create_queue(
            name, durable=durable, exclusive=exclusive, auto_delete=auto_delete, owner=owner, arguments=arguments
        )

    def create_queue(
        self,
        name: str,
        *,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        owner: object,
        arguments: dict[str, Any],
    ) -> Queue:
        """Create a queue that does not exist; server-named ones come here directly."""
        settings = argument_rules.queue_arguments(
            name, self.name, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete
        )
        self.check_queue_limit(name)
        if len(self.queues) >= self.limits.queues_max:
            raise LimitExceeded(f"vhost '{self.name}' has its limit of {self.limits.queues_max} queues")
        store_id = self.broker.next_store_id(1 + (settings.max_priority or 0))
        queue = self.make_queue(name, store_id, durable, auto_delete, owner if exclusive else None, arguments, settings)
        if durable and not exclusive:
            definitions.put_queue(self, queue)
        object_events.queue_created(queue)
        return queue

    def redeclare_queue(self, queue: Queue, arguments: dict[str, Any]) -> None:
        """Give a queue that the broker itself made other arguments: its settings have changed since."""
        queue.arguments = arguments
        queue.change(self.policies.settings(queue.name, declared_settings(queue)))
        if queue.durable:
            definitions.put_queue(self, queue)

    def make_queue_durable(self, queue: Queue) -> None:
        """From now on the queue, its bindings and the persistent messages that come outlive a restart."""
        queue.durable = True
        definitions.put_queue(self, queue)
        for binding in queue.bindings:
            definitions.put_binding(self, binding)

    def check_queue_limit(self, name: str) -> None:
        """The operator's own limit of this vhost. Raises PreconditionFailed in RabbitMQ's words."""
        limit = self.broker.parameters.vhost_limit(self.name, "max-queues")
        if limit is not None and len(self.queues) >= limit:
            raise PreconditionFailed(
                f"cannot declare queue '{name}': queue limit in vhost '{self.name}' ({limit}) is reached"
            )

    def make_queue(
        self,
        name: str,
        store_id: int,
        durable: bool,
        auto_delete: bool,
        owner: object,
        arguments: dict[str, Any],
        settings: Any,
    ) -> Queue:
        """Create a queue without asking whether that is allowed."""
        queue = Queue(
            self,
            name,
            self.store,
            self.clock,
            store_id=store_id,
            durable=durable,
            auto_delete=auto_delete,
            exclusive_owner=owner,
            arguments=arguments,
            settings=self.policies.settings(name, settings),
            memory_bytes_max=self.limits.queue_memory_bytes_max,
        )
        self.queues[name] = queue
        self.broker.queues_declared += 1
        self.forget_routes(self.default_exchange, queue.name_bytes)
        return queue

    def delete_queue(self, queue: Queue, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete the queue; how many ready messages went with it (AMQP 0-9-1 §1.7.2.9)."""
        if if_unused and queue.consumers:
            raise PreconditionFailed(f"queue '{queue.name}' in vhost '{self.name}' in use")
        if if_empty and queue.ready_count:
            raise PreconditionFailed(f"queue '{queue.name}' in vhost '{self.name}' not empty")
        return self.remove_queue(queue)

    def remove_queue(self, queue: Queue) -> int:
        """Delete without conditions; how many ready messages there were."""
        if queue.deleted:
            return 0
        del self.queues[queue.name]
        self.forget_routes(self.default_exchange, queue.name_bytes)
        for binding in list(queue.bindings):
            self.remove_binding(binding)
        if queue.durable and queue.exclusive_owner is None:
            self.delete_definition("queue", queue.name)
        removed: int = queue.delete()
        self.broker.on_queue_deleted(queue)
        return removed

    def target(self, routing_key: bytes) -> Any:
        """What the default exchange routes to by name: a queue, or a direct reply-to consumer; or None."""
        name = routing_key.decode("utf-8", "surrogateescape")
        return self.queues.get(name) or self.reply_targets.get(name)

    def reply_targets_of(self, name: bytes) -> list[Any]:
        """Where a reply by way of amq.topic goes. Only a name that the broker made will do: who knows it was told."""
        target = self.target(name) if name.startswith(NAMES_MADE) else None
        return [] if target is None else [target]

    # ── bindings ──────────────────────────────────────────────────────────────────────────────────────────────────

    def bindings(self) -> Iterator[Binding]:
        """Every explicit binding of the vhost."""
        for exchange in self.exchanges.values():
            yield from exchange.bindings.values()

    def bind(
        self, source: Exchange, destination: Any, kind: str, key: bytes, arguments: dict[str, Any] | None = None
    ) -> Binding:
        """Add a binding, or find it (AMQP 0-9-1 §1.7.2.3). `kind`: binding.QUEUE or binding.EXCHANGE."""
        if source is self.default_exchange or destination is self.default_exchange:
            raise AccessRefused("operation not permitted on the default exchange")
        binding = Binding(source, destination, kind, key, arguments or {})
        existing: Binding | None = source.bindings.get(binding.identity)
        if existing is not None:
            return existing
        if self.binding_count >= self.limits.bindings_max:
            raise LimitExceeded(f"vhost '{self.name}' has its limit of {self.limits.bindings_max} bindings")
        self.add_binding(binding)
        definitions.put_binding(self, binding)
        object_events.binding_created(binding, self)
        return binding

    def add_binding(self, binding: Binding) -> None:
        """Wire a binding up. Raises PreconditionFailed where the exchange's type refuses it."""
        binding.source.add(binding)
        binding.source.bindings[binding.identity] = binding
        self.binding_count += 1
        if binding.destination_kind == QUEUE:
            binding.destination.bindings.add(binding)
        elif binding.destination_kind == EXCHANGE:
            binding.destination.upstreams.add(binding.source)
        self.forget_routes(binding.source, binding.key)

    def unbind(
        self, source: Exchange, destination: Any, kind: str, key: bytes, arguments: dict[str, Any] | None = None
    ) -> None:
        """Remove a binding, if it is there (RabbitMQ: unbinding what is not bound succeeds)."""
        if source is self.default_exchange or destination is self.default_exchange:
            raise AccessRefused("operation not permitted on the default exchange")
        binding = source.bindings.get(identity(kind, destination.name, key, arguments or {}))
        if binding is not None:
            self.remove_binding(binding)

    def remove_binding(self, binding: Binding) -> None:
        """Take a binding out. An auto-delete exchange goes with the last binding of which it is the source."""
        if self.unwire(binding):
            self.remove_exchange(binding.source)

    def unwire(self, binding: Binding) -> bool:
        """Take a binding out; True where its source has to go, too."""
        source = binding.source
        if source.bindings.pop(binding.identity, None) is None:
            return False
        self.binding_count -= 1
        source.remove(binding)
        if binding.destination_kind == QUEUE:
            binding.destination.bindings.discard(binding)
        elif binding.destination_kind == EXCHANGE and not any(
            other.destination is binding.destination for other in source.bindings.values()
        ):
            binding.destination.upstreams.discard(source)
        self.forget_routes(source, binding.key)
        if source.durable and binding.destination.durable:
            self.broker.delete_definition(binding.definition_key(self.name))
        object_events.binding_deleted(binding, self)
        return bool(source.auto_delete and not source.bindings and not source.deleted)

    def forget_routes(self, exchange: Exchange, binding_key: bytes | None) -> None:
        """A binding of `exchange` changed: its cached routes, and those of all that route through it, may be wrong."""
        exchange.forget_routes(binding_key)
        seen = {exchange}
        waiting = [exchange]
        while waiting:
            changed = waiting.pop()
            routes_through = set(changed.upstreams)
            routes_through.update(self.by_alternate.get(changed.name, ()))
            for upstream in routes_through - seen:
                upstream.forget_routes(None)
                seen.add(upstream)
                waiting.append(upstream)

    def forget_all_routes(self) -> None:
        """What all of them may route to has changed."""
        for exchange in self.exchanges.values():
            exchange.forget_routes(None)

    # ── messages on their rarer ways ──────────────────────────────────────────────────────────────────────────────

    def publish_carbon_copies(self, exchange: Exchange, message: Message) -> int:
        """Route a message by its own key and those of its copies (see carbon_copies)."""
        keys = carbon_copies.routing_keys(message)
        message = carbon_copies.without_blind_copies(message)
        return exchange.hand_out(message, exchange.resolve(keys, message).targets)

    def delay(self, exchange: Exchange, message: Message) -> bool:
        """Put a message with a positive `x-delay` into the delayed index; False where it is to be routed now."""
        carbon_copies.routing_keys(message)  # what is wrong is told now: when the message is due, nobody listens
        return self.broker.delayed.schedule(self, exchange, message)

    # ── definitions ───────────────────────────────────────────────────────────────────────────────────────────────

    def put_definition(self, kind: str, name: str, value: dict[str, Any]) -> None:
        """Make a definition outlive a restart, with the open batch."""
        value = {"vhost": self.name, "name": name, **value}
        self.broker.put_definition(layout.definition_key(kind, self.name, name), value)

    def delete_definition(self, kind: str, name: str) -> None:
        """Forget a definition, with the open batch."""
        self.broker.delete_definition(layout.definition_key(kind, self.name, name))
