"""The whole core behind one name: vhosts, users, the delayed index, alarms, and what is restored at start-up.

Owns what belongs to no single vhost. The server makes one Broker and hands it to listeners; there is no global.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgpack

from broker.core import definitions as restoring
from broker.core import stored
from broker.core.access import Access
from broker.core.binding import EXCHANGE, QUEUE
from broker.core.delayed import Delayed
from broker.core.errors import InvalidPath
from broker.core.events import Events
from broker.core.fan_out import FanOut
from broker.core.firehose import Firehose
from broker.core.intake import Intake
from broker.core.parameters import Parameters
from broker.core.presence import Presence
from broker.core.publish_rates import PublishRates
from broker.core.queue import Queue
from broker.core.surroundings import Blockable
from broker.core.totals import QueueTotals, exchange_totals, size_totals
from broker.core.traces import Traces
from broker.core.vhost import VirtualHost
from storage import layout
from storage.interface import CallbackWaiter
from storage.layout import Database
from storage.scanning import every

if TYPE_CHECKING:
    from broker.core.exchange import Exchange

DEFAULT_VHOST = "/"
CLEAN_SHUTDOWN_KEY = b"delivered_up_to"
DEFINITION_KINDS = ("vhost", "policy", "operator_policy", "exchange", "queue", "binding")


class Restored:
    """What start-up found, for the summary."""

    __slots__ = ("messages", "queues", "seconds")

    def __init__(self, queues: int, messages: int, seconds: float) -> None:
        """`seconds`: how long reading it took."""
        self.queues = queues
        self.messages = messages
        self.seconds = seconds


class Broker:
    """The core: everything that publishers and consumers of any protocol share."""

    def __init__(self, store: Any, clock: Any, limits: Any) -> None:
        """`store`: storage.interface.Store, open; `clock`: core.clock.Clock; `limits`: limits.Limits."""
        self.store = store
        self.clock = clock
        self.limits = limits
        self.events = Events(clock)
        self.vhosts: dict[str, VirtualHost] = {}
        self.access = Access(store, clock, self.events)
        self.delayed = Delayed(store, clock, self.publish_delayed)
        self.parameters = Parameters(store, self.events)
        self.presence = Presence(self.parameters)
        self.access.listen(self.presence.rights_changed)
        self.publish_rates = PublishRates(self.parameters, clock)
        self.parameters.on_limits_changed = self.presence.rights_changed
        self.alarms: dict[str, str] = {}
        self.is_full_of_lasting = False
        """Retained messages and sessions have what they may have of the memory: no more are taken on."""
        self.publishing: set[Blockable] = set()
        self.intake = Intake()
        self.fan_out = FanOut(clock, limits.fan_out_ms_per_turn_max)
        self.store_ids_used = 0
        self.queues_declared = 0
        self.queues_deleted = 0
        self.deleted_counts: dict[str, int] = {}
        self.deleted_session_counts: dict[str, int] = {}
        self.dead_lettered: Counter[str] = Counter()
        self.deleted_exchange_counts: Counter[str] = Counter()
        self.deleted_sizes: list[int] = []
        self.deleted_retained_counts: Counter[str] = Counter()
        self.definitions_changed = 0
        self.marks_given = 0
        self.traces = Traces(self)
        self.firehoses: dict[str, Firehose] = {}

    # ── start and stop ────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self) -> Restored:
        """Bring back what the store has: definitions, then for each queue where its messages are on disk."""
        started = time.perf_counter()
        queues: dict[int, Queue] = {}
        definitions = {kind: list(stored.definitions(self.store, kind)) for kind in DEFINITION_KINDS}
        for value in definitions["vhost"]:
            vhost = self.vhosts[value["name"]] = VirtualHost(self, value["name"])
            vhost.description, vhost.tags = value.get("description", ""), tuple(value.get("tags", ()))
        for value in (*definitions["policy"], *definitions["operator_policy"]):
            self.vhosts[value["vhost"]].policies.restore(value)
        for value in definitions["exchange"]:
            restoring.restore_exchange(self.vhosts[value["vhost"]], value)
        for value in definitions["queue"]:
            queue = restoring.restore_queue(self.vhosts[value["vhost"]], value)
            queues.update(dict.fromkeys(range(queue.store_id, queue.store_id + len(queue.levels)), queue))
        for value in definitions["binding"]:
            restoring.restore_binding(self.vhosts[value["vhost"]], value)
        messages = self.restore_messages(queues)
        if DEFAULT_VHOST not in self.vhosts:
            self.add_vhost(DEFAULT_VHOST)
        for vhost in self.vhosts.values():
            vhost.retained.restore()
        self.access.restore()
        self.parameters.restore()
        self.delayed.restore()
        return Restored(len(set(queues.values())), messages, time.perf_counter() - started)

    def restore_messages(self, queues: dict[int, Queue]) -> int:
        """Give each queue its runs on disk; how many messages there are."""
        messages = 0
        for store_id, segment, first_slot, count, size, last_position in self.store.restore(set(queues)):
            queues[store_id].restore_run(store_id, segment, first_slot, count, size, last_position)
            messages += count
        self.store_ids_used = max(queues, default=0)
        stored = self.store.get(Database.META, CLEAN_SHUTDOWN_KEY)
        delivered = msgpack.unpackb(stored, strict_map_key=False) if stored is not None else None
        self.store.delete(Database.META, CLEAN_SHUTDOWN_KEY)
        self.restore_delivery_counts(queues)
        for queue in set(queues.values()):
            # After a crash nobody knows what was delivered: everything may come for the second time, and says so.
            known = delivered.get(queue.store_id, 0) if delivered is not None else queue.last_position
            queue.finish_restore(known)
        return messages

    def restore_delivery_counts(self, queues: dict[int, Queue]) -> None:
        """Tell each queue what the store knows of its messages that came back; forget where nobody counts any more."""
        for key, value in every(self.store, Database.DELIVERIES):
            store_id, segment, slot = layout.delivery_parts(key)
            queue = queues.get(store_id)
            if queue is not None and queue.counts_deliveries:
                queue.delivery_counts.restore(segment, slot, layout.delivery_count(value))
            else:
                self.store.delete(Database.DELIVERIES, key)

    def close(self) -> None:
        """Write down what an orderly stop knows and a crash does not: what consumers have seen."""
        delivered = {
            queue.store_id: queue.delivered_up_to
            for vhost in self.vhosts.values()
            for queue in vhost.queues.values()
            if queue.durable and queue.ready_count
        }
        self.store.put(Database.META, CLEAN_SHUTDOWN_KEY, msgpack.packb(delivered))

    # ── vhosts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def vhost(self, name: str) -> VirtualHost:
        """The vhost of that name. Raises InvalidPath."""
        try:
            return self.vhosts[name]
        except KeyError:
            raise InvalidPath(f"vhost '{name}' not found") from None

    def add_vhost(self, name: str) -> VirtualHost:
        """Create a vhost, or find it."""
        if name not in self.vhosts:
            self.vhosts[name] = VirtualHost(self, name)
            self.put_definition(layout.definition_key("vhost", name), {"name": name})
            self.events.tell("vhost.created", name=name)
        return self.vhosts[name]

    def describe_vhost(self, vhost: VirtualHost, description: str, tags: Iterable[str]) -> None:
        """Say what a vhost is for, to people; with the open batch."""
        vhost.description, vhost.tags = description, tuple(tags)
        value = {"name": vhost.name, "description": vhost.description, "tags": list(vhost.tags)}
        self.put_definition(layout.definition_key("vhost", vhost.name), value)

    def delete_vhost(self, name: str) -> None:
        """Remove a vhost and all that is in it, at once; its connections are closed before. Raises InvalidPath."""
        deque(self.deleting_vhost(self.vhost(name)), maxlen=0)

    def deleting_vhost(self, vhost: VirtualHost) -> Iterator[None]:
        """The same in small steps, between which others may go on. Its users lose it first, and its name goes last:
        after a crash in between it is still there, in part."""
        name = vhost.name
        self.access.delete_vhost(name)
        for queue in list(vhost.queues.values()):
            for binding in list(queue.bindings):
                vhost.remove_binding(binding)
                yield
            vhost.remove_queue(queue)
            yield
        for exchange in list(vhost.exchanges.values()):
            for binding in list(exchange.bindings.values()):
                vhost.remove_binding(binding)
                yield
            if not exchange.deleted:
                vhost.remove_exchange(exchange)
            yield
        if self.vhosts.get(name) is vhost:
            self.forget_vhost(vhost)

    def forget_vhost(self, vhost: VirtualHost) -> None:
        """What it had is gone, but for what came meanwhile."""
        name = vhost.name
        for queue in list(vhost.queues.values()):
            vhost.remove_queue(queue)
        for exchange in list(vhost.exchanges.values()):
            if not exchange.deleted:
                vhost.remove_exchange(exchange)
        vhost.retained.remove_all()
        self.deleted_retained_counts.update(vhost.retained.counts)
        vhost.policies.clear()
        self.access.delete_vhost(name)
        self.parameters.forget_vhost(name)
        self.trace_off(vhost)
        for trace in self.traces.by_number.values():
            if trace.vhost is vhost:
                trace.stop()
        del self.vhosts[name]
        self.delete_definition(layout.definition_key("vhost", name))
        self.events.tell("vhost.deleted", name=name)

    def use_limits(self, limits: Any) -> None:
        """Other limits from now on: of what is declared and retained then. `limits`: limits.Limits."""
        self.limits = limits
        for vhost in self.vhosts.values():
            vhost.limits = limits
            vhost.retained.messages_max = limits.retained_messages_max
            vhost.retained.bytes_max = limits.retained_bytes_max
            vhost.retained.message_bytes_max = limits.retained_message_bytes_max

    def trace_on(self, vhost: VirtualHost, node: str) -> None:
        """From now on what is published and delivered in the vhost is published again (`core.firehose`)."""
        if vhost.name not in self.firehoses:
            self.firehoses[vhost.name] = Firehose(vhost, node)

    def trace_off(self, vhost: VirtualHost) -> None:
        """No more, if it was."""
        firehose = self.firehoses.pop(vhost.name, None)
        if firehose is not None:
            firehose.stop()

    def put_definition(self, key: bytes, value: dict[str, Any]) -> None:
        """Make a definition outlive a restart, with the open batch."""
        self.definitions_changed += 1
        self.store.put(Database.DEFINITIONS, key, msgpack.packb(value))

    def delete_definition(self, key: bytes) -> None:
        """Forget a definition, with the open batch."""
        self.definitions_changed += 1
        self.store.delete(Database.DEFINITIONS, key)

    def when_stored(self, stored: Callable[[], None], refused: Callable[[], None]) -> None:
        """Call `stored` when what the open batch holds now is on disk, or `refused` when that will never be."""
        self.store.join(CallbackWaiter(lambda _batch: stored(), lambda _batch: refused()))

    def next_store_id(self, count: int) -> int:
        """The first of `count` numbers by which the store knows a queue; never given twice to what is stored."""
        first = self.store_ids_used + 1
        self.store_ids_used += count
        return first

    def on_queue_deleted(self, queue: Queue) -> None:
        """Keep a deleted queue's counts, so that the totals never run backwards."""
        self.queues_deleted += 1
        for word, count in queue.counts.items():
            self.deleted_counts[word] = self.deleted_counts.get(word, 0) + count
            if queue.serves_sessions:
                self.deleted_session_counts[word] = self.deleted_session_counts.get(word, 0) + count
        self.events.tell("queue.deleted", name=queue.name, vhost=queue.vhost.name)

    def on_exchange_deleted(self, exchange: Exchange) -> None:
        """Keep a deleted exchange's counts, too."""
        self.deleted_exchange_counts.update(exchange.counts)
        self.deleted_sizes = added(exchange.size_counts, self.deleted_sizes)
        self.events.tell("exchange.deleted", name=exchange.name, vhost=exchange.vhost.name)

    def exchange_counts(self) -> dict[str, int]:
        """Published, routed (each target counted), unroutable and returned, over all exchanges there ever were."""
        every = chain.from_iterable(vhost.exchanges.values() for vhost in self.vhosts.values())
        return dict(Counter(self.deleted_exchange_counts) + Counter(exchange_totals(every)))

    def message_sizes(self) -> list[int]:
        """`Exchange.size_counts`, over all exchanges there ever were."""
        every = chain.from_iterable(vhost.exchanges.values() for vhost in self.vhosts.values())
        return added(size_totals(every), self.deleted_sizes)

    def queue_totals(self) -> QueueTotals:
        """The queues that there are, of all vhosts, in one sum."""
        return QueueTotals(chain.from_iterable(vhost.queues.values() for vhost in self.vhosts.values()))

    def publish_delayed(self, vhost_name: str, exchange_name: str, message: Any) -> None:
        """Route a delayed message whose time has come."""
        vhost = self.vhosts.get(vhost_name)
        exchange = vhost.exchanges.get(exchange_name) if vhost is not None else None
        if vhost is not None and exchange is not None:
            vhost.publish_carbon_copies(exchange, message)

    def retained_counts(self) -> dict[str, int]:
        """What is retained now, and what happened to it, over all vhosts (`core.retained`)."""
        total = Counter(self.deleted_retained_counts)
        for vhost in self.vhosts.values():
            total.update(vhost.retained.counts)
        return dict(total)

    # ── back-pressure (law 3) ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def blocked_reason(self) -> str:
        """Why publishing has to wait, in words; empty where it need not."""
        return "; ".join(self.alarms.values())

    def raise_alarm(self, name: str, reason: str) -> None:
        """A resource runs short: connections that publish are blocked from now on."""
        first = not self.alarms
        if name not in self.alarms:
            self.events.tell("alarm.set", name=name, reason=reason)
        self.alarms[name] = reason
        if first:
            for connection in list(self.publishing):
                connection.block(reason)

    def clear_alarm(self, name: str) -> None:
        """The resource is there again."""
        if self.alarms.pop(name, None) is None:
            return
        self.events.tell("alarm.cleared", name=name)
        if not self.alarms:
            for connection in list(self.publishing):
                connection.unblock()


def added(figures: list[int], others: list[int]) -> list[int]:
    """Each with its like; no others are zeros."""
    return [one + other for one, other in zip(figures, others, strict=True)] if others else figures


__all__ = ["DEFAULT_VHOST", "EXCHANGE", "QUEUE", "Broker", "Restored"]
