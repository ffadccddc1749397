"""RabbitMQ's metric names and labels: what its Overview dashboard needs, and that many queues cost a scrape little."""

from __future__ import annotations

import re
import time

from broker.core.totals import QueueTotals
from broker.management.metrics import exposition
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import ObservedCore

# The 40 metrics of RabbitMQ's Overview dashboard (deps/rabbitmq_prometheus/docker/grafana/dashboards).
DASHBOARD = [
    "rabbitmq_build_info",
    "rabbitmq_identity_info",
    "rabbitmq_erlang_uptime_seconds",
    "rabbitmq_channels",
    "rabbitmq_channels_opened_total",
    "rabbitmq_channels_closed_total",
    "rabbitmq_connections",
    "rabbitmq_connections_opened_total",
    "rabbitmq_connections_closed_total",
    "rabbitmq_queues",
    "rabbitmq_queues_declared_total",
    "rabbitmq_queues_created_total",
    "rabbitmq_queues_deleted_total",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
    "rabbitmq_process_open_fds",
    "rabbitmq_process_max_fds",
    "rabbitmq_global_publishers",
    "rabbitmq_global_consumers",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_messages_delivered_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_message_size_bytes_bucket",
    "rabbitmq_message_size_bytes_sum",
    "rabbitmq_message_size_bytes_count",
]


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.M)
    assert found is not None, name
    return float(found.group(1))


def test_every_metric_of_the_overview_dashboard_is_there(server: ObservedCore) -> None:
    text = exposition(server).decode()
    assert len(DASHBOARD) == 40
    for name in DASHBOARD:
        value(text, name)
    identity = re.search(r"^rabbitmq_identity_info\{(.*)\} 1\.0$", text, re.M)
    assert identity is not None
    labels = {each.split("=")[0] for each in identity.group(1).split(",")}
    assert labels == {
        "rabbitmq_node", "rabbitmq_cluster", "rabbitmq_cluster_permanent_id", "rabbitmq_endpoint",
    }  # fmt: skip
    assert "erlang_version=" in text


def test_message_sizes_have_rabbitmqs_bounds_to_the_letter(server: ObservedCore, peer: Peer) -> None:
    for size in (0, 100, 101, 1000, 20_000, 2_000_000):
        peer.publish("nowhere", b"x" * size)
    peer.call("exchange.declare", exchange="gone", type="direct")
    peer.publish("nowhere", b"x" * 150, exchange="gone")
    peer.call("exchange.delete", exchange="gone")
    text = exposition(server).decode()
    found = re.findall(r'^rabbitmq_message_size_bytes_bucket\{le="(.*)",protocol="amqp091"\} (\S+)$', text, re.M)
    assert [(le, float(count)) for le, count in found] == [
        ("100.0", 2), ("1000.0", 5), ("10000.0", 5), ("100000.0", 6), ("1e+06", 6), ("1e+07", 7), ("5e+07", 7),
        ("1e+08", 7), ("+Inf", 7),
    ]  # fmt: skip
    assert value(text, "rabbitmq_message_size_bytes_sum") == 2_021_351
    assert value(text, "rabbitmq_message_size_bytes_count") == 7


def test_sums_over_connections_and_channels(server: ObservedCore, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.publish("q", b"m")
    peer.publish("q", b"m")
    peer.consume("q")
    text = exposition(server).decode()
    assert value(text, "rabbitmq_channel_consumers") == 1
    assert value(text, "rabbitmq_channel_messages_unacked") == 2
    assert value(text, "rabbitmq_channel_messages_published_total") == 2
    assert value(text, "rabbitmq_queue_messages_delivered_ack_total") == 2
    assert value(text, "rabbitmq_exchange_messages_published_total") == 2
    assert value(text, "rabbitmq_queue_messages_bytes") == 2
    assert value(text, "rabbitmq_connection_channels") == 1


def test_the_counters_count(server: ObservedCore, core: Core, peer: Peer) -> None:
    peer.declare("q")
    peer.call("confirm.select")
    for _ in range(3):
        peer.publish("q", b"m")
    peer.publish("nowhere", b"m")
    peer.send("basic.get", queue="q", no_ack=True)
    core.commit()
    text = exposition(server).decode()

    assert value(text, "rabbitmq_global_messages_received_total") == 4
    assert value(text, "rabbitmq_global_messages_routed_total") == 3
    assert value(text, "rabbitmq_global_messages_unroutable_dropped_total") == 1
    assert value(text, "rabbitmq_global_messages_received_confirm_total") == 4
    assert value(text, "rabbitmq_global_messages_confirmed_total") == 4
    assert value(text, "rabbitmq_global_messages_delivered_get_auto_ack_total") == 1
    assert value(text, "rabbitmq_queue_messages_ready") == 2
    assert value(text, "rabbitmq_global_publishers") == 1

    peer.call("channel.close")
    text = exposition(server).decode()
    assert value(text, "rabbitmq_global_messages_confirmed_total") == 4, "what a closed channel counted stays"
    assert value(text, "rabbitmq_channels_closed_total") == 1


def test_totals_over_many_queues_are_made_in_c(core: Core, peer: Peer) -> None:
    """The figure is generous: 20,000 queues take a millisecond or two, and some 200 in Python."""
    for index in range(2000):
        core.vhost.declare_queue(f"q{index}")
    peer.publish("q7", b"m")
    queues = list(core.vhost.queues.values()) * 10
    started = time.process_time()
    totals = QueueTotals(queues)
    seconds = time.process_time() - started

    assert (totals.queues, totals.ready, totals.counts["accepted"]) == (20_000, 10, 10)
    assert totals.counts["unaccounted"] == 0
    assert seconds < 0.05
