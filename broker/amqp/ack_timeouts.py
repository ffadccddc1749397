"""Deliveries that a client holds too long: the channel is closed with 406, and what it held returns (RabbitMQ's
`consumer_timeout`).

A delivery carries no time. Every ten seconds each channel that holds some is given a mark, *what came up to this tag is
older than now*; so a delivery is found up to ten seconds late, and costs nothing before. A queue may have a timeout of
its own (`x-consumer-timeout`, or a policy).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.amqp.ending import fail_channel
from broker.amqp.translate import AmqpError

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.amqp.connection import AmqpConnection

INTERVAL_MS = 10_000
CHANNELS_AT_ONCE = 1_000
"""Looked at in one turn of the loop."""


class Mark(NamedTuple):
    """Every delivery up to the tag was made before then."""

    tag: int
    at_ms: int


class AckTimeouts:
    """Of one endpoint. `timed_out`: channels that were closed for it."""

    def __init__(self, clock: Any, connections: Iterable[AmqpConnection], timeout_ms: int) -> None:
        """`timeout_ms`: of queues that have none of their own; 0: none."""
        self.clock = clock
        self.connections = connections
        self.timeout_ms = timeout_ms
        self.timed_out = 0
        self.marks: dict[Channel, list[Mark]] = {}
        self.next_marks: dict[Channel, list[Mark]] = {}
        self.waiting: list[Channel] = []
        self.timer: Any = None

    def start(self) -> None:
        """There is a connection."""
        if self.timer is None:
            self.timer = self.clock.call_at(self.clock.now_ms + INTERVAL_MS, self.on_interval)

    def on_interval(self) -> None:
        """Look at every channel that holds something."""
        self.waiting = [
            channel
            for connection in self.connections
            for channel in connection.channels.values()
            if channel.unacked_count
        ]
        self.next_marks = {}
        self.go_on()

    def go_on(self) -> None:
        """A share of them; the rest in the next turn."""
        for _ in range(min(CHANNELS_AT_ONCE, len(self.waiting))):
            self.look_at(self.waiting.pop())
        if self.waiting:
            self.timer = self.clock.call_at(self.clock.now_ms + 1, self.go_on)
            return
        self.marks = self.next_marks
        self.timer = None
        if any(True for _ in self.connections):
            self.start()

    def look_at(self, channel: Channel) -> None:
        """Close it, or mark what it holds."""
        if not channel.unacked_count:
            return
        marks = self.marks.get(channel, [])
        timeout_ms = self.overdue(channel, marks)
        if timeout_ms:
            self.timed_out += 1
            text = (
                f"delivery acknowledgement on channel {channel.number} timed out. Timeout value used: {timeout_ms} ms. "
                "This timeout value can be configured, see consumers doc guide to learn more"
            )
            fail_channel(channel, AmqpError(406, text), None)
            return
        first = channel.unacked.first_unsettled
        kept = marks[bisect_left(marks, first, key=lambda mark: mark.tag) :]
        if not kept or kept[-1].tag < channel.last_delivery_tag:
            kept.append(Mark(channel.last_delivery_tag, self.clock.now_ms))
        self.next_marks[channel] = kept

    def overdue(self, channel: Channel, marks: list[Mark]) -> int:
        """The timeout in milliseconds that a delivery has passed; 0: none has."""
        if not marks:
            return 0
        for queue, tag in channel.unacked.oldest_by_queue(marks[-1].tag).items():
            own_ms = queue.settings.consumer_timeout_ms
            timeout_ms: int = self.timeout_ms if own_ms is None else own_ms
            mark = marks[bisect_left(marks, tag, key=lambda mark: mark.tag)]
            if timeout_ms and mark.at_ms <= self.clock.now_ms - timeout_ms:
                return timeout_ms
        return 0
