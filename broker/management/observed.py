"""What management is allowed to see of the broker.

Owns the list of names that management reads; the composition root provides them. Nothing here is ever written to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sized
from typing import Any, Protocol


class ObservedQueue(Protocol):
    """A core queue, read only."""

    @property
    def name(self) -> str:
        """Unique in its vhost."""

    @property
    def durable(self) -> bool:
        """As declared."""

    @property
    def auto_delete(self) -> bool:
        """As declared."""

    @property
    def exclusive_owner(self) -> object:
        """The connection that declared it exclusive, or None."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """As declared."""

    @property
    def ready_count(self) -> int:
        """Messages that wait for a consumer."""

    @property
    def unacked_count(self) -> int:
        """Messages delivered and not yet settled."""

    @property
    def consumers(self) -> Sized:
        """Who consumes."""

    @property
    def counts(self) -> Mapping[str, int]:
        """The ledger, and `unaccounted`."""


class ObservedVhost(Protocol):
    """A vhost, read only."""

    @property
    def name(self) -> str:
        """Unique."""

    @property
    def queues(self) -> Mapping[str, Any]:
        """ObservedQueue by name."""

    @property
    def exchanges(self) -> Mapping[str, Any]:
        """By name."""


class ObservedBroker(Protocol):
    """The core, read only but for authentication."""

    @property
    def vhosts(self) -> Mapping[str, Any]:
        """ObservedVhost by name."""

    @property
    def access(self) -> Any:
        """core.access.Access."""

    @property
    def alarms(self) -> Mapping[str, str]:
        """Why publishers wait, by name; empty where they need not."""

    @property
    def queues_declared(self) -> int:
        """Since the start."""

    @property
    def queues_deleted(self) -> int:
        """Since the start."""

    def exchange_counts(self) -> Mapping[str, int]:
        """What was published, routed, unroutable and returned."""

    @property
    def deleted_counts(self) -> Mapping[str, int]:
        """The ledgers of deleted queues, in one sum."""


class ObservedServer(Protocol):
    """Everything: what `broker.server.Server` provides."""

    @property
    def broker(self) -> ObservedBroker:
        """The core."""

    @property
    def store(self) -> Any:
        """storage.interface.Store."""

    @property
    def turn(self) -> Any:
        """net.turn.Turn."""

    @property
    def started_at(self) -> float:
        """Seconds since 1970."""

    @property
    def durability(self) -> str:
        """`fsync`, or `interval (N ms)`."""

    @property
    def listeners(self) -> Iterable[Any]:
        """What is listened on: name, address, port."""

    @property
    def edge_counts(self) -> Mapping[str, int]:
        """Counters of the edge by name: accepted, refused, accept_pauses."""

    def connections(self) -> list[Any]:
        """The open connections."""

    @property
    def websockets(self) -> Any:
        """websocket.endpoint.WebSocketEndpoint: its counts."""

    @property
    def websocket_paths(self) -> Iterable[str]:
        """What is served over WebSocket on the HTTP port, too."""

    def adopt_websocket(self, transport: Any, head: bytes) -> Awaitable[None]:
        """Take a connection over, with the request that it began with; returns when it is lost."""
