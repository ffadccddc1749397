"""The overview and the queues as JSON, in the shape that RabbitMQ's management API gives them.

Owns presentation: the core knows nothing of it. What RabbitMQ has no word for stands under `hubbub`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from broker.management.observed import ObservedQueue, ObservedServer, ObservedVhost
from broker.version import VERSION

NODE = "hubbub@localhost"

# RabbitMQ's names for sums of the ledger's (core.ledger). `redeliver` is a part of the deliveries, not one more kind.
MESSAGE_STATS = {
    "publish": ("accepted",),
    "deliver": ("delivered",),
    "deliver_no_ack": ("delivered_no_ack",),
    "get": ("got",),
    "get_no_ack": ("got_no_ack",),
    "get_empty": ("get_empty",),
    "deliver_get": ("delivered", "delivered_no_ack", "got", "got_no_ack"),
    "ack": ("acknowledged",),
    "redeliver": ("redelivered",),
}


def all_queues(server: ObservedServer) -> Iterator[tuple[ObservedVhost, ObservedQueue]]:
    """Every queue with its vhost."""
    for vhost in server.broker.vhosts.values():
        for queue in vhost.queues.values():
            yield vhost, queue


def totals(server: ObservedServer) -> dict[str, int]:
    """The ledgers of all queues, deleted ones included, in one sum; and what is ready and unacked now."""
    sums = dict(server.broker.deleted_counts)
    sums["ready"] = sums["unacked"] = 0
    for _, queue in all_queues(server):
        for word, count in queue.counts.items():
            sums[word] = sums.get(word, 0) + count
        sums["ready"] += queue.ready_count
        sums["unacked"] += queue.unacked_count
    return sums


def message_stats(counts: Mapping[str, int]) -> dict[str, int]:
    """A ledger in RabbitMQ's words."""
    return {name: sum(counts.get(word, 0) for word in words) for name, words in MESSAGE_STATS.items()}


def overview(server: ObservedServer) -> dict[str, Any]:
    """`GET /api/overview`."""
    counts = totals(server)
    connections = server.connections()
    queues = list(all_queues(server))
    return {
        "product_name": "Hubbub",
        "product_version": VERSION,
        "management_version": VERSION,
        "node": NODE,
        "cluster_name": NODE,
        "uptime": int((time.time() - server.started_at) * 1000),
        "object_totals": {
            "connections": len(connections),
            "channels": sum(len(getattr(connection, "channels", ())) for connection in connections),
            "exchanges": sum(len(vhost.exchanges) for vhost in server.broker.vhosts.values()),
            "queues": len(queues),
            "consumers": sum(len(queue.consumers) for _, queue in queues),
        },
        "queue_totals": {
            "messages": counts["ready"] + counts["unacked"],
            "messages_ready": counts["ready"],
            "messages_unacknowledged": counts["unacked"],
        },
        "message_stats": message_stats(counts),
        "churn_rates": {
            "queue_declared": server.broker.queues_declared,
            "queue_deleted": server.broker.queues_deleted,
            "connection_created": server.edge_counts["accepted"],
        },
        "listeners": [
            {"node": NODE, "protocol": each.name, "ip_address": each.address, "port": each.port}
            for each in server.listeners
        ],
        "hubbub": {
            "durability": server.durability,
            "alarms": dict(server.broker.alarms),
            "ledger": counts,
            "exchanges": server.broker.exchange_counts(),
            "store": server.store.statistics(),
            "edge": dict(server.edge_counts),
        },
    }


def queue(vhost: ObservedVhost, each: ObservedQueue) -> dict[str, Any]:
    """One element of `GET /api/queues`."""
    counts = each.counts
    return {
        "name": each.name,
        "vhost": vhost.name,
        "node": NODE,
        "type": each.arguments.get("x-queue-type", "classic"),
        "state": "running",
        "durable": each.durable,
        "auto_delete": each.auto_delete,
        "exclusive": each.exclusive_owner is not None,
        "arguments": {name: _plain(value) for name, value in each.arguments.items()},
        "messages": each.ready_count + each.unacked_count,
        "messages_ready": each.ready_count,
        "messages_unacknowledged": each.unacked_count,
        "consumers": len(each.consumers),
        "message_stats": message_stats(counts),
        "hubbub": {"ledger": dict(counts)},
    }


def _plain(value: object) -> object:
    """A field-table value as JSON can hold it."""
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
