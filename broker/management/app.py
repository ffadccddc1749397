"""The HTTP API, the web UI, health and metrics, on the broker's own loop.

Owns serving, logins over HTTP, and what is around every request. The endpoints are in `resources`. They read the core;
what they make it do they ask for by the core's own verbs. Long answers are made in slices, so that no listing stops the
messages.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from broker.core.access import User
from broker.core.errors import CoreError, TooManyLogins
from broker.core.events import ACTING_USER
from broker.core.undecided import Undecided
from broker.management.asked import ADMINISTRATOR, MAY_LOG_IN, USER, body_of, field, has_tag, refuse_forms, require
from broker.management.observed import ObservedServer
from broker.management.page import PageFiles
from broker.management.proxied import CONNECTION, Through, serve_proxied
from broker.management.rates import Rates
from broker.management.reference import Reference
from broker.management.replies import (
    ApiError,
    answer,
    bad_request,
    error_answer,
    login_failed,
    login_missing,
    not_found,
    refused,
    translated,
)
from broker.management.request_log import LOGGER, request_log
from broker.management.resources.connections import Connections
from broker.management.resources.definitions import Definitions
from broker.management.resources.exchanges import Exchanges
from broker.management.resources.explain import Explain
from broker.management.resources.health import Health
from broker.management.resources.history import Histories
from broker.management.resources.mqtt import Mqtt
from broker.management.resources.mqtt_acls import MqttAcls
from broker.management.resources.nodes import Nodes
from broker.management.resources.operation import Operation
from broker.management.resources.overview import Overview
from broker.management.resources.policies import ParameterEndpoints, PolicyEndpoints
from broker.management.resources.queues import Queues
from broker.management.resources.topic_permissions import TopicPermissions
from broker.management.resources.traces import Traces
from broker.management.resources.users import Users
from broker.management.resources.vhosts import Vhosts
from broker.management.scrapes import Scrapes
from broker.management.silence import Silence
from broker.management.told_requests import tell_what_comes_of

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

SLASHES = "{_:/*}"
"""Behind a path, slashes mean nothing: clients of RabbitMQ's API put some there."""
PARAMETER, ANY_NAME = re.compile(r"{(\w+)}"), r"{\1:[^/]+}"
"""A name in a path may have braces, which aiohttp takes for none of its own accord."""
OPEN = ("/", "/api/auth", "/api", "/api/", "/api/index.html", "/api/hubbub/openapi.json")
"""What there is to ask is for everybody to know."""

METHODS = ("HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS")
"""In RabbitMQ's order."""

REQUEST_BYTES_MAX = 64 * 1024 * 1024
"""Of a request's body: definitions of a large broker, or one message."""


QUESTIONS_MAX = 1000
"""That others may be asked about a user's rights within one request."""


class Listening(Protocol):
    """A listener: its bound socket is served. `tls`: the context of HTTPS, or None."""

    listening: Any
    tls: Any


class Management:
    """What is served for one broker."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server
        self.rates = Rates(time.monotonic)
        self.health = Health(server)

    async def serve(
        self, make: Callable[[], web.Application], listener: Listening, through: Through | None = None
    ) -> Callable[[], Awaitable[None]]:
        """Serve on a bound socket; what comes back stops it. `through`: who accepts instead, and knows the clients."""
        application, silence = make(), Silence()
        application.middlewares.insert(0, silence.notice)
        runner = web.AppRunner(application, logger=request_log(), shutdown_timeout=1.0, **CONNECTION)
        await runner.setup()
        silence.watch(runner.server)
        if through is None:
            await web.SockSite(runner, listener.listening, ssl_context=listener.tls).start()
        else:
            through(partial(serve_proxied, runner, listener.tls))

        async def stop() -> None:
            silence.stop()
            await runner.cleanup()

        return stop

    def api(self) -> web.Application:
        """Port 15672: `/`, `/api`, `/health`, `/metrics`."""
        server, rates = self.server, self.rates
        application = web.Application(
            middlewares=[self._in_their_words, self._within_turn, self._login, self._decided],
            client_max_size=REQUEST_BYTES_MAX,
        )
        application.add_routes(PageFiles().routes())
        histories = Histories(server)
        application.cleanup_ctx.append(histories.beating)
        routes = [web.post("/api/hubbub/backup", self._backup)]
        for resource in (
            Overview(server, rates),
            Nodes(server, rates),
            Queues(server, rates),
            Exchanges(server, rates),
            Connections(server, rates),
            Mqtt(server),
            MqttAcls(server),
            Explain(server),
            Traces(server),
            Vhosts(server, rates),
            Users(server),
            TopicPermissions(server),
            PolicyEndpoints(server, operator=False),
            PolicyEndpoints(server, operator=True),
            ParameterEndpoints(server),
            Definitions(server),
            Operation(server),
            histories,
            self.health,
        ):
            routes += resource.routes()
        routes += Reference(routes).routes()
        application.add_routes(
            web.RouteDef(each.method, PARAMETER.sub(ANY_NAME, each.path) + SLASHES, each.handler, each.kwargs)
            for each in routes
        )
        application.add_routes(self.health.probes())
        application.add_routes(Scrapes(self.server).routes())
        for path in server.websocket_paths:
            application.router.add_get(path, self._websocket)
        return application

    def metrics(self) -> web.Application:
        """Port 15692: `/metrics`, and `/metrics/per-object` with every queue's own figures."""
        application = web.Application(middlewares=[self._in_their_words, self._within_turn])
        application.add_routes(Scrapes(self.server).routes())
        application.add_routes(self.health.probes())
        return application

    # ── around every request ──────────────────────────────────────────────────────────────────────────────────────

    @web.middleware
    async def _in_their_words(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """Whatever is refused, by whom ever, as RabbitMQ's API says it."""
        challenge = request.headers.get("X-Requested-With") != "XMLHttpRequest"
        try:
            refuse_forms(request)
            return await handler(request)
        except ApiError as error:
            return error_answer(error, challenge)
        except CoreError as error:
            return error_answer(translated(error), challenge)
        except web.HTTPRequestEntityTooLarge:
            return error_answer(ApiError(413, "payload_too_large", f"a body has at most {REQUEST_BYTES_MAX} bytes"))
        except web.HTTPMethodNotAllowed as error:
            return not_allowed(request, error.allowed_methods)
        except web.HTTPException as error:
            return error_answer(
                not_found() if error.status == 404 else ApiError(error.status, error.reason, error.reason)
            )
        except Exception:  # a mistake of ours
            LOGGER.exception("%s %s: internal error", request.method, request.path)
            return error_answer(ApiError(500, "internal_error", "an error of the broker; its log has the details"))

    @web.middleware
    async def _within_turn(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """The core's clock is read, and what the request changes is committed: as for what comes over AMQP."""
        self.server.turn.enter()
        answered = await handler(request)
        if request.method != "GET" and answered.status < 400:
            await self.server.stored()  # law 1: nobody is told "yes" before the disk has it
        return answered

    @web.middleware
    async def _login(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """HTTP basic authentication (RFC 7617) by the broker's users; health is for everybody, WebSockets ask.

        So does the web UI, whose files tell nothing of the broker.
        """
        is_open = request.path.startswith(("/health/", "/ui/")) or request.path in (*OPEN, *self.server.websocket_paths)
        if is_open or request.method == "OPTIONS":  # a browser asks what it may, before it sends a login
            return await handler(request)
        if isinstance(request.match_info.http_exception, web.HTTPNotFound):
            raise not_found()  # there is no such path, for nobody
        peer = request.remote or ""
        try:
            name, password = credentials(request.headers.get("Authorization", ""))
        except ValueError as error:
            raise login_missing(str(error)) from None
        access = self.server.broker.access
        try:
            user = await decided(lambda: access.authenticate(name, password, is_loopback(peer), peer))
        except CoreError as error:
            self._tell_login("failure", name, peer, error=str(error))
            if isinstance(error, TooManyLogins):
                raise
            # Whether it is the name or the password is nobody's business; how long to wait is.
            raise login_failed("Login failed" if error.text.endswith("invalid credentials") else error.text) from None
        self._tell_login("success", user.name, peer)
        ACTING_USER.set(user.name)  # in this request's task
        if not has_tag(user, MAY_LOG_IN):
            raise refused("Not management user")
        request[USER] = user
        return await tell_what_comes_of(self.server.broker.events, request, peer, handler)

    @web.middleware
    async def _decided(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        """Where others are asked what the user may, the request is begun anew with their answer."""
        for _ in range(QUESTIONS_MAX):
            try:
                return await handler(request)
            except Undecided as undecided:
                await decision(undecided)
        raise ApiError(503, "service_unavailable", f"more than {QUESTIONS_MAX} questions about one user's rights")

    def _tell_login(self, outcome: str, name: str, peer: str, **more: str) -> None:
        self.server.broker.events.attempted("http", peer, name, outcome == "success")
        self.server.broker.events.tell(
            f"user.authentication.{outcome}", name=name, peer_host=peer, connection_type="http", **more
        )

    # ── endpoints that belong to no kind of object ────────────────────────────────────────────────────────────────

    async def _backup(self, request: web.Request) -> web.Response:
        """`{"directory": "/absolute/path"}` on the broker's machine; answers when the copy is complete."""
        require(request, {ADMINISTRATOR})
        directory = Path(field(await body_of(request), "directory", str))
        if not directory.is_absolute():
            raise bad_request(f"expected an absolute path, got '{directory}'")
        try:
            # In a thread, which releases the GIL for the copy itself.
            await asyncio.to_thread(self.server.store.backup, str(directory))
        except Exception as error:
            raise ApiError(500, "backup_failed", str(error)) from error
        return answer({"directory": str(directory)}, status=201)

    async def _websocket(self, request: web.Request) -> web.Response:
        """The connection is no longer ours: whatever is said to the request, the WebSockets' edge says."""
        lines = [b"%s %s HTTP/%d.%d" % (request.method.encode(), request.raw_path.encode(), *request.version)]
        lines += [b"%s: %s" % header for header in request.raw_headers]
        try:
            peer = request.protocol.peername
            host, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
            await self.server.adopt_websocket(request.transport, (host, port), b"\r\n".join(lines) + b"\r\n\r\n")
        finally:
            # The transport has another protocol now, so nobody else tells this one.
            asyncio.get_running_loop().call_soon(request.protocol.connection_lost, None)
        return web.Response()


def not_allowed(request: web.Request, methods: Iterable[str]) -> web.Response:
    """405, or the answer to OPTIONS: what may be done here (RFC 9110 §9.3.7)."""
    allow = {"Allow": ", ".join(each for each in METHODS if each in {*methods, "OPTIONS"})}
    if request.method == "OPTIONS":
        return web.Response(headers=allow)
    failed = error_answer(ApiError(405, "Method Not Allowed", f"{request.method} is not for this path"))
    failed.headers.update(allow)
    return failed


async def decided(ask: Callable[[], User]) -> User:
    """What comes back, when those who are asked have answered."""
    while True:
        try:
            return ask()
        except Undecided as undecided:
            await decision(undecided)


async def decision(undecided: Undecided) -> None:
    """Wait until whoever is asked has answered."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not future.done():
            future.set_result(None)

    undecided.question.when_decided(tell)
    await future


def credentials(header: str) -> tuple[str, bytes]:
    """Name and password of `Authorization: Basic`; of `Bearer` (RFC 6750) no name, and the token. ValueError."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() == "bearer" and encoded.strip():
        return "", encoded.strip().encode()
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
