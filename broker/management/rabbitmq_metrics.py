"""RabbitMQ's own metrics, by its names and labels, so that the dashboards that people have show every panel.

Owns RabbitMQ's vocabulary of metrics and the details on which its Grafana boards depend: `rabbitmq_identity_info`, to
which every panel joins, `erlang_version` in `rabbitmq_build_info`, and literal `le` texts.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping, Set

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.management import views
from broker.management.detailed import COUNTER, FAMILIES, PER_OBJECT_FAMILIES
from broker.management.observed import ObservedServer
from broker.management.resources.definitions import COMPATIBLE_VERSION
from broker.management.resources.overview import CLUSTER_NAME, open_descriptors, resident_bytes
from broker.management.sums import Sums
from broker.version import VERSION

AGGREGATED, PER_OBJECT, DETAILED = "aggregated", "per-object", "detailed"
"""What `rabbitmq_endpoint` says: which of the endpoints was scraped."""
CLASSIC_QUEUE = "rabbit_classic_queue"

# RabbitMQ's counters by protocol and queue type: name, help, and the ledger's words whose sum it is.
DELIVERED = (
    ("delivered", "delivered to consumers or fetched", ("delivered", "delivered_no_ack", "got", "got_no_ack")),
    ("redelivered", "redelivered to consumers", ("redelivered",)),
    ("acknowledged", "acknowledged by consumers", ("acknowledged",)),
    ("delivered_consume_auto_ack", "delivered to consumers with automatic acknowledgement", ("delivered_no_ack",)),
    ("delivered_consume_manual_ack", "delivered to consumers that acknowledge", ("delivered",)),
    ("delivered_get_auto_ack", "fetched with automatic acknowledgement", ("got_no_ack",)),
    ("delivered_get_manual_ack", "fetched, to be acknowledged", ("got",)),
    ("get_empty", "fetches that found nothing", ("get_empty",)),
)


SIZE_BOUNDS = ("100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf")
IDENTITY = frozenset({"rabbitmq_build_info", "rabbitmq_identity_info"})
OF_OBJECTS = frozenset(
    f"rabbitmq_{row.name.removesuffix('_total')}" for name in PER_OBJECT_FAMILIES for row in FAMILIES[name].rows
)
"""What /metrics/per-object shows of each object, and therefore not as a sum."""
NODE_FAMILIES = {
    "connection_churn_metrics": (
        "rabbitmq_connections_opened", "rabbitmq_connections_closed", "rabbitmq_channels_opened",
        "rabbitmq_channels_closed", "rabbitmq_queues_declared", "rabbitmq_queues_created", "rabbitmq_queues_deleted",
    ),
    "node_coarse_metrics": (
        "rabbitmq_process_open_fds", "rabbitmq_process_resident_memory_bytes", "rabbitmq_disk_space_available_bytes",
    ),
    "node_metrics": (
        "rabbitmq_process_max_fds", "rabbitmq_resident_memory_limit_bytes",
        "rabbitmq_disk_space_available_limit_bytes", "rabbitmq_erlang_uptime_seconds",
    ),
}  # fmt: skip
"""RabbitMQ's families that are about the broker as a whole, and their metrics without `_total`."""


class RabbitmqMetrics(Collector):
    """One scrape."""

    def __init__(self, server: ObservedServer, endpoint: str, sums: Sums, only: Set[str] | None = None) -> None:
        """`endpoint`: which of RabbitMQ's endpoints this stands for; `only`: metrics by name, None: all it shows."""
        self.server = server
        self.endpoint = endpoint
        self.sums = sums
        self.only = only

    def collect(self) -> Iterator[Metric]:
        """Called by the registry once per scrape."""
        for metric in self._all():
            if self.endpoint == PER_OBJECT and metric.name in OF_OBJECTS:
                continue
            if self.only is None or metric.name in self.only:
                yield metric

    def _all(self) -> Iterator[Metric]:
        yield from self._identity()
        yield from self._node()
        yield from self._objects()
        yield from self._queues()
        yield from self._connections()
        yield from self._messages()
        yield self._message_sizes()

    def _identity(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "rabbitmq_build_info", "RabbitMQ & Erlang/OTP version info",
            labels=["rabbitmq_version", "prometheus_plugin_version", "prometheus_client_version", "erlang_version",
                    "product_name", "product_version"],
        )  # fmt: skip
        build.add_metric([COMPATIBLE_VERSION, VERSION, VERSION, "none", "Hubbub", VERSION], 1)
        yield build
        parameters = dict(self.server.broker.parameters.find("", ""))
        cluster = str(parameters.get(("", "", CLUSTER_NAME), views.NODE))
        identity = GaugeMetricFamily(
            "rabbitmq_identity_info", "RabbitMQ node & cluster identity info",
            labels=["rabbitmq_node", "rabbitmq_cluster", "rabbitmq_cluster_permanent_id", "rabbitmq_endpoint"],
        )  # fmt: skip
        identity.add_metric([views.NODE, cluster, cluster, self.endpoint], 1)
        yield identity

    def _node(self) -> Iterator[Metric]:
        server = self.server
        store = server.store.statistics()
        for name, text, value in (
            ("erlang_uptime_seconds", "Node uptime", time.time() - server.started_at),
            ("disk_space_available_bytes", "Disk space available in bytes", store.get("disk_free_bytes", 0)),
            (
                "disk_space_available_limit_bytes",
                "Free disk space low watermark in bytes",
                server.disk_free_limit_bytes,
            ),
            ("process_resident_memory_bytes", "Memory used in bytes", resident_bytes()),
            ("resident_memory_limit_bytes", "Memory high watermark in bytes", server.memory_limit_bytes),
            ("process_open_fds", "Open file descriptors", open_descriptors()),
            ("process_max_fds", "Open file descriptors limit", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            ("process_open_tcp_sockets", "Open TCP sockets", len(server.connections())),
            ("process_max_tcp_sockets", "Open TCP sockets limit", server.connections_max),
        ):
            yield GaugeMetricFamily(f"rabbitmq_{name}", text, value=float(value))
        alarms = server.broker.alarms
        for name, alarm in (("memory_used_watermark", "memory"), ("free_disk_space_watermark", "disk")):
            yield GaugeMetricFamily(
                f"rabbitmq_alarms_{name}", f"is 1 if the {alarm} alarm is in effect", value=int(alarm in alarms)
            )

    def _objects(self) -> Iterator[Metric]:
        server = self.server
        connections = server.connections()
        channels = sum(len(getattr(each, "channels", ())) for each in connections)
        yield GaugeMetricFamily("rabbitmq_connections", "Connections currently open", value=len(connections))
        yield GaugeMetricFamily("rabbitmq_channels", "Channels currently open", value=channels)
        for name in ("connections_opened", "connections_closed", "channels_opened", "channels_closed"):
            count = sum(getattr(each, name, 0) for each in server.dialects.values())
            what, happened = name.split("_")
            yield CounterMetricFamily(f"rabbitmq_{name}", f"Total number of {what} {happened}", value=count)
        broker = server.broker
        for name, count in (
            ("queues_declared", broker.queues_declared),
            ("queues_created", broker.queues_declared),
            ("queues_deleted", broker.queues_deleted),
        ):
            yield CounterMetricFamily(f"rabbitmq_{name}", f"Total number of {name.replace('_', ' ')}", value=count)

    def _queues(self) -> Iterator[Metric]:
        now, counts = self.sums.queues, self.sums.ledger
        for name, text, value in (
            ("queues", "Queues available", now.queues),
            ("consumers", "Consumers currently connected", now.consumers),
            ("queue_messages_ready", "Messages ready to be delivered to consumers", now.ready),
            ("queue_messages_unacked", "Messages delivered to consumers but not yet acknowledged", now.unacked),
            ("queue_messages", "Sum of ready and unacknowledged messages", now.ready + now.unacked),
            ("queue_messages_unacked_bytes", "Size in bytes of all unacknowledged messages", now.unacked_bytes),
            ("queue_messages_ready_bytes", "Size in bytes of ready messages", now.ready_bytes),
            (
                "queue_messages_bytes",
                "Size in bytes of ready and unacknowledged messages",
                now.ready_bytes + now.unacked_bytes,
            ),
            ("queue_consumers", "Consumers on a queue", now.consumers),
        ):
            yield GaugeMetricFamily(f"rabbitmq_{name}", text, value=value)
        yield CounterMetricFamily(
            "rabbitmq_queue_messages_published", "Total number of messages published to queues",
            value=counts.get("accepted", 0),
        )  # fmt: skip
        for row in FAMILIES["queue_delivery_metrics"].rows:
            name = row.name.removesuffix("_total")
            yield CounterMetricFamily(f"rabbitmq_{name}", row.text, value=counts.get(str(row.value), 0))
        exchanges = dict(self.sums.exchanges)
        exchanges["dropped"] = exchanges.get("unroutable", 0) - exchanges.get("returned", 0)
        for word, row in zip(("published", "returned", "dropped"), FAMILIES["exchange_metrics"].rows, strict=True):
            name = row.name.removesuffix("_total")
            yield CounterMetricFamily(f"rabbitmq_{name}", row.text, value=exchanges.get(word, 0))
        for protocol in self.server.dialects:
            labels = {"protocol": protocol}
            for name, count in self._ends(protocol).items():
                text = f"Current number of {name}"
                yield labelled(GaugeMetricFamily, f"global_{name}", text, labels, count)

    def _connections(self) -> Iterator[Metric]:
        """Sums over the connections and channels that are open now, by the names that a single one's figures have."""
        connections = self.server.connections()
        channels = [channel for each in connections for channel in list(getattr(each, "channels", {}).values())]
        for family, objects in (
            ("connection_coarse_metrics", connections),
            ("connection_metrics", connections),
            ("channel_metrics", channels),
            ("channel_exchange_metrics", channels),
        ):
            for row in FAMILIES[family].rows:
                assert callable(row.value)
                kind = CounterMetricFamily if row.kind == COUNTER else GaugeMetricFamily
                value = sum(map(row.value, objects))
                yield kind(f"rabbitmq_{row.name.removesuffix('_total')}", row.text, value=value)

    def _message_sizes(self) -> Metric:
        """`le` as RabbitMQ writes it: its boards subtract buckets by that very text."""
        *counts, total = self.server.broker.message_sizes()
        seen, buckets = 0, []
        for upper, count in zip(SIZE_BOUNDS, counts, strict=True):
            seen += count
            buckets.append((upper, seen))
        metric = HistogramMetricFamily(
            "rabbitmq_message_size_bytes", "Size of messages received from publishers", labels=["protocol"]
        )
        metric.add_metric(["amqp091"], buckets=buckets, sum_value=total)
        return metric

    def _ends(self, protocol: str) -> dict[str, int]:
        """Who publishes and who consumes by a protocol, as RabbitMQ counts them: a connection that has published."""
        dialect = self.server.dialects[protocol]
        publishers = sum(1 for each in dialect.connections if getattr(each, "publishes", False))
        consumers = sum(
            len(channel.consumers) for each in dialect.connections for channel in getattr(each, "channels", {}).values()
        )
        return {"publishers": publishers, "consumers": consumers}

    def _messages(self) -> Iterator[Metric]:
        """The sums are the broker's: which protocol a message came by is not counted where it is routed."""
        published, counts = self.sums.exchanges, self.sums.ledger
        protocol = {"protocol": "amqp091"}
        confirmed = self.server.dialects["amqp091"].confirm_counts
        for name, text, value in (
            ("messages_received", "messages received from publishers", published.get("published", 0)),
            ("messages_received_confirm", "messages received from publishers expecting confirmations",
             confirmed["received"]),
            ("messages_routed", "messages routed to queues", published.get("routed", 0)),
            ("messages_unroutable_dropped", "messages published as non-mandatory into an exchange and dropped",
             published.get("unroutable", 0) - published.get("returned", 0)),
            ("messages_unroutable_returned", "messages published as mandatory and returned to the publisher",
             published.get("returned", 0)),
            ("messages_confirmed", "messages confirmed to publishers", confirmed["confirmed"]),
        ):  # fmt: skip
            yield labelled(CounterMetricFamily, f"global_{name}", f"Total number of {text}", protocol, value)
        typed = {**protocol, "queue_type": CLASSIC_QUEUE}
        for name, text, words in DELIVERED:
            value = sum(counts.get(word, 0) for word in words)
            yield labelled(
                CounterMetricFamily, f"global_messages_{name}", f"Total number of messages {text}", typed, value
            )


def labelled(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    labels: Mapping[str, str],
    value: float,
) -> Metric:
    """A metric with one value."""
    metric = family(f"rabbitmq_{name}", text, labels=list(labels))
    metric.add_metric(list(labels.values()), value)
    return metric
