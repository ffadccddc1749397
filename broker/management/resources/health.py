"""`/api/health/checks/*`, `/api/aliveness-test`, and the probes `/health/*` that need no login."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from broker.core.browsing import take
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.management.asked import acting_in, check_right
from broker.management.observed import ObservedServer
from broker.management.replies import ApiError, answer, bad_request, refused

ALIVENESS_QUEUE = "aliveness-test"
PROTOCOLS = {
    "amqp": "amqp", "amqp091": "amqp", "amqps": "amqps", "amqp/ssl": "amqps", "mqtt": "mqtt", "mqtts": "mqtts",
    "mqtt/ssl": "mqtts", "http": "management", "http/prometheus": "metrics", "ws": "websocket", "wss": "websocket-tls",
    "https": "management-tls", "https/prometheus": "metrics-tls",
    "http/web-mqtt": "websocket", "https/web-mqtt": "websocket-tls",
}  # fmt: skip
"""RabbitMQ's names of protocols, and our listeners'."""

UNITS_S = {"days": 86_400, "weeks": 7 * 86_400, "months": 30 * 86_400, "years": 365 * 86_400}
DIGITS_MAX = 6


class Health:
    """Is the broker well?"""

    def __init__(self, server: ObservedServer, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since 1970."""
        self.server = server
        self.now = now

    def probes(self) -> list[web.RouteDef]:
        """For orchestrators: cheap, and without a login."""
        return [
            web.get("/health/live", self.live),
            web.get("/health/ready", self.ready),
            web.get("/health/startup", self.live),
            web.get("/health/serving", self.serving),
        ]

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        checks = "/api/health/checks"
        return [
            web.get(f"{checks}/alarms", self.alarms),
            web.get(f"{checks}/local-alarms", self.alarms),
            web.get(f"{checks}/virtual-hosts", self.well),
            web.get(f"{checks}/node-is-mirror-sync-critical", self.alone),
            web.get(f"{checks}/node-is-quorum-critical", self.alone),
            web.get(f"{checks}/metadata-store/initialized", self.well),
            web.get(f"{checks}/is-in-service", self.in_service),
            web.get(f"{checks}/ready-to-serve-clients", self.in_service),
            web.get(f"{checks}/below-node-connection-limit", self.connections),
            web.get(f"{checks}/certificate-expiration/{{within}}/{{unit}}", self.certificates),
            web.get(f"{checks}/port-listener/{{port}}", self.port),
            web.get(f"{checks}/protocol-listener/{{protocol}}", self.protocol),
            web.get("/api/healthchecks/node", self.alarms),
            web.get("/api/healthchecks/node/{node}", self.alarms),
            web.get("/api/aliveness-test/{vhost}", self.aliveness),
        ]

    async def live(self, request: web.Request) -> web.Response:
        """The loop turns: it answers. Nothing listens before everything is restored, so it has started, too."""
        return answer({"status": "ok"})

    async def serving(self, request: web.Request) -> web.Response:
        """Clients may come, while an alarm stands, too: consumers must. The broker is not about to go."""
        return answer({"status": "draining"}, 503) if self.server.draining.is_begun else answer({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """Publishing is possible: no alarm stands, and the broker is not about to go."""
        if self.server.draining.is_begun:
            return answer({"status": "draining"}, 503)
        alarms = dict(self.server.broker.alarms)
        return answer({"status": "blocked", "alarms": alarms}, 503) if alarms else answer({"status": "ok"})

    async def well(self, request: web.Request) -> web.Response:
        """What cannot be otherwise on one node that has started."""
        return answer({"status": "ok"})

    async def alone(self, request: web.Request) -> web.Response:
        """No other node can miss this one."""
        return answer({"status": "ok", "reason": "single node cluster"})

    async def alarms(self, request: web.Request) -> web.Response:
        """503 while one stands."""
        alarms = self.server.broker.alarms
        if not alarms:
            return answer({"status": "ok"})
        rows = [{"node": "hubbub@localhost", "resource": name, "reason": why} for name, why in alarms.items()]
        return failed("There are alarms in effect in the cluster", alarms=rows)

    async def in_service(self, request: web.Request) -> web.Response:
        """Connections are accepted."""
        if self.server.draining.is_begun:
            return failed("this node is in maintenance mode")
        return answer({"status": "ok"}) if self.server.listeners else failed("the node listens on nothing")

    async def connections(self, request: web.Request) -> web.Response:
        """Below `limits.connections_max`."""
        limit, current = self.server.connections_max, len(self.server.connections())
        if current < limit:
            return answer({"status": "ok", "current": current, "limit": limit})
        return failed(f"node connection limit is reached: {limit}", current=current, limit=limit)

    async def certificates(self, request: web.Request) -> web.Response:
        """503 where a TLS listener's certificate expires within that time, or has expired."""
        within, unit = request.match_info["within"], request.match_info["unit"]
        if not (within.isascii() and within.isdigit() and len(within) <= DIGITS_MAX):
            raise bad_request("Invalid expiration value.")
        if unit not in UNITS_S:
            raise bad_request(f"Time unit not recognised. Supported units: {', '.join(UNITS_S)}.")
        certificates = self.server.certificates
        until = self.now() + int(within) * UNITS_S[unit]
        late = [each for each in certificates.loaded if each.expires_at <= until] if certificates is not None else []
        rows = [
            {
                "node": "hubbub@localhost",
                "protocol": listener.name,
                "interface": listener.address,
                "port": str(listener.port),
                "certfile": each.files.certificate,
                "certfile_expires_on": [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.expires_at))],
            }
            for listener in self.server.listeners
            if listener.tls is not None
            for each in late
        ]
        return failed("Certificates expiring", expired=rows) if rows else answer({"status": "ok"})

    async def port(self, request: web.Request) -> web.Response:
        """Whether something listens on a port."""
        text = request.match_info["port"]
        if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
            raise bad_request("Invalid port")
        ports = [each.port for each in self.server.listeners]
        if int(text) in ports:
            return answer({"status": "ok", "port": int(text)})
        return failed("No active listener", missing=int(text), ports=ports)

    async def protocol(self, request: web.Request) -> web.Response:
        """Whether a protocol is spoken."""
        wanted = request.match_info["protocol"].lower()
        names = [each.name for each in self.server.listeners]
        if PROTOCOLS.get(wanted, wanted) in names:
            return answer({"status": "ok", "protocol": wanted})
        return failed("No active listener", missing=wanted, protocols=names)

    async def aliveness(self, request: web.Request) -> web.Response:
        """Declares a queue, publishes one message and takes it out."""
        vhost = acting_in(self.server, request)
        try:
            for verb in ("configure", "write", "read"):
                check_right(request, vhost.name, verb, "queue", ALIVENESS_QUEUE)
        except ApiError as error:
            raise refused(f"ACCESS_REFUSED - {error.detail}") from None
        queue = vhost.declare_queue(ALIVENESS_QUEUE)
        message = Message(b"", ALIVENESS_QUEUE.encode(), encode_properties({}), b"test_message")
        await self.server.publish(vhost.default_exchange, message)
        taken: list[Any] = take(queue, 1, "ack_requeue_false", 1)
        return answer({"status": "ok"}) if taken else failed("the message did not arrive")


def failed(reason: str, **details: Any) -> web.Response:
    """503, as RabbitMQ's checks say it."""
    return answer({"status": "failed", "reason": reason, **details}, 503)
