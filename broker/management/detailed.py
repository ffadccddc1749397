"""Prometheus: figures of single objects, in RabbitMQ's families (`rabbitmq_prometheus`, /metrics/detailed).

Owns which metrics a family has, by RabbitMQ's names and labels, and the text of their lines. What the broker does not
count (reductions, messages in RAM, …) has no line, rather than a wrong one.

Invariants: of each kind of object at most `objects_max` are shown, in the order in which the broker has them, and how
many were left out is said by a comment and by `hubbub_scrape_truncated`; the lines are made in slices, so that no
scrape stops the messages.

Deviation: connections and channels are named (`connection`, `channel`), where RabbitMQ gives Erlang process numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from broker.core.totals import QueueTotals
from broker.management import views
from broker.management.listing import every
from broker.management.observed import ObservedServer
from broker.management.slices import Pace

GAUGE, COUNTER = "gauge", "counter"


class Row(NamedTuple):
    """One metric of a family."""

    name: str
    kind: str
    text: str
    value: str | Callable[[Any], float]
    """A word of the object's `counts`, or what reads the object."""


class Family(NamedTuple):
    """Metrics that are asked for together. `of`: a key of OBJECTS."""

    of: str
    rows: tuple[Row, ...]
    prefix: str = ""
    """Instead of the page's own."""


class Page(NamedTuple):
    """What is asked for."""

    prefix: str
    families: tuple[str, ...]
    objects_max: int
    vhosts: frozenset[str] | None = None
    """None: all."""
    chosen: frozenset[tuple[str, str]] | None = None
    """Queues, by vhost and name; None: all."""


CLUSTER = "rabbitmq_cluster_"
CONSUMERS = Row("queue_consumers", GAUGE, "Consumers on a queue", lambda queue: queue.consumers.count)
READY, UNACKED = (
    "Messages ready to be delivered to consumers",
    "Messages delivered to consumers but not yet acknowledged",
)
FETCHED, MANUAL, AUTOMATIC = (
    "messages fetched from a queue",
    "manual acknowledgement mode",
    "automatic acknowledgement mode",
)


def capacity(queue: Any) -> float:
    """1 while there are consumers and nothing waits for them: this moment's, where RabbitMQ has the share of time."""
    return float(queue.consumers.count != 0 and queue.ready_count == 0)


FAMILIES: dict[str, Family] = {
    "queue_coarse_metrics": Family("queue", (
        Row("queue_messages_ready", GAUGE, READY, lambda queue: queue.ready_count),
        Row("queue_messages_unacked", GAUGE, UNACKED, lambda queue: queue.unacked_count),
        Row("queue_messages", GAUGE, "Sum of ready and unacknowledged messages - total queue depth",
            lambda queue: queue.ready_count + queue.unacked_count),
    )),
    "queue_consumer_count": Family("queue", (CONSUMERS,)),
    "queue_metrics": Family("queue", (
        CONSUMERS,
        Row("queue_consumer_capacity", GAUGE, "Consumer capacity", capacity),
        Row("queue_consumer_utilisation", GAUGE, "Same as consumer capacity", capacity),
        Row("queue_process_memory_bytes", GAUGE, "Memory in bytes used by the Erlang queue process",
            lambda queue: queue.memory_bytes),
        Row("queue_messages_ram", GAUGE, "Ready and unacknowledged messages stored in memory",
            lambda queue: QueueTotals((queue,)).ready_in_memory + queue.unacked_count),
        Row("queue_messages_ram_bytes", GAUGE, "Size of ready and unacknowledged messages stored in memory",
            lambda queue: queue.memory_bytes + queue.unacked_bytes),
        Row("queue_messages_ready_ram", GAUGE, "Ready messages stored in memory",
            lambda queue: QueueTotals((queue,)).ready_in_memory),
        Row("queue_messages_unacked_ram", GAUGE, "Unacknowledged messages stored in memory",
            lambda queue: queue.unacked_count),
        Row("queue_messages_bytes", GAUGE, "Size in bytes of ready and unacknowledged messages",
            lambda queue: queue.ready_bytes + queue.unacked_bytes),
        Row("queue_messages_ready_bytes", GAUGE, "Size in bytes of ready messages", lambda queue: queue.ready_bytes),
        Row("queue_messages_unacked_bytes", GAUGE, "Size in bytes of all unacknowledged messages",
            lambda queue: queue.unacked_bytes),
        Row("queue_messages_paged_out", GAUGE, "Messages paged out to disk",
            lambda queue: queue.ready_count - QueueTotals((queue,)).ready_in_memory),
        Row("queue_messages_paged_out_bytes", GAUGE, "Size in bytes of messages paged out to disk",
            lambda queue: QueueTotals((queue,)).paged_out_bytes),
    )),
    "queue_delivery_metrics": Family("queue", (
        Row("queue_get_ack_total", COUNTER, f"Total number of {FETCHED} with basic.get in {MANUAL}", "got"),
        Row("queue_get_total", COUNTER, f"Total number of {FETCHED} with basic.get in {AUTOMATIC}", "got_no_ack"),
        Row("queue_messages_delivered_ack_total", COUNTER,
            f"Total number of messages delivered from a queue to consumers in {MANUAL}", "delivered"),
        Row("queue_messages_delivered_total", COUNTER,
            f"Total number of messages delivered from a queue to consumers in {AUTOMATIC}", "delivered_no_ack"),
        Row("queue_messages_redelivered_total", COUNTER,
            "Total number of messages redelivered from a queue to consumers", "redelivered"),
        Row("queue_messages_acked_total", COUNTER,
            "Total number of messages acknowledged by consumers on a queue", "acknowledged"),
        Row("queue_get_empty_total", COUNTER,
            "Total number of times basic.get operations fetched no message on a queue", "get_empty"),
    )),
    "channel_queue_exchange_metrics": Family("queue", (
        Row("queue_messages_published_total", COUNTER, "Total number of messages published to queues", "accepted"),
    )),
    "exchange_metrics": Family("exchange", (
        Row("exchange_messages_published_total", COUNTER, "Total number of messages published into an exchange",
            "published"),
        Row("exchange_messages_unroutable_returned_total", COUNTER, "Total number of messages published as mandatory "
            "into an exchange and returned to the publisher as unroutable", "returned"),
        Row("exchange_messages_unroutable_dropped_total", COUNTER, "Total number of messages published as "
            "non-mandatory into an exchange and dropped as unroutable",
            lambda exchange: exchange.counts["unroutable"] - exchange.counts["returned"]),
    )),
    "connection_coarse_metrics": Family("connection", (
        Row("connection_incoming_bytes_total", COUNTER, "Total number of bytes received on a connection",
            lambda connection: connection.output.bytes_received),
        Row("connection_outgoing_bytes_total", COUNTER, "Total number of bytes sent on a connection",
            lambda connection: connection.output.bytes_sent),
    )),
    "connection_metrics": Family("connection", (
        Row("connection_incoming_packets_total", COUNTER, "Total number of packets received on a connection",
            lambda connection: getattr(connection, "frames_received", 0)),
        Row("connection_channels", GAUGE, "Channels on a connection",
            lambda connection: len(getattr(connection, "channels", ()))),
    )),
    "channel_metrics": Family("channel", (
        Row("channel_consumers", GAUGE, "Consumers on a channel", lambda channel: len(channel.consumers)),
        Row("channel_messages_unacked", GAUGE, "Delivered but not yet acknowledged messages",
            lambda channel: channel.unacked_count),
        Row("channel_messages_unconfirmed", GAUGE, "Published but not yet confirmed messages",
            lambda channel: channel.published - channel.accepted_up_to if channel.confirms else 0),
        Row("channel_messages_uncommitted", GAUGE, "Messages received in a transaction but not yet committed",
            lambda channel: len(channel.transaction.publishes) if channel.transaction is not None else 0),
        Row("channel_acks_uncommitted", GAUGE, "Message acknowledgements in a transaction not yet committed",
            lambda channel: len(channel.transaction.settlements) if channel.transaction is not None else 0),
        Row("consumer_prefetch", GAUGE, "Limit of unacknowledged messages for each consumer",
            lambda channel: channel.consumer_prefetch_count),
        Row("channel_prefetch", GAUGE, "Total limit of unacknowledged messages for all consumers on a channel",
            lambda channel: channel.prefetch_count),
    )),
    "channel_exchange_metrics": Family("channel", (
        Row("channel_messages_published_total", COUNTER, "Total number of messages published into an "
            "exchange on a channel",
            lambda channel: channel.messages_published),
        Row("channel_messages_confirmed_total", COUNTER, "Total number of messages published into an "
            "exchange and confirmed on the channel",
            lambda channel: channel.accepted_up_to if channel.confirms else 0),
    )),
    "auth_attempt_detailed_metrics": Family("attempt", tuple(
        Row(f"auth_attempts_detailed{word}_total", COUNTER,
            f"Total number of {text}authorization attempts with source info", f"auth_attempts{word}")
        for word, text in (("", ""), ("_succeeded", "successful "), ("_failed", "failed "))
    )),
    "queue_info": Family("queue_info", (
        Row("queue_info", GAUGE, "A metric with a constant '1' value and labels that provide some queue details",
            lambda queue: 1),
    )),
    "vhost_status": Family("vhost", (
        Row("vhost_status", GAUGE, "Whether a given vhost is running", lambda vhost: 1),
    ), CLUSTER),
    "exchange_bindings": Family("exchange_type", (
        Row("exchange_bindings", GAUGE, "Number of bindings for an exchange. This value is cluster-wide.",
            lambda exchange: len(exchange.bindings)),
    ), CLUSTER),
    "exchange_names": Family("exchange_type", (
        Row("exchange_name", GAUGE, "Enumerates exchanges without any additional info. This value is cluster-wide. "
            "A cheaper alternative to `exchange_bindings`", lambda exchange: 1),
    ), CLUSTER),
    "hubbub_queue_messages": Family("queue_event", (
        Row("hubbub_queue_messages_total", COUNTER, "Messages of a queue by what happened.", lambda pair: pair[1]),
    )),
}  # fmt: skip
WITH_QUEUE_INFO = {"queue_coarse_metrics", "queue_consumer_count", "queue_metrics"}
PER_OBJECT_FAMILIES = tuple(name for name, family in FAMILIES.items() if not family.prefix)
"""What /metrics/per-object shows."""


def escaped(text: str) -> str:
    """A label's value (Prometheus, text format 0.0.4)."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def queues(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and a queue."""
    for vhost, queue in every(server, "queues"):
        if page.vhosts is not None and vhost.name not in page.vhosts:
            continue
        if page.chosen is None or (vhost.name, queue.name) in page.chosen:
            yield f'vhost="{escaped(vhost.name)}",queue="{escaped(queue.name)}"', queue


def queues_with_type(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """… and what type it is."""
    for labels, queue in queues(server, page):
        yield f'{labels},queue_type="rabbit_{queue.settings.queue_type}_queue",membership="leader"', queue


def exchanges(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and an exchange."""
    for vhost, exchange in every(server, "exchanges"):
        if page.vhosts is None or vhost.name in page.vhosts:
            yield f'vhost="{escaped(vhost.name)}",exchange="{escaped(exchange.name)}"', exchange


def exchanges_with_type(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """… and its type."""
    for labels, exchange in exchanges(server, page):
        yield f'{labels},type="{escaped(exchange.type)}"', exchange


def connections(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and a connection."""
    for each in server.connections():
        if page.vhosts is None or views.vhost_name(each) in page.vhosts:
            yield f'connection="{escaped(views.connection_name(each))}"', each


def channels(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and a channel."""
    for _, connection in connections(server, page):
        for each in list(getattr(connection, "channels", {}).values()):
            yield f'channel="{escaped(views.channel_name(each))}"', each


def vhosts(server: ObservedServer, page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and a vhost."""
    for each in list(server.broker.vhosts.values()):
        if page.vhosts is None or each.name in page.vhosts:
            yield f'vhost="{escaped(each.name)}"', each


def attempts(server: ObservedServer, _page: Page) -> Iterator[tuple[str, Any]]:
    """Labels, and who tried to log in, from where."""
    for row in list(server.attempts.sources()):
        labels = ",".join(f'{name}="{escaped(str(row[name]))}"' for name in ("remote_address", "username", "protocol"))
        yield labels, Counted(row)


class Counted(NamedTuple):
    """What has counts by name."""

    counts: dict[str, Any]


OBJECTS: dict[str, Callable[[ObservedServer, Page], Iterator[tuple[str, Any]]]] = {
    "attempt": attempts,
    "queue": queues,
    "queue_info": queues_with_type,
    "queue_event": queues,
    "exchange": exchanges,
    "exchange_type": exchanges_with_type,
    "connection": connections,
    "channel": channels,
    "vhost": vhosts,
}
COUNTED_AS = {"queue_info": "queue", "queue_event": "queue", "exchange_type": "exchange"}


async def detailed(server: ObservedServer, page: Page) -> str:
    """The lines of the page's families. A family that there is not is named in a comment."""
    lines: list[str] = []
    left_out: dict[str, int] = {}
    rows: dict[str, dict[str, Row]] = {}
    for name in dict.fromkeys(page.families):
        family = FAMILIES.get(name)
        if family is None:
            lines.append(f"# there is no family '{comment(name)}' here")
            continue
        of_kind = rows.setdefault(family.of, {})
        for row in family.rows:
            of_kind.setdefault(full_name(page, family, row), row)
    for kind, of_kind in rows.items():
        lines += await of_objects(server, page, kind, of_kind, left_out)
    lines.append("# HELP hubbub_scrape_truncated Objects that this page leaves out because there are too many.")
    lines.append("# TYPE hubbub_scrape_truncated gauge")
    for kind in sorted(left_out):
        lines.append(f'hubbub_scrape_truncated{{kind="{kind}"}} {left_out[kind]}')
        if left_out[kind]:
            lines.append(f"# truncated: {left_out[kind]} more of kind {kind}; narrow it: ?vhost= and ?queue=")
    return "\n".join(lines) + "\n"


async def of_objects(
    server: ObservedServer, page: Page, kind: str, rows: dict[str, Row], left_out: dict[str, int]
) -> list[str]:
    """The lines of one kind of object; `left_out` counts, by kind, those above the bound."""
    made: dict[str, list[str]] = {name: [] for name in rows}
    seen = 0
    pace = Pace()
    for labels, each in OBJECTS[kind](server, page):
        seen += 1
        await pace.keep()
        if seen > page.objects_max:
            continue
        counts = each.counts if any(isinstance(row.value, str) for row in rows.values()) else {}
        if kind == "queue_event":
            (lines,) = made.values()
            (name,) = made
            lines += [f'{name}{{{labels},event="{word}"}} {count}' for word, count in each.counts.items()]
            continue
        for name, row in rows.items():
            value = counts[row.value] if isinstance(row.value, str) else row.value(each)
            made[name].append(f"{name}{{{labels}}} {value}")
    counted = COUNTED_AS.get(kind, kind)
    left_out[counted] = max(left_out.get(counted, 0), seen - page.objects_max)
    return [line for name, row in rows.items() for line in headed(name, row, made[name])]


def headed(name: str, row: Row, lines: Iterable[str]) -> Iterator[str]:
    """A metric's lines under its head."""
    yield f"# HELP {name} {row.text}"
    yield f"# TYPE {name} {row.kind}"
    yield from lines


def full_name(page: Page, family: Family, row: Row) -> str:
    """With its prefix; what is ours has it already."""
    return row.name if row.name.startswith("hubbub_") else (family.prefix or page.prefix) + row.name


def comment(text: str) -> str:
    """As a comment can hold it."""
    return re.sub(r"[^\w.-]", "?", text)[:64]
