"""What a channel has published to each exchange, and what each queue has given it.

Owns what is booked when something changes: another exchange is published to, a consumer leaves, a message is got. In
between the counting is the hot half's, in fields that it has (`Channel.messages_published`, `Consumer.delivered`), so
that a message costs nothing here. Bounded: of more than `NAMES_MAX` exchanges or queues the first are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.amqp.consumer import AmqpConsumer

NAMES_MAX = 1000
GONE_MAX = 64
"""Consumers that have left and are kept until what they were given is settled."""

Counts = dict[str, int]
PUBLISHED = ("publish", "return_unroutable", "drop_unroutable")
DELIVERED = ("deliver", "deliver_no_ack", "get", "get_no_ack", "get_empty", "redeliver", "ack")


class Tally:
    """Of one channel."""

    __slots__ = ("booked", "exchange", "gets", "gone", "publishes", "since")

    def __init__(self) -> None:
        """Nothing yet."""
        self.publishes: dict[str, Counts] = {}
        self.exchange: str | None = None
        self.since = dict.fromkeys(PUBLISHED, 0)
        self.gone: list[AmqpConsumer] = []
        self.booked: dict[str, Counts] = {}
        self.gets: dict[str, Counts] = {}

    # ── publishes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def choose(self, channel: Channel, exchange: str) -> None:
        """What the channel publishes from now on goes to another exchange."""
        now = published(channel)
        self.book(self.publishes, now)
        self.exchange, self.since = exchange, now

    def published_by(self, channel: Channel) -> dict[str, Counts]:
        """By exchange: messages by RabbitMQ's words."""
        sums = {name: dict(counts) for name, counts in self.publishes.items()}
        self.book(sums, published(channel))
        return sums

    def book(self, sums: dict[str, Counts], now: Counts) -> None:
        """What went to the exchange that is published to, since it is."""
        if self.exchange is not None and now["publish"] > self.since["publish"]:
            add(sums, self.exchange, {word: now[word] - self.since[word] for word in PUBLISHED})

    # ── deliveries ────────────────────────────────────────────────────────────────────────────────────────────────────

    def leave(self, consumer: AmqpConsumer) -> None:
        """It gets nothing any more; what it was given may still be settled."""
        self.gone.append(consumer)
        if len(self.gone) > GONE_MAX:
            kept: list[AmqpConsumer] = []
            for each in self.gone:
                if each.unacked and len(kept) < GONE_MAX:
                    kept.append(each)
                else:
                    add(self.booked, each.queue.name, delivered(each))
            self.gone = kept

    def got(self, queue: str, word: str, redelivered: bool) -> None:
        """basic.get; `word`: `get`, `get_no_ack`, `get_empty`."""
        if queue in self.gets or len(self.gets) < NAMES_MAX:
            counts = self.gets.setdefault(queue, dict.fromkeys(DELIVERED, 0))
            counts[word] += 1
            counts["redeliver"] += redelivered

    def delivered_by(self, channel: Channel) -> dict[str, Counts]:
        """By queue: messages by RabbitMQ's words."""
        sums = {name: dict(counts) for name, counts in self.booked.items()}
        for consumer in (*self.gone, *channel.consumers.values()):
            add(sums, consumer.queue.name, delivered(consumer))
        outstanding, returned = channel.unacked.gets()
        for name, counts in self.gets.items():
            settled = counts["get"] - outstanding.get(name, 0) - returned.get(name, 0)
            add(sums, name, {**counts, "ack": settled})
        return sums


def published(channel: Channel) -> Counts:
    """What a channel has published, and what of it nobody got."""
    return {
        "publish": channel.messages_published,
        "return_unroutable": channel.messages_returned,
        "drop_unroutable": channel.messages_dropped,
    }


def delivered(consumer: AmqpConsumer) -> Counts:
    """What a consumer was given, and what of it is acknowledged."""
    words = dict.fromkeys(DELIVERED, 0)
    words["deliver_no_ack" if consumer.no_ack else "deliver"] = consumer.delivered
    words["redeliver"] = consumer.redelivered
    words["ack"] = 0 if consumer.no_ack else consumer.delivered - consumer.unacked - consumer.returned
    return words


def add(sums: dict[str, Counts], name: str, counts: Counts) -> None:
    """These, too."""
    if name in sums or len(sums) < NAMES_MAX:
        of_name = sums.setdefault(name, {})
        for word, count in counts.items():
            of_name[word] = of_name.get(word, 0) + count
