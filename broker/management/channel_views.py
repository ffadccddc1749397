"""Channels as JSON, in RabbitMQ's shape: who publishes to what, and who is given what.

Owns the lists `publishes`, `deliveries` and `incoming` of channels, queues and exchanges. What is counted, each channel
counts for itself (`tally`): so the rows of a queue or an exchange are those of the channels that are open now, and
dialects without channels have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from broker.management import views
from broker.management.rates import AskedRates

CHANNELS_PER_SLICE = 2000
GET = ("deliver", "deliver_no_ack", "get", "get_no_ack")
"""What RabbitMQ sums up as `deliver_get`."""

Row = dict[str, Any]


def deliver_stats(counts: Mapping[str, int]) -> dict[str, int]:
    """What was delivered, with the sum that RabbitMQ has of it."""
    return {**counts, "deliver_get": sum(counts[word] for word in GET)}


def channel_stats(each: Any, deliveries: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """A channel's `message_stats`. `deliveries`: by queue."""
    sums = dict.fromkeys((*GET, "get_empty", "redeliver", "ack"), 0)
    for counts in deliveries:
        for word, count in counts.items():
            sums[word] += count
    return {
        "publish": each.messages_published,
        "confirm": each.accepted_up_to if each.confirms else 0,
        "return_unroutable": each.messages_returned,
        "drop_unroutable": each.messages_dropped,
        **deliver_stats(sums),
    }


def channel_key(each: Any) -> tuple[Any, ...]:
    """What stands for a channel in Rates."""
    return ("channel", each.connection.number, each.number)


def channel(each: Any, rates: AskedRates) -> dict[str, Any]:
    """One element of `GET /api/channels`."""
    parent, transaction, key = each.connection, each.transaction, channel_key(each)
    stats = channel_stats(each, each.tally.delivered_by(each).values())
    return {
        "name": views.channel_name(each),
        "number": each.number,
        "node": views.NODE,
        "vhost": each.vhost.name,
        "user": each.user.name,
        "user_who_performed_action": each.user.name,
        "connection_details": views.connection_details(parent),
        "state": "flow" if each.is_stopped else "running",
        "confirm": each.confirms,
        "transactional": transaction is not None,
        "consumer_count": len(each.consumers),
        "messages_unacknowledged": each.unacked_count,
        "messages_unconfirmed": each.published - each.accepted_up_to if each.confirms else 0,
        "messages_uncommitted": len(transaction.publishes) if transaction is not None else 0,
        "acks_uncommitted": len(transaction.settlements) if transaction is not None else 0,
        "pending_raft_commands": 0,
        "prefetch_count": each.consumer_prefetch_count,
        "global_prefetch_count": each.prefetch_count,
        "message_stats": rates.with_rates(key, stats),
        "idle_since": rates.idle_since(key),
    }


def details_of_channel(each: Any, rates: AskedRates) -> Row:
    """Whereto one channel publishes, and from which queues it is given messages."""
    vhost, key = each.vhost, channel_key(each)
    published = each.tally.published_by(each)
    deliveries = each.tally.delivered_by(each)
    return {
        "publishes": [
            {"exchange": named(vhost, name), "stats": rates.with_rates((*key, "exchange", name), counts)}
            for name, counts in published.items()
        ],
        "deliveries": [
            {"queue": named(vhost, name), "stats": rates.with_rates((*key, "queue", name), deliver_stats(counts))}
            for name, counts in deliveries.items()
        ],
    }


def named(vhost: Any, name: str) -> dict[str, str]:
    """How a row refers to an exchange or a queue."""
    return {"name": name, "vhost": vhost.name}


async def deliveries_of_queue(vhost: Any, name: str, connections: Iterable[Any], rates: AskedRates) -> list[Row]:
    """Which channels are given messages of a queue."""

    def counted(channel: Any) -> dict[str, int] | None:
        counts = channel.tally.delivered_by(channel).get(name) if channel.vhost is vhost else None
        return deliver_stats(counts) if counts else None

    return await rows_by_channel(connections, ("queue", name), counted, rates)


async def incoming_of_exchange(vhost: Any, name: str, connections: Iterable[Any], rates: AskedRates) -> list[Row]:
    """Which channels publish to an exchange."""

    def counted(channel: Any) -> dict[str, int] | None:
        counts: dict[str, int] | None = channel.tally.published_by(channel).get(name)
        return counts if channel.vhost is vhost else None

    return await rows_by_channel(connections, ("exchange", name), counted, rates)


async def rows_by_channel(
    connections: Iterable[Any],
    key: tuple[str, str],
    counted: Callable[[Any], dict[str, int] | None],
    rates: AskedRates,
) -> list[Row]:
    """The channels that have something to tell; in slices, so that no listing stops the messages."""
    rows = []
    for number, each in enumerate(channels(connections), 1):
        counts = counted(each)
        if counts is not None:
            stats = rates.with_rates((*channel_key(each), *key), counts)
            rows.append({"channel_details": views.channel_details(each), "stats": stats})
        if number % CHANNELS_PER_SLICE == 0:
            await asyncio.sleep(0)
    return rows


def channels(connections: Iterable[Any]) -> Iterator[Any]:
    """Of those dialects that have some. Safe while they come and go."""
    for connection in list(connections):
        yield from list(getattr(connection, "channels", {}).values())
