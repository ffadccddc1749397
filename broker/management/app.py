"""The HTTP API, the overview page, health and metrics, on the broker's own loop.

Owns routes, logins over HTTP and what an operator may ask for. Reads the core; what it makes the core do (a backup) it
asks for by the core's own verbs. Long answers are made in slices, so that no listing stops the messages.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from broker.core.errors import CoreError
from broker.management import metrics, overview
from broker.management.observed import ObservedServer
from broker.management.page import PAGE

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

READING_TAGS = {"administrator", "monitoring", "management"}
QUEUES_PER_SLICE = 200
REQUEST_BYTES_MAX = 1024 * 1024


class Listening(Protocol):
    """A listener: its bound socket is served."""

    listening: Any


class Management:
    """What is served for one broker."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    async def serve(self, application: web.Application, listener: Listening) -> Callable[[], Awaitable[None]]:
        """Serve on a bound socket; what comes back stops it."""
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, listener.listening).start()
        return runner.cleanup

    def api(self) -> web.Application:
        """Port 15672: `/`, `/api`, `/health`."""
        application = web.Application(middlewares=[self._within_turn, self._login], client_max_size=REQUEST_BYTES_MAX)
        application.router.add_get("/", self._page)
        application.router.add_get("/api/overview", self._overview)
        application.router.add_get("/api/queues", self._queues)
        application.router.add_get("/api/queues/{vhost}", self._queues)
        application.router.add_get("/api/queues/{vhost}/{name}", self._queue)
        application.router.add_post("/api/hubbub/backup", self._backup)
        for path in self.server.websocket_paths:
            application.router.add_get(path, self._websocket)
        self._add_health(application)
        return application

    def metrics(self) -> web.Application:
        """Port 15692: `/metrics`, and `/metrics/per-object` with every queue's own figures."""
        application = web.Application(middlewares=[self._within_turn])
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/metrics/per-object", self._metrics)
        self._add_health(application)
        return application

    def _add_health(self, application: web.Application) -> None:
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)

    # ── around every request ──────────────────────────────────────────────────────────────────────────────────────

    @web.middleware
    async def _within_turn(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """The core's clock is read, and what the request changes is committed: as for what comes over AMQP."""
        self.server.turn.enter()
        return await handler(request)

    @web.middleware
    async def _login(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """HTTP basic authentication (RFC 7617) by the broker's users; health is for everybody, WebSockets ask."""
        if request.path.startswith("/health/") or request.path in self.server.websocket_paths:
            return await handler(request)
        peer = request.remote or ""
        try:
            name, password = basic_credentials(request.headers.get("Authorization", ""))
            user = self.server.broker.access.authenticate(name, password, is_loopback(peer), peer)
        except (ValueError, CoreError) as error:
            return _error(401, "not_authorised", str(error), {"WWW-Authenticate": 'Basic realm="Hubbub"'})
        allowed = {"administrator"} if request.method != "GET" else READING_TAGS
        if not allowed & set(user.tags):
            return _error(403, "not_authorised", f"user '{name}' has none of the tags: {', '.join(sorted(allowed))}")
        return await handler(request)

    # ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def _overview(self, request: web.Request) -> web.Response:
        return web.json_response(overview.overview(self.server))

    async def _queues(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("vhost")
        if wanted is not None and wanted not in self.server.broker.vhosts:
            return _error(404, "not_found", f"no vhost '{wanted}'")
        rows = []
        for count, (vhost, each) in enumerate(list(overview.all_queues(self.server)), 1):
            if wanted is None or vhost.name == wanted:
                rows.append(overview.queue(vhost, each))
            if count % QUEUES_PER_SLICE == 0:
                await asyncio.sleep(0)
        return web.json_response(rows)

    async def _queue(self, request: web.Request) -> web.Response:
        vhost = self.server.broker.vhosts.get(request.match_info["vhost"])
        each = vhost.queues.get(request.match_info["name"]) if vhost is not None else None
        if vhost is None or each is None:
            return _error(404, "not_found", f"no queue '{request.match_info['name']}'")
        return web.json_response(overview.queue(vhost, each))

    async def _backup(self, request: web.Request) -> web.Response:
        """`{"directory": "/absolute/path"}` on the broker's machine; answers when the copy is complete."""
        try:
            wanted = json.loads(await request.text())["directory"]
            directory = Path(wanted)
        except (ValueError, KeyError, TypeError):
            return _error(400, "bad_request", 'expected {"directory": "/absolute/path"}')
        if not directory.is_absolute():
            return _error(400, "bad_request", f"expected an absolute path, got '{directory}'")
        try:
            # In a thread, which releases the GIL for the copy itself.
            await asyncio.to_thread(self.server.store.backup, str(directory))
        except Exception as error:
            return _error(500, "backup_failed", str(error))
        return web.json_response({"directory": str(directory)}, status=201)

    async def _metrics(self, request: web.Request) -> web.Response:
        text = metrics.exposition(self.server, per_queue=request.path.endswith("/per-object"))
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _websocket(self, request: web.Request) -> web.Response:
        """The connection is no longer ours: whatever is said to the request, the WebSockets' edge says."""
        lines = [b"%s %s HTTP/%d.%d" % (request.method.encode(), request.raw_path.encode(), *request.version)]
        lines += [b"%s: %s" % header for header in request.raw_headers]
        try:
            await self.server.adopt_websocket(request.transport, b"\r\n".join(lines) + b"\r\n\r\n")
        finally:
            # The transport has another protocol now, so nobody else tells this one.
            asyncio.get_running_loop().call_soon(request.protocol.connection_lost, None)
        return web.Response()

    async def _live(self, request: web.Request) -> web.Response:
        """The loop turns: it answers."""
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        """Publishing is possible: no alarm stands."""
        alarms = dict(self.server.broker.alarms)
        if alarms:
            return web.json_response({"status": "blocked", "alarms": alarms}, status=503)
        return web.json_response({"status": "ok"})


def basic_credentials(header: str) -> tuple[str, bytes]:
    """Name and password of an `Authorization: Basic` header. ValueError."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise ValueError("expected a login by HTTP basic authentication")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        if not colon:
            raise ValueError("expected name:password")
        return name.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("expected base64 of name:password") from None


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _error(status: int, word: str, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error in the shape of RabbitMQ's API."""
    return web.json_response({"error": word, "reason": reason}, status=status, headers=headers)
