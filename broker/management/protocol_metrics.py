"""RabbitMQ's counters by protocol and kind of queue (`rabbitmq_global_…`).

Owns which count is whose. What MQTT clients send and get is counted by the version that they speak (`mqtt310`,
`mqtt311`, `mqtt50`); everything else is `amqp091`: AMQP, and what comes over HTTP and the native dialect. QoS 0 goes to
MQTT clients without a queue: `rabbit_mqtt_qos0_queue`, as RabbitMQ calls it.

Deviation: there is one class of queues, whatever `x-queue-type` said, so every other queue is `rabbit_classic_queue`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.management.observed import ObservedServer
from broker.management.sums import Sums

CLASSIC, QOS0 = "rabbit_classic_queue", "rabbit_mqtt_qos0_queue"
AMQP = "amqp091"

DELIVERED = (
    ("delivered", "delivered to consumers", ("delivered", "delivered_no_ack", "got", "got_no_ack")),
    ("redelivered", "redelivered to consumers", ("redelivered",)),
    ("acknowledged", "acknowledged by consumers", ("acknowledged",)),
    (
        "delivered_consume_auto_ack",
        "delivered to consumers using basic.consume with automatic acknowledgment",
        ("delivered_no_ack",),
    ),
    (
        "delivered_consume_manual_ack",
        "delivered to consumers using basic.consume with manual acknowledgment",
        ("delivered",),
    ),
    (
        "delivered_get_auto_ack",
        "delivered to consumers using basic.get with automatic acknowledgment",
        ("got_no_ack",),
    ),
    ("delivered_get_manual_ack", "delivered to consumers using basic.get with manual acknowledgment", ("got",)),
)
"""Name, help, and the ledger's words whose sum it is for AMQP."""
DEAD_LETTERED = (
    ("expired", "due to message TTL exceeded", ("expired",)),
    ("maxlen", "due to overflow drop-head or reject-publish-dlx", ("dropped_maxlen", "dropped_tail")),
    ("rejected", "due to basic.reject or basic.nack", ("rejected",)),
    ("delivery_limit", "due to delivery-limit exceeded", ("dropped_delivery_limit",)),
)
"""Reason, help, and the ledger's words for what left a queue by it, dead-lettered or not."""


def protocol_metrics(server: ObservedServer, sums: Sums) -> Iterator[Metric]:
    """Once per scrape."""
    traffic = list(server.observed_mqtt.traffic())
    yield from ends(server)
    yield from published(server, sums, traffic)
    yield from delivered(sums, traffic)
    yield from dead_lettered(server, sums)


def ends(server: ObservedServer) -> Iterator[Metric]:
    """Who publishes and who consumes, as RabbitMQ counts them: a connection that has published, a consumer."""
    amqp = server.dialects[AMQP].connections
    now = {
        AMQP: (
            sum(1 for each in amqp if each.publishes),
            sum(len(channel.consumers) for each in amqp for channel in each.channels.values()),
        ),
        **server.observed_mqtt.ends(),
    }
    for index, name in enumerate(("publishers", "consumers")):
        yield family(
            GaugeMetricFamily, f"global_{name}", f"Current number of {name}", ("protocol",),
            (((protocol,), counts[index]) for protocol, counts in now.items()),
        )  # fmt: skip


def published(server: ObservedServer, sums: Sums, traffic: list[Any]) -> Iterator[Metric]:
    """From publishers to exchanges and queues, and back to them."""
    at = sums.exchanges
    confirmed = server.dialects[AMQP].confirm_counts
    returned = at.get("returned", 0)
    of_mqtt = {
        "received": [each.published for each in traffic],
        "received_confirm": [sum(each.received_by_qos[1:]) for each in traffic],
        "routed": [each.routed for each in traffic],
        "unroutable_dropped": [each.unroutable for each in traffic],
        "unroutable_returned": [0] * len(traffic),
        "confirmed": [each.confirmed for each in traffic],
    }
    of_all = {
        "received": at.get("published", 0),
        "routed": at.get("routed", 0),
        "unroutable_dropped": at.get("unroutable", 0) - returned,
        "unroutable_returned": returned,
    }
    of_amqp = {name: count - sum(of_mqtt[name]) for name, count in of_all.items()}
    of_amqp |= {"received_confirm": confirmed["received"], "confirmed": confirmed["confirmed"]}
    for name, text in (
        ("received", "received from publishers"),
        ("received_confirm", "received from publishers expecting confirmations"),
        ("routed", "routed to queues or streams"),
        ("unroutable_dropped", "published as non-mandatory into an exchange and dropped as unroutable"),
        (
            "unroutable_returned",
            "published as mandatory into an exchange and returned to the publisher as unroutable",
        ),
        ("confirmed", "confirmed to publishers"),
    ):
        rows = [((AMQP,), of_amqp[name])]
        rows += [((each.protocol,), count) for each, count in zip(traffic, of_mqtt[name], strict=True)]
        yield family(
            CounterMetricFamily, f"global_messages_{name}", f"Total number of messages {text}", ("protocol",), rows
        )


def delivered(sums: Sums, traffic: list[Any]) -> Iterator[Metric]:
    """From queues to consumers, and their answers."""
    counts = {word: count - sums.sessions.get(word, 0) for word, count in sums.ledger.items()}
    of_mqtt = {
        "delivered": [(sum(each.sent_by_qos[1:]), each.sent_by_qos[0]) for each in traffic],
        "redelivered": [(each.resent, 0) for each in traffic],
        "acknowledged": [(each.acknowledged, 0) for each in traffic],
        "delivered_consume_auto_ack": [(0, each.sent_by_qos[0]) for each in traffic],
        "delivered_consume_manual_ack": [(sum(each.sent_by_qos[1:]), 0) for each in traffic],
    }
    labels = ("protocol", "queue_type")
    for name, text, words in DELIVERED:
        rows = [((AMQP, CLASSIC), sum(counts.get(word, 0) for word in words))]
        for each, (queued, direct) in zip(traffic, of_mqtt.get(name, ()), strict=False):
            rows += [((each.protocol, CLASSIC), queued), ((each.protocol, QOS0), direct)]
        yield family(CounterMetricFamily, f"global_messages_{name}", f"Total number of messages {text}", labels, rows)
    text = "Total number of times basic.get operations fetched no message"
    rows = [((AMQP, CLASSIC), counts.get("get_empty", 0))]
    yield family(CounterMetricFamily, "global_messages_get_empty", text, labels, rows)


def dead_lettered(server: ObservedServer, sums: Sums) -> Iterator[Metric]:
    """What left queues unconsumed: to their dead-letter exchange (`at_most_once`, as a classic queue's in RabbitMQ), or
    nowhere, as they have none (`disabled`)."""
    letters = server.broker.dead_lettered
    for reason, text, words in DEAD_LETTERED:
        left = sum(sums.ledger.get(word, 0) for word in words)
        rows = [
            ((CLASSIC, "at_most_once"), letters.get(reason, 0)),
            ((CLASSIC, "disabled"), max(0, left - letters.get(reason, 0))),
        ]
        yield family(
            CounterMetricFamily,
            f"global_messages_dead_lettered_{reason}",
            f"Total number of messages dead-lettered {text}",
            ("queue_type", "dead_letter_strategy"),
            rows,
        )


def family(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    labels: Iterable[str],
    rows: Iterable[tuple[Iterable[str], float]],
) -> Metric:
    """A metric, with a value for each tuple of labels."""
    metric = kind(f"rabbitmq_{name}", text, labels=list(labels))
    for values, value in rows:
        metric.add_metric(list(values), value)
    return metric
