"""Sums over all queues and exchanges, made once per scrape.

Owns what is summed. The summing is the core's, in C (`core.totals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.management.observed import ObservedServer


class Sums(NamedTuple):
    """Of one moment."""

    queues: Any
    """core.totals.QueueTotals of the queues that there are."""
    ledger: Mapping[str, int]
    """Of all queues, deleted ones included; `unaccounted` among the words."""
    sessions: Mapping[str, int]
    """… of those, the queues of MQTT sessions and shared subscriptions."""
    exchanges: Mapping[str, int]
    """Published, routed, unroutable, returned: of all exchanges, deleted ones included."""


def sums_of(server: ObservedServer) -> Sums:
    """Now."""
    now = server.broker.queue_totals()
    ledger = added(server.broker.deleted_counts, now.counts)
    sessions = added(server.broker.deleted_session_counts, now.session_counts)
    return Sums(now, ledger, sessions, server.broker.exchange_counts())


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Word by word."""
    return {word: one.get(word, 0) + other.get(word, 0) for word in {**one, **other}}
