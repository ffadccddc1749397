"""`/api/queues`, `/api/bindings` of a queue, its messages, and what may be done to it."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

from aiohttp import web

from broker.core import errors
from broker.core.browsing import take
from broker.management import views
from broker.management.asked import (
    acting_in,
    body_of,
    check_right,
    field,
    flag,
    sees_vhost,
    user_of,
    vhost_of,
)
from broker.management.listing import every, listing
from broker.management.observed import ObservedServer
from broker.management.rates import Rates
from broker.management.replies import answer, bad_request, created, no_content, not_found

GET_MAX = 50_000
"""Messages that one request may ask for."""
GET_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of bodies that one answer holds."""
UTF8_BYTES_MAX = 4
"""Of one character."""
ACK_MODES = ("ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false")


class Queues:
    """Endpoints about queues."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        one = "/api/queues/{vhost}/{name}"
        return [
            web.get("/api/queues", self.list_all),
            web.get("/api/queues/detailed", self.list_all),
            web.get("/api/queues/{vhost}", self.list_vhost),
            web.get(one, self.show),
            web.put(one, self.declare),
            web.delete(one, self.delete),
            web.get(f"{one}/bindings", self.bindings),
            web.delete(f"{one}/contents", self.purge),
            web.post(f"{one}/get", self.get),
            web.post(f"{one}/actions", self.act),
        ]

    def queue(self, request: web.Request) -> tuple[Any, Any]:
        """The vhost and the queue that the path names."""
        vhost = vhost_of(self.server, request)
        queue = vhost.queues.get(request.match_info["name"])
        if queue is None:
            raise not_found()
        return vhost, queue

    def acted_on(self, request: web.Request, verb: str) -> tuple[Any, Any]:
        """The same, for whoever may `verb` it. An exclusive queue is its connection's alone."""
        vhost, queue = self.queue(request)
        acting_in(self.server, request)
        check_right(request, vhost.name, verb, "queue", queue.name)
        if queue.exclusive_owner is not None:
            raise bad_request(f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}'")
        return vhost, queue

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_all(self, request: web.Request) -> web.Response:
        """Every queue that the user may see."""
        user = user_of(request)
        rows = every(self.server, "queues")
        return await listing(
            request, (views.queue(vhost, each, self.rates) for vhost, each in rows if sees_vhost(user, vhost.name))
        )

    async def list_vhost(self, request: web.Request) -> web.Response:
        """The queues of one vhost."""
        vhost = vhost_of(self.server, request)
        return await listing(request, (views.queue(vhost, each, self.rates) for each in list(vhost.queues.values())))

    async def show(self, request: web.Request) -> web.Response:
        """One queue, with its consumers."""
        vhost, queue = self.queue(request)
        details = [each for each in views.consumers(vhost) if each["queue"]["name"] == queue.name]
        return answer({**views.queue(vhost, queue, self.rates), "consumer_details": details})

    async def bindings(self, request: web.Request) -> web.Response:
        """The bindings of which the queue is the destination."""
        vhost, queue = self.queue(request)
        rows = [views.default_binding(vhost, queue.name), *(views.binding(vhost, each) for each in queue.bindings)]
        return await listing(request, rows)

    # ── changing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def declare(self, request: web.Request) -> web.Response:
        """`{"durable", "auto_delete", "arguments"}`; 201 where it is new."""
        vhost, name = acting_in(self.server, request), request.match_info["name"]
        check_right(request, vhost.name, "configure", "queue", name)
        body = await body_of(request)
        is_new = name not in vhost.queues
        vhost.declare_queue(
            name,
            durable=flag(body, "durable") if "durable" in body else True,
            auto_delete=flag(body, "auto_delete"),
            arguments=field(body, "arguments", dict, {}),
        )
        return created(is_new)

    async def delete(self, request: web.Request) -> web.Response:
        """`?if-unused=true`, `?if-empty=true`."""
        vhost, queue = self.acted_on(request, "configure")
        vhost.delete_queue(
            queue,
            if_unused=request.query.get("if-unused") == "true",
            if_empty=request.query.get("if-empty") == "true",
        )
        return no_content()

    async def purge(self, request: web.Request) -> web.Response:
        """Every ready message goes."""
        _, queue = self.acted_on(request, "read")
        queue.purge()
        return no_content()

    async def act(self, request: web.Request) -> web.Response:
        """`{"action": "sync"}` and the like mean nothing for one node: accepted, as RabbitMQ without mirrors does."""
        self.acted_on(request, "configure")
        action = field(await body_of(request), "action", str)
        if action not in ("sync", "cancel_sync"):
            raise bad_request(f"unknown action '{action}'")
        return no_content()

    async def get(self, request: web.Request) -> web.Response:
        """Takes messages out, or looks at them and puts them back: `{"count", "ackmode", "encoding", "truncate"}`."""
        _, queue = self.acted_on(request, "read")
        body = await body_of(request)
        count = field(body, "count", int)
        mode = field(body, "ackmode", str, None)
        if mode is None:
            mode = "ack_requeue_true" if flag(body, "requeue") else "ack_requeue_false"
        if mode not in ACK_MODES:
            raise bad_request(f"ackmode: expected one of {', '.join(ACK_MODES)}, got '{mode}'")
        encoding = field(body, "encoding", str)
        if encoding not in ("auto", "base64"):
            raise bad_request(f"encoding: expected auto or base64, got '{encoding}'")
        truncate = field(body, "truncate", int, None)
        if not 0 < count <= GET_MAX or (truncate is not None and truncate < 0):
            raise bad_request(f"count: expected 1 to {GET_MAX}, got {count}")
        taken = take(queue, count, mode, GET_BYTES_MAX)
        return answer([shown(each, encoding, truncate) for each in taken])


def shown(taken: Any, encoding: str, truncate: int | None) -> dict[str, Any]:
    """One message of `POST …/get`. Text as text where it is UTF-8 and the encoding is auto."""
    message = taken.message
    return {
        "payload_bytes": message.body_size,
        "redelivered": taken.redelivered,
        "exchange": message.exchange.decode(errors="replace"),
        "routing_key": message.routing_key.decode(errors="replace"),
        "message_count": taken.left,
        "properties": views.plain(properties(message)),
        **payload_shown(message, encoding, truncate),
    }


def payload_shown(message: Any, encoding: str, truncate: int | None) -> dict[str, str]:
    """A body, or its first `truncate` bytes, with the encoding that it is shown in."""
    payload = message.body if truncate is None else message.body[:truncate]
    if encoding == "auto":
        try:
            return {"payload": payload.decode(), "payload_encoding": "string"}
        except UnicodeDecodeError as error:
            if len(payload) < message.body_size and len(payload) - error.start < UTF8_BYTES_MAX:  # cut in a character
                with suppress(UnicodeDecodeError):
                    return {"payload": payload[: error.start].decode(), "payload_encoding": "string"}
    return {"payload": base64.b64encode(payload).decode(), "payload_encoding": "base64"}


def properties(message: Any) -> dict[str, Any]:
    """What the publisher said of the message; a broken property list says nothing."""
    try:
        found: dict[str, Any] = message.properties
    except (ValueError, errors.CoreError):
        return {}
    return found
