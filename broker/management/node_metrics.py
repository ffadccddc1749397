"""RabbitMQ's metrics of a node: its system, its alarms, what its store reads and writes, who tried to log in.

Owns these names, and which of the store's figures stands for which of them. Our store is a journal in front of LMDB:

    io_write_ops      records of the journal, checkpoints, and batches that went to LMDB by themselves
    io_write_bytes    of the journal and of checkpoints; io_write_time: of both, LMDB's syncs among it
    io_sync_ops       the journal's, and two for each transaction of LMDB's; io_sync_time: the journal's
    io_read_ops       loads of messages that were on disk alone, out of LMDB's map: most of them are in the page cache
    msg_store_read    messages so loaded; msg_store_write: messages written (what is settled in time never is)
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.management.attempts import counted
from broker.management.observed import ObservedServer
from broker.management.resources.overview import open_descriptors, resident_bytes

NODE_FAMILIES = {
    "connection_churn_metrics": (
        "rabbitmq_connections_opened", "rabbitmq_connections_closed", "rabbitmq_channels_opened",
        "rabbitmq_channels_closed", "rabbitmq_queues_declared", "rabbitmq_queues_created", "rabbitmq_queues_deleted",
    ),
    "node_coarse_metrics": (
        "rabbitmq_process_open_fds", "rabbitmq_process_open_tcp_sockets", "rabbitmq_process_resident_memory_bytes",
        "rabbitmq_disk_space_available_bytes",
    ),
    "node_metrics": (
        "rabbitmq_process_max_fds", "rabbitmq_process_max_tcp_sockets", "rabbitmq_resident_memory_limit_bytes",
        "rabbitmq_disk_space_available_limit_bytes", "rabbitmq_erlang_uptime_seconds",
    ),
    "node_persister_metrics": (
        "rabbitmq_io_read_ops", "rabbitmq_io_read_bytes", "rabbitmq_io_read_time_seconds", "rabbitmq_io_write_ops",
        "rabbitmq_io_write_bytes", "rabbitmq_io_write_time_seconds", "rabbitmq_io_sync_ops",
        "rabbitmq_io_sync_time_seconds", "rabbitmq_msg_store_read", "rabbitmq_msg_store_write",
    ),
    "auth_attempt_metrics": (
        "rabbitmq_auth_attempts", "rabbitmq_auth_attempts_succeeded", "rabbitmq_auth_attempts_failed",
    ),
}  # fmt: skip
"""RabbitMQ's families that are about the broker as a whole, and their metrics without `_total`."""

SYNCS_OF_LMDB = 2
"""Of one transaction: the data, then the page that points to it."""
ATTEMPTS = (
    ("auth_attempts", "Total number of authorization attempts"),
    ("auth_attempts_succeeded", "Total number of successful authentication attempts"),
    ("auth_attempts_failed", "Total number of failed authentication attempts"),
)


def node_metrics(server: ObservedServer) -> Iterator[Metric]:
    """Once per scrape."""
    store = server.store.statistics()
    for name, text, value in (
        ("erlang_uptime_seconds", "Node uptime", time.time() - server.started_at),
        ("disk_space_available_bytes", "Disk space available in bytes", store.get("disk_free_bytes", 0)),
        ("disk_space_available_limit_bytes", "Free disk space low watermark in bytes", server.disk_free_limit_bytes),
        ("process_resident_memory_bytes", "Memory used in bytes", resident_bytes()),
        ("resident_memory_limit_bytes", "Memory high watermark in bytes", server.memory_limit_bytes),
        ("process_open_fds", "Open file descriptors", open_descriptors()),
        ("process_max_fds", "Open file descriptors limit", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("process_open_tcp_sockets", "Open TCP sockets", len(server.connections())),
        ("process_max_tcp_sockets", "Open TCP sockets limit", server.connections_max),
    ):
        yield GaugeMetricFamily(f"rabbitmq_{name}", text, value=float(value))
    alarms = server.broker.alarms
    for name, text, stands in (
        ("memory_used_watermark", "VM memory watermark", "memory" in alarms),
        ("free_disk_space_watermark", "free disk space watermark", "disk" in alarms),
        ("file_descriptor_limit", "file descriptor limit", not server.accepting),
    ):
        yield GaugeMetricFamily(f"rabbitmq_alarms_{name}", f"is 1 if {text} alarm is in effect", value=int(stands))
    yield from persister_metrics(store)
    for name, text in ATTEMPTS:
        tried = CounterMetricFamily(f"rabbitmq_{name}", text, labels=["protocol"])
        for protocol, counts in server.attempts.by_protocol.items():
            tried.add_metric([protocol], counted(counts)[name])
        yield tried


def persister_metrics(store: Mapping[str, float]) -> Iterator[Metric]:
    """What the store reads and writes."""

    def figure(*names: str) -> float:
        return sum(store.get(name, 0) for name in names)

    transactions = figure("checkpoints", "direct_commits")
    for name, text, value in (
        ("io_read_ops", "Total number of I/O read operations", figure("loads")),
        ("io_read_bytes", "Total number of I/O bytes read", figure("loaded_bytes")),
        ("io_read_time_seconds", "Total I/O read time", figure("load_seconds")),
        ("io_write_ops", "Total number of I/O write operations", figure("journal_records") + transactions),
        (
            "io_write_bytes",
            "Total number of I/O bytes written",
            figure("journal_written_bytes", "checkpoint_bytes"),
        ),
        (
            "io_write_time_seconds",
            "Total I/O write time",
            figure("journal_write_seconds", "checkpoint_seconds"),
        ),
        (
            "io_sync_ops",
            "Total number of I/O sync operations",
            figure("journal_syncs") + SYNCS_OF_LMDB * transactions,
        ),
        ("io_sync_time_seconds", "Total I/O sync time", figure("journal_sync_seconds")),
        ("msg_store_read", "Total number of Message Store read operations", figure("loaded_messages")),
        ("msg_store_write", "Total number of Message Store write operations", figure("slots_written")),
    ):
        yield CounterMetricFamily(f"rabbitmq_{name}", text, value=value)
