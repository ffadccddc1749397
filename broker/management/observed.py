"""What management is allowed to see of the broker.

Owns the list of names that management reads; the composition root provides them. Nothing here is ever written to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class ObservedQueue(Protocol):
    """A core queue, read only."""

    name: str
    durable: bool
    auto_delete: bool
    exclusive_owner: object
    arguments: Mapping[str, Any]
    ready_count: int
    unacked_count: int
    consumers: Iterable[Any]

    @property
    def counts(self) -> Mapping[str, int]:
        """The ledger, and `unaccounted`."""


class ObservedVhost(Protocol):
    """A vhost, read only."""

    name: str
    queues: Mapping[str, ObservedQueue]
    exchanges: Mapping[str, Any]


class ObservedBroker(Protocol):
    """The core, read only but for authentication."""

    vhosts: Mapping[str, ObservedVhost]
    access: Any
    alarms: Mapping[str, str]
    queues_declared: int
    queues_deleted: int
    deleted_counts: Mapping[str, int]


class ObservedServer(Protocol):
    """Everything: what `broker.server.Server` provides."""

    broker: ObservedBroker
    store: Any
    turn: Any
    started_at: float
    durability: str
    listeners: Iterable[Any]

    def connections(self) -> list[Any]:
        """The open connections."""

    @property
    def edge_counts(self) -> Mapping[str, int]:
        """Counters of the edge by name: accepted, refused, accept_pauses."""
