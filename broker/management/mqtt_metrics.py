"""MQTT's counts as metrics. Owns their names; what is counted, and when, is the dialect's."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.management.observed import ObservedMqtt


def mqtt_metrics(mqtt: ObservedMqtt) -> Iterator[Metric]:
    """Once per scrape."""
    for name, text in (("connections", "Open MQTT connections."), ("sessions", "MQTT sessions, connected or not.")):
        yield GaugeMetricFamily(f"hubbub_mqtt_{name}", text, value=mqtt.figures()[name])
    events = CounterMetricFamily(
        "hubbub_mqtt_events", "What happened to MQTT connections, sessions and messages.", labels=["event"]
    )
    for name, count in sorted(mqtt.counts().items()):
        events.add_metric([name], count)
    yield events
    refused = CounterMetricFamily(
        "hubbub_mqtt_refused",
        "What MQTT clients were refused (DISCONNECT: the connection itself was ended), by MQTT 5's reason.",
        labels=["packet", "reason"],
    )
    for packet, reason, count in sorted(mqtt.refusals()):
        refused.add_metric([packet, reason], count)
    yield refused
