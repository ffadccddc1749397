"""Two protocols on one port: whoever begins with an HTTP request gets a WebSocket, everybody else what the port is for.

Owns the first octet of a connection. Refuses to know the other protocol; it must not begin with a G.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.websocket.connection import WebSocketConnection
from broker.websocket.endpoint import WebSocketEndpoint
from broker.wire.connection import Connection, PythonConnection


class Sniffer(PythonConnection):
    """A peer that has not yet said what it speaks. It hands over, and is gone."""

    timer: Any = None

    def __init__(self, endpoint: WebSocketEndpoint, make: Callable[[], Connection]) -> None:
        """`make` makes a connection of what else is spoken here."""
        self.endpoint = endpoint
        self.make = make

    def opened(self) -> None:
        """It has as long as for an upgrade."""
        self.endpoint.await_upgrade(self)

    def on_received(self, data: bytes) -> int:
        """The first octet says it all; it stays for the heir."""
        self.endpoint.forget(self)
        self.output.hand_over(WebSocketConnection(self.endpoint) if data[:1] == b"G" else self.make())
        return 0

    def cut(self, reason: str) -> None:
        """It had its time."""
        self.output.abort()

    def lost(self, reason: str) -> None:
        """It said nothing."""
        self.endpoint.forget(self)


def sniffing(endpoint: WebSocketEndpoint, make: Callable[[Any], Connection]) -> Callable[[Any], Connection]:
    """`make(listener)`, for a port that serves WebSockets as well."""
    return lambda listener: Sniffer(endpoint, lambda: make(listener))
