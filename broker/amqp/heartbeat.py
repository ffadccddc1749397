# cython: annotation_typing=False
"""Heartbeats both ways (AMQP 0-9-1 §4.2.7): a peer that is silent for two intervals is gone; we never are for one.

One timer serves all connections: a wheel with a place per half second. A connection is looked at every half interval,
which costs nothing while it idles.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
PLACES = 128
TICK_MS = 500

log = logging.getLogger("hubbub.amqp")


class Heartbeats:
    """The connections that negotiated a heartbeat."""

    def __init__(self, clock: Any) -> None:
        """`clock`: core.clock.Clock."""
        self.clock = clock
        self.wheel: list[dict[AmqpConnection, int]] = [{} for _ in range(PLACES)]
        self.watched: dict[AmqpConnection, int] = {}
        self.turn = 0
        self.timer: Any = None
        self.timed_out = 0

    def watch(self, connection: AmqpConnection) -> None:
        """From now on the peer must be heard, and hears us."""
        self.put(connection)
        if self.timer is None:
            self.timer = self.clock.call_at(self.clock.now_ms + TICK_MS, self.on_tick)

    def forget(self, connection: AmqpConnection) -> None:
        """The connection ends."""
        place = self.watched.pop(connection, -1)
        if place >= 0:
            self.wheel[place].pop(connection, None)

    def put(self, connection: AmqpConnection) -> None:
        """Look at it again in half an interval, at most a round of the wheel from now."""
        ticks = min(connection.heartbeat_s * 1000 // 2 // TICK_MS, PLACES - 1)
        place = (self.turn + max(1, ticks)) % PLACES
        self.wheel[place][connection] = 1
        self.watched[connection] = place

    def on_tick(self) -> None:
        """Look at those whose turn it is."""
        self.timer = None
        self.turn = (self.turn + 1) % PLACES
        due, self.wheel[self.turn] = self.wheel[self.turn], {}
        for connection in due:
            self.look_at(connection)
        if self.watched:
            self.timer = self.clock.call_at(self.clock.now_ms + TICK_MS, self.on_tick)

    def look_at(self, connection: AmqpConnection) -> None:
        """Silent for two intervals: gone. Otherwise: say something if we have said nothing else since the last look."""
        interval_ms = connection.heartbeat_s * 1000
        if self.clock.now_ms - connection.received_ms >= 2 * interval_ms and not connection.is_resting:
            self.timed_out += 1
            log.warning("%s: missed heartbeats, timeout: %ds", connection.peer, connection.heartbeat_s)
            self.watched.pop(connection, None)
            connection.abort("missed heartbeats")
            return
        silent = connection.bytes_sent == connection.sent_at_beat
        connection.sent_at_beat = connection.bytes_sent
        if silent:
            connection.write(HEARTBEAT)
            connection.sent_at_beat += len(HEARTBEAT)  # a beat is no reason to skip the next one
        self.put(connection)
