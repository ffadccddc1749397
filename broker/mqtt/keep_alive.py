# cython: annotation_typing=False
"""Peers that fall silent are gone (MQTT 5 §3.1.2.10): after one and a half times their keep-alive, or before CONNECT.

One timer serves all connections: a wheel with a place per second. A connection is looked at when its time may be up,
which costs nothing while it idles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.core.clock import Clock
    from broker.mqtt.connection import MqttConnection

PLACES = 128
TICK_MS = 1000


class KeepAlives:
    """The connections that must be heard."""

    def __init__(self, clock: Clock, on_silent: Callable[[MqttConnection], None], handshake_timeout_ms: int) -> None:
        """`on_silent(connection)`: nothing came for too long. `clock`: core.clock.Clock."""
        self.clock = clock
        self.on_silent = on_silent
        self.handshake_timeout_ms = handshake_timeout_ms
        self.wheel: list[dict[MqttConnection, None]] = [{} for _ in range(PLACES)]
        self.place_of: dict[MqttConnection, int] = {}
        self.turn = 0
        self.timer: Any = None

    def deadline_ms(self, connection: MqttConnection) -> int:
        """When the peer will have been silent for too long; 0: never."""
        if connection.session is None:
            return connection.connected_ms + self.handshake_timeout_ms
        if not connection.keep_alive_s:
            return 0
        heard_ms = self.clock.now_ms if connection.is_resting else connection.received_ms  # resting, it cannot be heard
        return heard_ms + connection.keep_alive_s * 1500

    def watch(self, connection: MqttConnection) -> None:
        """Look at it when its time may be up; again, where its keep-alive has changed."""
        self.forget(connection)
        due_ms = self.deadline_ms(connection)
        if due_ms == 0:
            return
        ticks = min(max(1, -(-(due_ms - self.clock.now_ms) // TICK_MS)), PLACES - 1)
        place = (self.turn + ticks) % PLACES
        self.wheel[place][connection] = None
        self.place_of[connection] = place
        if self.timer is None:
            self.timer = self.clock.call_at(self.clock.now_ms + TICK_MS, self.on_tick)

    def hasten(self, connection: MqttConnection) -> None:
        """Its keep-alive is known. Where that is up later than the handshake's time, the look at that time will do."""
        due_ms = self.deadline_ms(connection)
        if due_ms and due_ms < connection.connected_ms + self.handshake_timeout_ms:
            self.watch(connection)

    def forget(self, connection: MqttConnection) -> None:
        """The connection ends."""
        place = self.place_of.pop(connection, None)
        if place is not None:
            del self.wheel[place][connection]

    def on_tick(self) -> None:
        """A second has passed."""
        self.turn = (self.turn + 1) % PLACES
        due, self.wheel[self.turn] = self.wheel[self.turn], {}
        for connection in due:
            self.place_of.pop(connection, None)
        self.timer = None
        for connection in due:
            due_ms = self.deadline_ms(connection)
            if due_ms and due_ms <= self.clock.now_ms:
                self.on_silent(connection)
            else:
                self.watch(connection)
        if self.timer is None and self.place_of:
            self.timer = self.clock.call_at(self.clock.now_ms + TICK_MS, self.on_tick)
