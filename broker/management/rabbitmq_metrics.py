"""RabbitMQ's own metrics, by its names and labels, so that the dashboards that people have show every panel.

Owns RabbitMQ's vocabulary of metrics and the details on which its Grafana boards depend: `rabbitmq_identity_info`, to
which every panel joins, `erlang_version` in `rabbitmq_build_info`, and literal `le` texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.management import views
from broker.management.detailed import COUNTER, FAMILIES, PER_OBJECT_FAMILIES
from broker.management.node_metrics import node_metrics
from broker.management.observed import ObservedServer
from broker.management.protocol_metrics import protocol_metrics
from broker.management.resources.definitions import COMPATIBLE_VERSION
from broker.management.resources.overview import CLUSTER_NAME
from broker.management.sums import Sums
from broker.version import VERSION

AGGREGATED, PER_OBJECT, DETAILED = "aggregated", "per-object", "detailed"
"""What `rabbitmq_endpoint` says: which of the endpoints was scraped."""

SIZE_BOUNDS = ("100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf")
IDENTITY = frozenset({"rabbitmq_build_info", "rabbitmq_identity_info"})
OF_CHANNELS = (
    ("get_ack", "messages fetched with basic.get in manual acknowledgement mode"),
    ("get", "messages fetched with basic.get in automatic acknowledgement mode"),
    ("messages_delivered_ack", "messages delivered to consumers in manual acknowledgement mode"),
    ("messages_delivered", "messages delivered to consumers in automatic acknowledgement mode"),
    ("messages_redelivered", "messages redelivered to consumers"),
    ("messages_acked", "messages acknowledged by consumers"),
    ("get_empty", "times basic.get operations fetched no message"),
)
"""In the order of `queue_delivery_metrics`; a single channel's are not counted."""
OF_OBJECTS = frozenset(
    f"rabbitmq_{row.name.removesuffix('_total')}" for name in PER_OBJECT_FAMILIES for row in FAMILIES[name].rows
) | {f"rabbitmq_channel_{name}" for name, _ in OF_CHANNELS}
"""What /metrics/per-object shows of each object, and therefore not as a sum."""


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
        yield from node_metrics(self.server)
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
            value=self.server.started_at,
        )  # fmt: skip
        yield from self._objects()
        yield from self._queues()
        yield from self._connections()
        yield from protocol_metrics(self.server, self.sums)
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

    def _objects(self) -> Iterator[Metric]:
        server = self.server
        connections = server.connections()
        channels = sum(len(getattr(each, "channels", ())) for each in connections)
        yield GaugeMetricFamily("rabbitmq_connections", "Connections currently open", value=len(connections))
        yield GaugeMetricFamily("rabbitmq_channels", "Channels currently open", value=channels)
        for name in ("connections_opened", "connections_closed", "channels_opened", "channels_closed"):
            count = sum(getattr(each, name, 0) for each in server.dialects.values())
            text = f"Total number of {name.replace('_', ' ')}"
            more = " or terminated" if name == "connections_closed" else ""
            yield CounterMetricFamily(f"rabbitmq_{name}", text + more, value=count)
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
        ):
            yield GaugeMetricFamily(f"rabbitmq_{name}", text, value=value)
        sums = {
            "queue_messages_ready": now.ready,
            "queue_messages_unacked": now.unacked,
            "queue_messages": now.ready + now.unacked,
            "queue_consumers": now.consumers,
            "queue_consumer_capacity": now.kept_up,
            "queue_consumer_utilisation": now.kept_up,
            "queue_process_memory_bytes": now.memory_bytes,
            "queue_messages_ram": now.ready_in_memory + now.unacked,
            "queue_messages_ram_bytes": now.memory_bytes + now.unacked_bytes,
            "queue_messages_ready_ram": now.ready_in_memory,
            "queue_messages_unacked_ram": now.unacked,
            "queue_messages_bytes": now.ready_bytes + now.unacked_bytes,
            "queue_messages_ready_bytes": now.ready_bytes,
            "queue_messages_unacked_bytes": now.unacked_bytes,
            "queue_messages_paged_out": now.ready - now.ready_in_memory,
            "queue_messages_paged_out_bytes": now.paged_out_bytes,
        }
        for row in (*FAMILIES["queue_coarse_metrics"].rows, *FAMILIES["queue_metrics"].rows):
            yield GaugeMetricFamily(f"rabbitmq_{row.name}", row.text, value=sums[row.name])
        yield CounterMetricFamily(
            "rabbitmq_queue_messages_published", "Total number of messages published to queues",
            value=counts.get("accepted", 0),
        )  # fmt: skip
        for row in FAMILIES["queue_delivery_metrics"].rows:
            name = row.name.removesuffix("_total")
            yield CounterMetricFamily(f"rabbitmq_{name}", row.text, value=counts.get(str(row.value), 0))
        for (name, text), row in zip(OF_CHANNELS, FAMILIES["queue_delivery_metrics"].rows, strict=True):
            value = counts.get(str(row.value), 0) - self.sums.sessions.get(str(row.value), 0)
            yield CounterMetricFamily(f"rabbitmq_channel_{name}", f"Total number of {text}", value=value)
        exchanges = dict(self.sums.exchanges)
        exchanges["dropped"] = exchanges.get("unroutable", 0) - exchanges.get("returned", 0)
        for word, row in zip(("published", "returned", "dropped"), FAMILIES["exchange_metrics"].rows, strict=True):
            name = row.name.removesuffix("_total")
            yield CounterMetricFamily(f"rabbitmq_{name}", row.text, value=exchanges.get(word, 0))

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
