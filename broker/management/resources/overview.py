"""`/api/overview` and the small questions that clients ask first."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from broker.core.exchange_types import DELAYED_TYPE, TYPES
from broker.management import views
from broker.management.asked import ADMINISTRATOR, body_of, field, needs, require
from broker.management.listing import asked_rates, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import LENGTHS, Rates
from broker.management.replies import answer, no_content
from broker.management.resources.definitions import COMPATIBLE_VERSION
from broker.version import VERSION

NO_CONFIRMS = {"confirmed": 0}
SAMPLE_RETENTION_S = {"global": [600], "basic": [600], "detailed": [600]}
"""How far back samples reach at least, of what somebody looks at every two seconds or less often."""
PROTOCOLS = {
    "amqps": "amqp/ssl", "mqtts": "mqtt/ssl", "management": "http", "metrics": "http/prometheus",
    "management-tls": "https", "metrics-tls": "https/prometheus",
    "websocket": "http/web-mqtt", "websocket-tls": "https/web-mqtt",
}  # fmt: skip
"""RabbitMQ's names of what our listeners speak."""
OF_AMQP = "AMQP {} exchange, as per the AMQP specification"
DESCRIBED = {
    **{name: OF_AMQP.format(name) for name in ("direct", "fanout", "headers", "topic")},
    "x-consistent-hash": "Consistent Hashing Exchange",
    DELAYED_TYPE: "Delayed Message Exchange",
}
CONTEXTS = {"management": "RabbitMQ Management", "metrics": "RabbitMQ Prometheus"}
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
        rates = asked_rates(request, self.rates)
        return narrowed(
            request,
            {
                "product_name": "Hubbub",
                "product_version": VERSION,
                "management_version": COMPATIBLE_VERSION,
                "rabbitmq_version": COMPATIBLE_VERSION,
                "erlang_version": "none",
                "erlang_full_version": "none",
                "disable_stats": False,
                "enable_queue_totals": False,
                "statistics_db_event_queue": 0,
                "sample_retention_policies": SAMPLE_RETENTION_S,
                "node": views.NODE,
                "cluster_name": self.name(),
                "uptime": int((time.time() - server.started_at) * 1000),
                "rates_mode": "basic",
                "exchange_types": exchange_types(),
                "object_totals": {
                    "connections": len(connections),
                    "channels": sum(len(getattr(connection, "channels", ())) for connection in connections),
                    "exchanges": sum(len(vhost.exchanges) for vhost in server.broker.vhosts.values()),
                    "queues": sum(len(vhost.queues) for vhost in server.broker.vhosts.values()),
                    "consumers": server.broker.queue_totals().consumers,
                },
                "queue_totals": rates.with_rates(("overview", "depth"), depth, LENGTHS),
                "message_stats": rates.with_rates("overview", message_stats(server, counts)),
                "churn_rates": rates.with_rates(("overview", "churn"), churn(server)),
                "listeners": list(map(listener, server.listeners)),
                "contexts": contexts(server),
                "hubbub": {
                    "durability": server.durability,
                    "alarms": dict(server.broker.alarms),
                    "is_draining": server.draining.is_begun,
                    "ledger": counts,
                    "exchanges": server.broker.exchange_counts(),
                    "store": server.store.statistics(),
                    "edge": dict(server.edge_counts),
                    "memory": {"resident_bytes": resident_bytes(), "limit_bytes": server.memory_limit_bytes},
                },
            },
        )

    async def cluster_name(self, request: web.Request) -> web.Response:
        """Its name."""
        return answer({"name": self.name()})

    async def set_cluster_name(self, request: web.Request) -> web.Response:
        """`{"name": …}`."""
        require(request, {ADMINISTRATOR})
        name = field(needs(await body_of(request), "name"), "name", str)
        self.server.broker.parameters.put("", "", CLUSTER_NAME, name)
        return no_content()

    async def extensions(self, request: web.Request) -> web.Response:
        """None."""
        return answer([])

    async def nothing(self, request: web.Request) -> web.Response:
        """There are none here."""
        require(request, {ADMINISTRATOR})
        return answer([])

    async def auth(self, request: web.Request) -> web.Response:
        """How to log in over HTTP."""
        return answer({"oauth_enabled": False, "enable_uaa": False, "uaa_client_id": "", "uaa_location": ""})

    async def version(self, request: web.Request) -> web.Response:
        """This broker's."""
        return answer(VERSION)


def message_stats(server: ObservedServer, counts: Mapping[str, int]) -> dict[str, int]:
    """What queues count, and what is counted where messages come in."""
    published = server.broker.exchange_counts()
    confirmed = [getattr(each, "confirm_counts", NO_CONFIRMS)["confirmed"] for each in server.dialects.values()]
    return {
        **views.message_stats(counts),
        "confirm": sum(confirmed),
        "return_unroutable": published.get("returned", 0),
        "drop_unroutable": published.get("unroutable", 0) - published.get("returned", 0),
    }


def churn(server: ObservedServer) -> dict[str, int]:
    """What came and went since the start."""
    dialects = server.dialects.values()
    opened, closed = (sum(getattr(each, f"channels_{word}", 0) for each in dialects) for word in ("opened", "closed"))
    return {
        "queue_declared": server.broker.queues_declared,
        "queue_created": server.broker.queues_declared,
        "queue_deleted": server.broker.queues_deleted,
        "connection_created": server.edge_counts["accepted"],
        "connection_closed": server.edge_counts["accepted"] - len(server.connections()),
        "channel_created": opened,
        "channel_closed": closed,
    }


def listener(each: Any) -> dict[str, Any]:
    """What is listened on."""
    return {
        "node": views.NODE,
        "protocol": PROTOCOLS.get(each.name, each.name),
        "ip_address": each.address,
        "port": each.port,
        "tls": each.tls is not None,
    }


def exchange_types() -> list[dict[str, Any]]:
    """Which there are."""
    return [{"name": name, "description": DESCRIBED[name], "enabled": True} for name in (*TYPES, DELAYED_TYPE)]


def contexts(server: ObservedServer) -> list[dict[str, Any]]:
    """Where HTTP is served."""
    return [
        {
            "node": views.NODE,
            "description": CONTEXTS[each.name],
            "path": "/",
            "ip": each.address,
            "port": str(each.port),
            "protocol": PROTOCOLS.get(each.name, each.name),
            "ssl_opts": [],
        }
        for each in server.listeners
        if each.name in CONTEXTS
    ]


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
