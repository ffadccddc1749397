"""`/api/nodes`, what the node's memory is used for, and who tried to log in: for monitoring.

There is one node. Figures of Erlang's that mean nothing here are not made up: they are missing.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Any

from aiohttp import web

from broker.management import views
from broker.management.asked import ADMINISTRATOR, SEES_ALL, require
from broker.management.attempts import LoginAttempts
from broker.management.listing import asked_rates, listing, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import NODE_STATS, AskedRates, Rates
from broker.management.replies import no_content, not_found
from broker.management.resources.overview import (
    churn,
    contexts,
    exchange_types,
    open_descriptors,
    resident_bytes,
)
from broker.version import VERSION

MEMORY_OF_ERLANG = (
    "connection_channels", "connection_other", "queue_slave_procs", "quorum_queue_procs", "stream_queue_procs",
    "stream_queue_replica_reader_procs", "stream_queue_coordinator_procs", "plugins", "metadata_store", "other_proc",
    "metrics", "mgmt_db", "mnesia", "quorum_ets", "metadata_store_ets", "other_ets", "msg_index", "code", "atom",
    "allocated_unused", "reserved_unallocated",
)  # fmt: skip


class Nodes:
    """The one node."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates
        self.attempts: LoginAttempts = server.attempts

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        attempts = "/api/auth/attempts/{name}"
        return [
            web.get("/api/nodes", self.nodes),
            web.get("/api/nodes/{name}", self.node),
            web.get("/api/nodes/{name}/memory", self.memory),
            web.get(attempts, self.attempts_by_protocol),
            web.delete(attempts, self.forget_attempts),
            web.get(f"{attempts}/source", self.attempts_by_source),
            web.delete(f"{attempts}/source", self.forget_attempts),
        ]

    def check_named(self, request: web.Request) -> None:
        """Only this node is there."""
        if request.match_info["name"] != views.NODE:
            raise not_found()

    async def nodes(self, request: web.Request) -> web.Response:
        """The one node."""
        require(request, SEES_ALL)
        return await listing(request, [self.row(asked_rates(request, self.rates))])

    async def node(self, request: web.Request) -> web.Response:
        """The node of that name; `?memory=true` says what its memory is used for."""
        require(request, SEES_ALL)
        self.check_named(request)
        row = self.row(asked_rates(request, self.rates))
        if request.query.get("memory") == "true":
            row["memory"] = self.memory_used()
        return narrowed(request, row)

    async def memory(self, request: web.Request) -> web.Response:
        """What the node's memory is used for, in bytes."""
        require(request, SEES_ALL)
        self.check_named(request)
        return narrowed(request, {"memory": self.memory_used()})

    def memory_used(self) -> dict[str, Any]:
        """In RabbitMQ's words, which rabbitmqadmin insists on; `hubbub` says what stands behind them.

        `other_system` is the rest of the process: the code, and the store's pages among it. What only Erlang has is 0.
        """
        vhosts = list(self.server.broker.vhosts.values())
        queues = [queue for vhost in vhosts for queue in list(vhost.queues.values())]
        parts = self.server.memory_alarm.parts()
        own = {
            "messages_ready": sum(each.memory_bytes for each in queues),
            "messages_unacknowledged": sum(each.unacked_bytes for each in queues),
            "messages_retained": parts["retained"],
            "messages_incoming": parts["incoming"],
            "received_unread": parts.get("unread", 0) + parts.get("gathered", 0),
            "output": parts.get("output", 0),
            "mqtt_sessions": parts.get("sessions", 0),
        }
        total = resident_bytes()
        return {
            **dict.fromkeys(MEMORY_OF_ERLANG, 0),
            "strategy": "rss",
            "queue_procs": own["messages_ready"],
            "binary": own["messages_unacknowledged"] + own["messages_retained"],
            "connection_readers": own["messages_incoming"],
            "connection_writers": own["output"],
            "other_system": max(0, total - sum(own.values())),
            "total": {"rss": total, "allocated": total, "erlang": total},
            "hubbub": own,
        }

    def row(self, rates: AskedRates) -> dict[str, Any]:
        """One element of `GET /api/nodes`."""
        server = self.server
        store = server.store.statistics()
        alarms = server.broker.alarms
        usage = resource.getrusage(resource.RUSAGE_SELF)
        commits = store.get("commits", 0)
        figures = {
            "mem_used": resident_bytes(),
            "fd_used": open_descriptors(),
            "sockets_used": len(server.connections()),
            "proc_used": 1,
            "disk_free": store.get("disk_free_bytes", 0),
        }
        counters = {
            "io_sync_count": commits,
            "io_write_count": store.get("journal_records", 0) + store.get("checkpoints", 0),
            "io_write_bytes": store.get("journal_written_bytes", 0) + store.get("checkpoint_bytes", 0),
            "context_switches": usage.ru_nvcsw + usage.ru_nivcsw,
            **churn(server),
        }
        return {
            "name": views.NODE,
            "type": "disc",
            "running": True,
            "being_drained": server.draining.is_begun,
            "uptime": int((time.time() - server.started_at) * 1000),
            "os_pid": str(os.getpid()),
            "processors": os.cpu_count(),
            "mem_calculation_strategy": "rss",
            "mem_limit": server.memory_limit_bytes,
            "mem_alarm": "memory" in alarms,
            "disk_free_limit": server.disk_free_limit_bytes,
            "disk_free_alarm": "disk" in alarms,
            "fd_total": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "sockets_total": server.connections_max,
            "proc_total": 1,
            "run_queue": 0,
            "rates_mode": "basic",
            "io_sync_avg_time": round(1000 * store.get("commit_seconds", 0.0) / commits, 3) if commits else 0.0,
            **rates.with_rates(("node", "figures"), figures, NODE_STATS),
            **rates.with_rates(("node", "counters"), counters, NODE_STATS),
            "exchange_types": exchange_types(),
            "auth_mechanisms": [
                {"name": "PLAIN", "description": "SASL PLAIN authentication mechanism", "enabled": True},
                {"name": "AMQPLAIN", "description": "QPid AMQPLAIN mechanism", "enabled": True},
            ],
            "applications": [{"name": "hubbub", "description": "Hubbub", "version": VERSION}],
            "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
            "contexts": contexts(server),
            "log_files": [],
            "config_files": [],
            "partitions": [],
            "cluster_links": [],
        }

    # ── who tried to log in ───────────────────────────────────────────────────────────────────────────────────────────

    async def attempts_by_protocol(self, request: web.Request) -> web.Response:
        """Since the broker began, or since they were forgotten."""
        require(request, SEES_ALL)
        self.check_named(request)
        return await listing(request, self.attempts.protocols())

    async def attempts_by_source(self, request: web.Request) -> web.Response:
        """By address, user and protocol; those that came last where there are many."""
        require(request, SEES_ALL)
        self.check_named(request)
        return await listing(request, self.attempts.sources())

    async def forget_attempts(self, request: web.Request) -> web.Response:
        """Count anew."""
        require(request, {ADMINISTRATOR})
        self.check_named(request)
        self.attempts.forget()
        return no_content()
