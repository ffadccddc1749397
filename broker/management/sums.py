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
    exchanges: Mapping[str, int]
    """Published, routed, unroutable, returned: of all exchanges, deleted ones included."""


def sums_of(server: ObservedServer) -> Sums:
    """Now."""
    now = server.broker.queue_totals()
    ledger = dict(server.broker.deleted_counts)
    for word, count in now.counts.items():
        ledger[word] = ledger.get(word, 0) + count
    return Sums(now, ledger, server.broker.exchange_counts())
