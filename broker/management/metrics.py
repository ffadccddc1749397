"""Prometheus: the ledger, the store and the edge as metrics.

Owns metric names, in RabbitMQ's spirit (base units, `_total` for counters), prefixed `hubbub_`. Reads the core when it
is scraped; the core counts and knows nothing of Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.management.login_metrics import login_metrics
from broker.management.mqtt_metrics import mqtt_metrics
from broker.management.observed import ObservedServer
from broker.management.rabbitmq_metrics import AGGREGATED, RabbitmqMetrics
from broker.management.sums import Sums, sums_of
from broker.version import VERSION

LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of net.stalls.Stalls."""


class BrokerMetrics(Collector):
    """Everything in one scrape, in sums: its length and cost do not follow from how many objects there are."""

    def __init__(self, server: ObservedServer, sums: Sums) -> None:
        self.server = server
        self.sums = sums

    def collect(self) -> Iterator[Metric]:
        """Called by the registry once per scrape."""
        yield from self._build()
        yield from self._objects()
        yield from self._websockets()
        yield from self._certificates()
        yield from login_metrics(self.server.broker.access, self.server.audit, self.server.broker.publish_rates)
        yield from mqtt_metrics(self.server.observed_mqtt)
        yield from self._ledger()
        yield from self._retained()
        yield from self._store()
        yield from self._watching()
        yield from self._loop()

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
        yield from self._memory()
        yield from self._intake()
        yield GaugeMetricFamily(
            "hubbub_start_time_seconds", "When the broker started, since 1970.", value=self.server.started_at
        )

    def _memory(self) -> Iterator[Metric]:
        alarm = self.server.memory_alarm
        parts = GaugeMetricFamily("hubbub_memory_bytes", "What counts in the budget of memory.", labels=["part"])
        for name, size in alarm.parts().items():
            parts.add_metric([name], size)
        yield parts
        yield GaugeMetricFamily("hubbub_memory_budget_bytes", "The budget of memory.", value=alarm.bytes_max)
        yield GaugeMetricFamily(
            "hubbub_memory_full_of_lasting",
            "1 while retained messages and sessions have half of the budget: no more are taken on.",
            value=self.server.broker.is_full_of_lasting,
        )
        yield CounterMetricFamily(
            "hubbub_connections_cut_for_memory",
            "Connections cut off: memory was short, and they neither took nor said anything.",
            value=alarm.cut_count,
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
        yield CounterMetricFamily(
            "hubbub_fan_out_rests",
            "How often a publisher rested for a turn of the loop, as messages had gone to as many targets as may be.",
            value=self.server.broker.fan_out.rested_count,
        )

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
        queues = self.sums.queues
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
            "hubbub_consumer_timeouts", "Channels closed because a delivery was held for too long.",
            value=sum(getattr(each, "consumer_timeouts", 0) for each in server.dialects.values()),
        )  # fmt: skip
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
        counts = dict(self.sums.ledger)
        yield GaugeMetricFamily(
            "hubbub_messages_ready", "Messages that wait for a consumer.", value=self.sums.queues.ready
        )
        yield GaugeMetricFamily(
            "hubbub_messages_unacked", "Messages delivered and not yet settled.", value=self.sums.queues.unacked
        )
        yield GaugeMetricFamily(
            "hubbub_messages_unaccounted", "Messages that came in and are nowhere: 0, or a bug.",
            value=counts.pop("unaccounted", 0),
        )  # fmt: skip
        exchanges = CounterMetricFamily(
            "hubbub_exchange_messages", "Messages published, by what became of them at the exchange.", labels=["event"]
        )
        for word, count in sorted(self.sums.exchanges.items()):
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
        histograms = [
            ("commit_seconds", "How long commits took, fsync included.", figures.pop("commit_latency", []),
             figures.pop("commit_seconds", 0.0)),
            ("checkpoint_seconds", "How long it took to bring the journal into LMDB.",
             figures.pop("checkpoint_latency", []), figures.pop("checkpoint_seconds", 0.0)),
            ("batch_bytes", "What a batch held when it was sealed: it becomes durable as a whole.",
             figures.pop("batch_sizes", []), figures.pop("batch_bytes", 0)),
        ]  # fmt: skip
        used = figures.get("file_bytes", 0) - figures.get("free_bytes", 0)
        yield GaugeMetricFamily(
            "hubbub_store_reclaimable_bytes",
            "Pages in use beyond the messages that live: what is settled and not yet compacted, and the tree itself.",
            value=max(0, used - figures.get("live_bytes", 0)),
        )
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield GaugeMetricFamily(f"hubbub_store_{name}", f"The store's figure `{name}`.", value=value)
        for name, text, buckets, total in histograms:
            if buckets:
                yield histogram(f"hubbub_store_{name}", text, buckets, total)

    def _watching(self) -> Iterator[Metric]:
        broker = self.server.broker
        yield GaugeMetricFamily(
            "hubbub_traces", "Message traces that run.",
            value=sum(each.running for each in broker.traces.by_number.values()),
        )  # fmt: skip
        if self.server.spans is not None:
            yield CounterMetricFamily("hubbub_spans", "Spans made for OpenTelemetry.", value=self.server.spans.made)
        copies = CounterMetricFamily(
            "hubbub_firehose_messages", "Copies for amq.rabbitmq.trace, since it was switched on.",
            labels=["vhost", "event"],
        )  # fmt: skip
        for name, firehose in broker.firehoses.items():
            copies.add_metric([name, "published"], firehose.published)
            copies.add_metric([name, "dropped"], firehose.dropped)
        yield copies

    def _loop(self) -> Iterator[Metric]:
        stalls = self.server.stalls
        stood = CounterMetricFamily(
            "hubbub_loop_stalls", "How often the event loop stood still for longer than log.stall_ms, by where.",
            labels=["part"],
        )  # fmt: skip
        for part, count in stalls.counts.items():
            stood.add_metric([part], count)
        yield stood
        yield GaugeMetricFamily("hubbub_loop_stall_longest_seconds", "The longest of these.", value=stalls.longest_s)
        bounds = (*LAG_BOUNDS_S, float("inf"))
        lags = list(zip(bounds, stalls.lag_counts, strict=True))
        yield histogram("hubbub_loop_lag_seconds", "How late a timer was, looked at ten times a second.", lags,
                        stalls.lag_sum_s)  # fmt: skip


def histogram(name: str, text: str, buckets: Iterable[tuple[float, int]], total: float) -> Metric:
    """`buckets`: (upper bound, how many are in it and in none before)."""
    seen, rows = 0, []
    for upper, count in buckets:
        seen += count
        rows.append(("+Inf" if upper == float("inf") else str(float(upper)), float(seen)))
    return HistogramMetricFamily(name, text, buckets=rows, sum_value=total)


def exposition(server: ObservedServer, endpoint: str = AGGREGATED) -> bytes:
    """The text that Prometheus reads: sums. `endpoint`: for which of RabbitMQ's pages."""
    registry = CollectorRegistry()
    sums = sums_of(server)
    registry.register(BrokerMetrics(server, sums))
    registry.register(RabbitmqMetrics(server, endpoint, sums))
    return generate_latest(registry)
