"""What all AMQP connections of a broker share: what they negotiate with, counts, heartbeats, exclusive queues."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from broker.amqp.ack_timeouts import AckTimeouts
from broker.amqp.heartbeat import Heartbeats

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.amqp.connection import AmqpConnection


class Endpoint:
    """One per broker; listeners make connections with it."""

    def __init__(
        self,
        clock: Any,
        limits: Any,
        *,
        frame_max: int,
        channel_max: int,
        heartbeat_s: int,
        anonymous_user: str = "",
        consumer_timeout_ms: int = 0,
    ) -> None:
        """`frame_max` (bytes), `heartbeat_s`: what connection.tune proposes; `anonymous_user`: "" for none.

        `consumer_timeout_ms`: how long a client may hold a delivery; 0: as long as it wants.
        """
        self.frame_max = frame_max
        self.channel_max = channel_max
        self.heartbeat_s = heartbeat_s
        self.anonymous_user = anonymous_user
        self.use_limits(limits)
        self.connections: set[AmqpConnection] = set()
        self.exclusive_queues: defaultdict[AmqpConnection, set[Any]] = defaultdict(set)
        self.heartbeats = Heartbeats(clock)
        self.ack_timeouts = AckTimeouts(clock, self.connections, consumer_timeout_ms)
        self.connections_opened = 0
        self.connections_closed = 0
        self.connections_failed = 0
        self.channels_opened = 0
        self.channels_closed = 0
        self.channels_failed = 0
        self.ended_to_confirm = 0
        self.ended_confirmed = 0
        self.ended_confirmed_in: dict[str, int] = {}
        self.logins_refused = 0
        self.handshakes_timed_out = 0
        self.protocol_headers_refused = 0

    def use_limits(self, limits: Any) -> None:
        """Those of connections that come from now on. `limits`: limits.Limits."""
        self.handshake_timeout_ms: int = limits.handshake_timeout_ms
        self.message_bytes_max: int = limits.message_bytes_max
        self.unacked_per_channel_max: int = limits.unacked_per_channel_max
        self.consumers_per_channel_max: int = limits.consumers_per_channel_max
        self.transaction_operations_max: int = limits.transaction_operations_max
        self.transaction_bytes_max: int = limits.transaction_bytes_max
        self.begun_bytes_max: int = limits.begun_bytes_per_connection_max
        self.open_batch_bytes_max: int = limits.open_batch_bytes_max

    def on_channel_ended(self, channel: Channel) -> None:
        """Count it, and keep what it counted."""
        self.channels_closed += 1
        if channel.confirms:
            self.ended_to_confirm += channel.published
            self.ended_confirmed += channel.accepted_up_to
            vhost = channel.vhost.name
            self.ended_confirmed_in[vhost] = self.ended_confirmed_in.get(vhost, 0) + channel.accepted_up_to

    def consumer_timeout_of(self, queue: Any) -> int:
        """How long a client may hold a delivery of a queue, in milliseconds; 0: for ever."""
        own_ms: int | None = queue.settings.consumer_timeout_ms
        return self.ack_timeouts.timeout_ms if own_ms is None else own_ms

    @property
    def consumer_timeouts(self) -> int:
        """Channels that were closed because their client held a delivery for too long."""
        return self.ack_timeouts.timed_out

    def confirmed_in(self, vhost: str) -> int:
        """Messages of a vhost that were confirmed to their publishers (acknowledged or refused)."""
        confirmed = self.ended_confirmed_in.get(vhost, 0)
        for connection in self.connections:
            for channel in connection.channels.values():
                if channel.confirms and channel.vhost.name == vhost:
                    confirmed += channel.accepted_up_to
        return confirmed

    @property
    def confirm_counts(self) -> dict[str, int]:
        """Messages on channels with publisher confirms: `received`, and `confirmed` (acknowledged or refused)."""
        received, confirmed = self.ended_to_confirm, self.ended_confirmed
        for connection in self.connections:
            for channel in connection.channels.values():
                if channel.confirms:
                    received += channel.published
                    confirmed += channel.accepted_up_to
        return {"received": received, "confirmed": confirmed}
