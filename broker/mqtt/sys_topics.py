"""The broker about itself: the `$SYS/broker/` topics, by Mosquitto's names, because dashboards read those.

Owns names, load averages and when something is published. Refuses to know where figures come from: `figures` gives them
when asked, and is asked only while somebody is subscribed.

    SUBSCRIBE to $SYS/… ──▶ matches: what is true now, as if retained ──▶ a timer, as long as anybody stays subscribed
    timer ──▶ what has changed since ──▶ the bindings that name `$SYS`

Invariants: with nobody subscribed there is no timer and nothing is computed; a load is the average over the time since
the last look, weighed as 1, 5 and 15 minutes weigh it, however long ago that look was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from broker.core.exchange_types import publish_named
from broker.core.message import Message
from broker.core.retained import retained_as
from broker.core.topic_tree import TopicTree

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.exchange_types import TopicExchange
    from broker.core.retained import Retained
    from broker.core.vhost import VirtualHost

FIRST_WORD = b"$SYS"
PREFIX = "$SYS.broker."
NO_PROPERTIES = b"\0\0"
MINUTE_S = 60

# Topic below `$SYS/broker/`, in routing-key form, and the figure that it shows.
COUNTS = {
    "bytes.received": "bytes_received",
    "bytes.sent": "bytes_sent",
    "clients.connected": "clients_connected",
    "clients.active": "clients_connected",
    "clients.disconnected": "clients_disconnected",
    "clients.inactive": "clients_disconnected",
    "clients.expired": "clients_expired",
    "clients.maximum": "clients_maximum",
    "clients.total": "clients_total",
    "connections.socket.count": "sockets",
    "heap.current": "heap_bytes",
    "heap.maximum": "heap_bytes_maximum",
    "messages.received": "packets_received",
    "messages.sent": "packets_sent",
    "messages.stored": "messages_stored",
    "store.messages.count": "messages_stored",
    "store.messages.bytes": "messages_stored_bytes",
    "publish.messages.received": "publish_received",
    "publish.messages.sent": "publish_sent",
    "publish.messages.dropped": "publish_dropped",
    "publish.bytes.received": "publish_bytes_received",
    "publish.bytes.sent": "publish_bytes_sent",
    "packet.out.count": "packets_waiting",
    "packet.out.bytes": "packets_waiting_bytes",
    "retained messages.count": "retained",
    "subscriptions.count": "subscriptions",
    "shared_subscriptions.count": "shared_subscriptions",
}
# Topic below `$SYS/broker/load/` and the counter whose growth per minute it averages.
LOADS = {
    "messages.received": "packets_received",
    "messages.sent": "packets_sent",
    "publish.received": "publish_received",
    "publish.sent": "publish_sent",
    "publish.dropped": "publish_dropped",
    "bytes.received": "bytes_received",
    "bytes.sent": "bytes_sent",
    "sockets": "sockets_opened",
    "connections": "connections_opened",
}
SPANS = {"1min": 1, "5min": 5, "15min": 15}

Figures = Callable[[], Mapping[str, int]]


class Load:
    """A counter's growth per minute, averaged over one, five and fifteen minutes; newer growth weighs more."""

    __slots__ = ("averages", "last", "looked_at_ms")

    def __init__(self, now_ms: int) -> None:
        self.last = 0
        self.looked_at_ms = now_ms
        self.averages = dict.fromkeys(SPANS, 0.0)

    def look(self, count: int, now_ms: int) -> None:
        """The counter stands at `count` now."""
        elapsed_s = (now_ms - self.looked_at_ms) / 1000
        if elapsed_s <= 0:
            return
        per_minute = (count - self.last) * MINUTE_S / elapsed_s
        for span, minutes in SPANS.items():
            kept = math.exp(-elapsed_s / (minutes * MINUTE_S))
            self.averages[span] = per_minute + kept * (self.averages[span] - per_minute)
        self.last, self.looked_at_ms = count, now_ms


class SysTopics:
    """Of the whole broker: every vhost's `$SYS` tells the same."""

    def __init__(self, broker: Broker, clock: Any, figures: Figures, *, version: str, interval_s: int) -> None:
        """`figures`: by the names in COUNTS and LOADS. `interval_s`: how often changes are published; 0: never."""
        self.broker = broker
        self.clock = clock
        self.figures = figures
        self.version = version
        self.interval_s = interval_s
        self.started_ms = clock.now_ms
        self.loads = {name: Load(clock.now_ms) for name in LOADS}
        self.published: dict[bytes, bytes] = {}
        self.timer: Any = None

    # ── values ────────────────────────────────────────────────────────────────────────────────────────────────────

    def values(self) -> dict[bytes, bytes]:
        """What is true now, by topic in routing-key form."""
        figures = self.figures()
        now_ms = self.clock.now_ms
        values = {
            "version": f"hubbub version {self.version}",
            "uptime": f"{(now_ms - self.started_ms) // 1000} seconds",
        }
        values.update((topic, str(figures[name])) for topic, name in COUNTS.items())
        for topic, name in LOADS.items():
            self.loads[topic].look(figures[name], now_ms)
            for span, average in self.loads[topic].averages.items():
                values[f"load.{topic}.{span}"] = f"{average:.2f}"
        return {(PREFIX + topic).encode(): value.encode() for topic, value in values.items()}

    # ── subscribers ───────────────────────────────────────────────────────────────────────────────────────────────

    def matches(self, topic_filter: bytes) -> list[Retained]:
        """What a new subscriber of a filter (binding-key form) gets at once: current values, as if retained."""
        if not self.interval_s or topic_filter.partition(b".")[0] != FIRST_WORD:  # [MQTT-4.7.2-1]
            return []
        tree = TopicTree()
        for topic, value in self.values().items():
            tree.set(topic, value_message(topic, value))
        self.watch()
        return [retained_as(message) for message in tree.matches(topic_filter)]

    def watch(self) -> None:
        """Look again when the interval is over."""
        if self.timer is None:
            self.timer = self.clock.call_at(self.clock.now_ms + self.interval_s * 1000, self.on_interval)

    def on_interval(self) -> None:
        """Publish what has changed, where anybody is subscribed; nobody anywhere: rest until somebody comes."""
        self.timer = None
        exchanges = [exchange_of(vhost) for vhost in self.broker.vhosts.values()]
        listening = [exchange for exchange in exchanges if exchange.trie.has_first_word(FIRST_WORD)]
        if not listening:
            self.published.clear()
            return
        values = self.values()
        for topic, value in values.items():
            if self.published.get(topic) != value:
                for exchange in listening:
                    publish_named(exchange, value_message(topic, value))
        self.published = values
        self.watch()


def exchange_of(vhost: VirtualHost) -> TopicExchange:
    """Where a vhost's subscriptions are bound."""
    return cast("TopicExchange", vhost.exchange("amq.topic"))


def value_message(topic: bytes, value: bytes) -> Message:
    """One value as a message of QoS 0."""
    return Message(b"amq.topic", topic, NO_PROPERTIES, value)


def may_publish(topic: bytes) -> bool:
    """Whether a client may publish to a topic (either form): not to the broker's own."""
    return not (topic.startswith(FIRST_WORD) and topic[len(FIRST_WORD) : len(FIRST_WORD) + 1] in (b"", b".", b"/"))
