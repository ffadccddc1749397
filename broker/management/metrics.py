"""Prometheus: the ledger, the store and the edge as metrics.

Owns metric names, in RabbitMQ's spirit (base units, `_total` for counters), prefixed `hubbub_`. Reads the core when it
is scraped; the core counts and knows nothing of Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.management.listing import every
from broker.management.login_metrics import login_metrics
from broker.management.mqtt_metrics import mqtt_metrics
from broker.management.observed import ObservedServer
from broker.management.rabbitmq_metrics import AGGREGATED, PER_OBJECT, RabbitmqMetrics
from broker.management.resources.overview import totals
from broker.version import VERSION


class BrokerMetrics(Collector):
    """Everything in one scrape. With `per_queue`, each queue's own figures as well: costly with very many queues."""

    def __init__(self, server: ObservedServer, per_queue: bool = False) -> None:
        self.server = server
        self.per_queue = per_queue

    def collect(self) -> Iterator[Metric]:
        """Called by the registry once per scrape."""
        yield from self._build()
        yield from self._objects()
        yield from self._websockets()
        yield from self._certificates()
        yield from login_metrics(self.server.broker.access, self.server.audit)
        yield from mqtt_metrics(self.server.observed_mqtt)
        yield from self._ledger()
        yield from self._retained()
        yield from self._store()
        if self.per_queue:
            yield from self._queues()

    def _build(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("hubbub_build", "What runs here.", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        mode = GaugeMetricFamily(
            "hubbub_durability", "1 for the mode in force: when publishers are told 'safe'.", labels=["mode"]
        )
        mode.add_metric([self.server.durability.partition(" ")[0]], 1)
        yield mode
        alarms = GaugeMetricFamily("hubbub_alarm", "1 while publishers are blocked for this reason.", labels=["alarm"])
        for name in self.server.broker.alarms:
            alarms.add_metric([name], 1)
        yield alarms
        yield from self._intake()
        yield GaugeMetricFamily(
            "hubbub_start_time_seconds", "When the broker started, since 1970.", value=self.server.started_at
        )

    def _intake(self) -> Iterator[Metric]:
        intake = self.server.broker.intake
        yield GaugeMetricFamily(
            "hubbub_begun_bytes",
            "Memory of bodies that are not whole, and of what transactions hold back.",
            value=intake.bytes,
        )
        for name, text in (
            ("refused", "Bodies and transactions refused: the connection had begun too much."),
            ("stalled", "Connections cut off: memory was short, and what they had begun did not go on."),
        ):
            yield CounterMetricFamily(f"hubbub_begun_{name}", text, value=getattr(intake, f"{name}_count"))

    def _objects(self) -> Iterator[Metric]:
        server = self.server
        connections = server.connections()
        yield GaugeMetricFamily("hubbub_connections", "Open connections.", value=len(connections))
        yield GaugeMetricFamily(
            "hubbub_channels", "Open channels.", value=sum(len(getattr(each, "channels", ())) for each in connections)
        )
        outputs = [each.output for each in connections]
        yield GaugeMetricFamily(
            "hubbub_output_pending_bytes",
            "What connections have to be sent and their peers have not taken.",
            value=sum(output.pending_bytes for output in outputs),
        )
        yield GaugeMetricFamily(
            "hubbub_connections_slow",
            "Connections whose peers do not take what they get: nothing more is delivered to them meanwhile.",
            value=sum(output.is_full for output in outputs),
        )
        queues = server.broker.queue_totals()
        yield GaugeMetricFamily("hubbub_queues", "Queues.", value=queues.queues)
        yield GaugeMetricFamily("hubbub_consumers", "Consumers.", value=queues.consumers)
        for name, text in (
            ("accepted", "Connections accepted."),
            ("refused", "Connections refused because there were too many."),
            ("accept_pauses", "How often accepting stopped because the process had no descriptors left."),
        ):
            yield CounterMetricFamily(f"hubbub_connections_{name}", text, value=server.edge_counts[name])
        proxies = server.proxies
        yield CounterMetricFamily("hubbub_proxy_headers", "PROXY headers that were believed.", value=proxies.accepted)
        refused = CounterMetricFamily(
            "hubbub_proxy_refused", "Connections refused for their PROXY header, by reason.", labels=["reason"]
        )
        for reason, count in proxies.refused.items():
            refused.add_metric([reason], count)
        yield refused
        yield CounterMetricFamily(
            "hubbub_turns", "Turns of the event loop that did something.", value=server.turn.count
        )

    def _websockets(self) -> Iterator[Metric]:
        endpoint = self.server.websockets
        yield GaugeMetricFamily("hubbub_websockets", "Open WebSockets.", value=len(endpoint.connections))
        yield CounterMetricFamily("hubbub_websocket_opened", "Upgrades that were accepted.", value=endpoint.opened)
        for name, label, text in (
            ("refused", "status", "Upgrades that were refused, by HTTP status."),
            ("closed", "code", "WebSockets that ended with a Close frame, by its code; 1005: without one."),
            ("timed_out", "what", "WebSockets cut because the peer was late with this."),
        ):
            metric = CounterMetricFamily(f"hubbub_websocket_{name}", text, labels=[label])
            for value, count in sorted(getattr(endpoint, name).items()):
                metric.add_metric([str(value)], count)
            yield metric

    def _certificates(self) -> Iterator[Metric]:
        certificates = self.server.certificates
        if certificates is None:
            return
        expires = GaugeMetricFamily(
            "hubbub_tls_certificate_expires_seconds", "When a certificate expires, since 1970.", labels=["certificate"]
        )
        for path, at in {each.files.certificate: each.expires_at for each in certificates.loaded}.items():
            expires.add_metric([path], at)
        yield expires
        reloads = CounterMetricFamily(
            "hubbub_tls_reloads", "Changed certificates, keys and authorities, by what became of them.",
            labels=["outcome"],
        )  # fmt: skip
        for outcome, count in certificates.reloads.items():
            reloads.add_metric([outcome], count)
        yield reloads

    def _ledger(self) -> Iterator[Metric]:
        counts = totals(self.server)
        yield GaugeMetricFamily(
            "hubbub_messages_ready", "Messages that wait for a consumer.", value=counts.pop("ready")
        )
        yield GaugeMetricFamily(
            "hubbub_messages_unacked", "Messages delivered and not yet settled.", value=counts.pop("unacked")
        )
        yield GaugeMetricFamily(
            "hubbub_messages_unaccounted", "Messages that came in and are nowhere: 0, or a bug.",
            value=counts.pop("unaccounted", 0),
        )  # fmt: skip
        exchanges = CounterMetricFamily(
            "hubbub_exchange_messages", "Messages published, by what became of them at the exchange.", labels=["event"]
        )
        for word, count in sorted(self.server.broker.exchange_counts().items()):
            exchanges.add_metric([word], count)
        yield exchanges
        total = CounterMetricFamily("hubbub_messages", "Messages of all queues, by what happened.", labels=["event"])
        for word, count in sorted(counts.items()):
            total.add_metric([word], count)
        yield total

    def _retained(self) -> Iterator[Metric]:
        counts = dict(self.server.broker.retained_counts())
        yield GaugeMetricFamily(
            "hubbub_retained_messages", "Topics with a retained message.", value=counts.pop("messages")
        )
        yield GaugeMetricFamily("hubbub_retained_bytes", "Memory of retained messages.", value=counts.pop("bytes"))
        events = CounterMetricFamily("hubbub_retained", "Retained messages, by what happened.", labels=["event"])
        for word, count in sorted(counts.items()):
            events.add_metric([word], count)
        yield events

    def _store(self) -> Iterator[Metric]:
        figures = dict(self.server.store.statistics())
        latencies = [
            ("commit", "How long commits took, fsync included.", figures.pop("commit_latency", [])),
            ("checkpoint", "How long it took to bring the journal into LMDB.", figures.pop("checkpoint_latency", [])),
        ]
        totals = {name: figures.pop(f"{name}_seconds", 0.0) for name, _, _ in latencies}
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield GaugeMetricFamily(f"hubbub_store_{name}", f"The store's figure `{name}`.", value=value)
        for name, text, buckets in latencies:
            seen, rows = 0, []
            for upper_s, count in buckets:
                seen += count
                rows.append(("+Inf" if upper_s == float("inf") else str(upper_s), float(seen)))
            if rows:
                yield HistogramMetricFamily(f"hubbub_store_{name}_seconds", text, buckets=rows, sum_value=totals[name])

    def _queues(self) -> Iterator[Metric]:
        labels = ["vhost", "queue"]
        ready = GaugeMetricFamily("hubbub_queue_messages_ready", "Messages that wait for a consumer.", labels=labels)
        unacked = GaugeMetricFamily("hubbub_queue_messages_unacked", "Delivered and not yet settled.", labels=labels)
        consumers = GaugeMetricFamily("hubbub_queue_consumers", "Consumers.", labels=labels)
        events = CounterMetricFamily("hubbub_queue_messages", "Messages by what happened.", labels=[*labels, "event"])
        for vhost, queue in every(self.server, "queues"):
            place = [vhost.name, queue.name]
            ready.add_metric(place, queue.ready_count)
            unacked.add_metric(place, queue.unacked_count)
            consumers.add_metric(place, len(queue.consumers))
            for word, count in queue.counts.items():
                events.add_metric([*place, word], count)
        yield from (ready, unacked, consumers, events)


def exposition(server: ObservedServer, per_queue: bool = False) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(BrokerMetrics(server, per_queue))
    registry.register(RabbitmqMetrics(server, PER_OBJECT if per_queue else AGGREGATED))
    return generate_latest(registry)
