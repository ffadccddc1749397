"""`/api/overview`, `/api/nodes` and the small questions that clients ask first."""

from __future__ import annotations

import os
import resource
import time
from typing import Any

from aiohttp import web

from broker.core.exchange_types import DELAYED_TYPE, TYPES
from broker.management import views
from broker.management.asked import ADMINISTRATOR, body_of, field, require
from broker.management.observed import ObservedServer
from broker.management.rates import Rates
from broker.management.replies import answer, no_content, not_found
from broker.management.resources.definitions import COMPATIBLE_VERSION
from broker.version import VERSION

CLUSTER_NAME = "cluster_name"


class Overview:
    """The broker as a whole."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/overview", self.overview),
            web.get("/api/cluster-name", self.cluster_name),
            web.put("/api/cluster-name", self.set_cluster_name),
            web.get("/api/nodes", self.nodes),
            web.get("/api/nodes/{name}", self.node),
            web.get("/api/extensions", self.extensions),
            web.get("/api/feature-flags", self.nothing),
            web.get("/api/deprecated-features", self.nothing),
            web.get("/api/deprecated-features/used", self.nothing),
            web.get("/api/auth", self.auth),
            web.get("/api/version", self.version),
        ]

    def name(self) -> str:
        """The cluster's name: an operator's choice."""
        found = dict(self.server.broker.parameters.find("", "")).get(("", "", CLUSTER_NAME), views.NODE)
        return str(found)

    async def overview(self, request: web.Request) -> web.Response:
        """Totals of everything, and `hubbub`: durability, alarms, ledger, store, edge."""
        server = self.server
        counts = totals(server)
        connections = server.connections()
        depth = {
            "messages": counts["ready"] + counts["unacked"],
            "messages_ready": counts["ready"],
            "messages_unacknowledged": counts["unacked"],
        }
        churn = {
            "queue_declared": server.broker.queues_declared,
            "queue_created": server.broker.queues_declared,
            "queue_deleted": server.broker.queues_deleted,
            "connection_created": server.edge_counts["accepted"],
            "connection_closed": server.edge_counts["accepted"] - len(connections),
        }
        return answer(
            {
                "product_name": "Hubbub",
                "product_version": VERSION,
                "management_version": COMPATIBLE_VERSION,
                "rabbitmq_version": COMPATIBLE_VERSION,
                "erlang_version": "none",
                "node": views.NODE,
                "cluster_name": self.name(),
                "uptime": int((time.time() - server.started_at) * 1000),
                "rates_mode": "basic",
                "exchange_types": [{"name": name, "enabled": True} for name in (*TYPES, DELAYED_TYPE)],
                "object_totals": {
                    "connections": len(connections),
                    "channels": sum(len(getattr(connection, "channels", ())) for connection in connections),
                    "exchanges": sum(len(vhost.exchanges) for vhost in server.broker.vhosts.values()),
                    "queues": sum(len(vhost.queues) for vhost in server.broker.vhosts.values()),
                    "consumers": server.broker.queue_totals().consumers,
                },
                "queue_totals": self.rates.with_rates(("overview", "depth"), depth),
                "message_stats": self.rates.with_rates("overview", views.message_stats(counts)),
                "churn_rates": self.rates.with_rates(("overview", "churn"), churn),
                "listeners": [
                    {"node": views.NODE, "protocol": each.name, "ip_address": each.address, "port": each.port}
                    for each in server.listeners
                ],
                "contexts": [
                    {"node": views.NODE, "description": "RabbitMQ Management", "path": "/", "port": str(each.port)}
                    for each in server.listeners
                    if each.name == "management"
                ],
                "hubbub": {
                    "durability": server.durability,
                    "alarms": dict(server.broker.alarms),
                    "ledger": counts,
                    "exchanges": server.broker.exchange_counts(),
                    "store": server.store.statistics(),
                    "edge": dict(server.edge_counts),
                },
            }
        )

    async def cluster_name(self, request: web.Request) -> web.Response:
        """Its name."""
        return answer({"name": self.name()})

    async def set_cluster_name(self, request: web.Request) -> web.Response:
        """`{"name": …}`."""
        require(request, {ADMINISTRATOR})
        self.server.broker.parameters.put("", "", CLUSTER_NAME, field(await body_of(request), "name", str))
        return no_content()

    async def nodes(self, request: web.Request) -> web.Response:
        """The one node."""
        return answer([self.node_row()])

    async def node(self, request: web.Request) -> web.Response:
        """The node of that name."""
        if request.match_info["name"] != views.NODE:
            raise not_found()
        return answer(self.node_row())

    def node_row(self) -> dict[str, Any]:
        """One element of `GET /api/nodes`."""
        server = self.server
        store = server.store.statistics()
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        alarms = server.broker.alarms
        return {
            "name": views.NODE,
            "type": "disc",
            "running": True,
            "being_drained": False,
            "uptime": int((time.time() - server.started_at) * 1000),
            "os_pid": str(os.getpid()),
            "processors": os.cpu_count(),
            "mem_used": resident_bytes(),
            "mem_limit": server.memory_limit_bytes,
            "mem_alarm": "memory" in alarms,
            "disk_free": store.get("disk_free_bytes", 0),
            "disk_free_limit": server.disk_free_limit_bytes,
            "disk_free_alarm": "disk" in alarms,
            "fd_used": open_descriptors(),
            "fd_total": descriptors,
            "sockets_used": len(server.connections()),
            "sockets_total": server.connections_max,
            "proc_used": 1,
            "proc_total": 1,
            "run_queue": 0,
            "rates_mode": "basic",
            "exchange_types": [{"name": name, "enabled": True} for name in (*TYPES, DELAYED_TYPE)],
            "auth_mechanisms": [{"name": name, "enabled": True} for name in ("PLAIN", "AMQPLAIN")],
            "applications": [{"name": "hubbub", "description": "Hubbub", "version": VERSION}],
            "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
            "partitions": [],
            "cluster_links": [],
        }

    async def extensions(self, request: web.Request) -> web.Response:
        """None."""
        return answer([])

    async def nothing(self, request: web.Request) -> web.Response:
        """There are none here."""
        return answer([])

    async def auth(self, request: web.Request) -> web.Response:
        """How to log in over HTTP."""
        return answer({"oauth_enabled": False})

    async def version(self, request: web.Request) -> web.Response:
        """This broker's."""
        return answer(VERSION)


def totals(server: ObservedServer) -> dict[str, int]:
    """The ledgers of all queues, deleted ones included, in one sum; and what is ready and unacked now."""
    now = server.broker.queue_totals()
    sums = dict(server.broker.deleted_counts)
    for word, count in now.counts.items():
        sums[word] = sums.get(word, 0) + count
    return {**sums, "ready": now.ready, "unacked": now.unacked}


def resident_bytes() -> int:
    """RSS of this process (proc(5): statm); 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def open_descriptors() -> int:
    """How many descriptors are open; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
