"""`/api/queues`, `/api/bindings` of a queue, its messages, and what may be done to it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from broker.core import errors
from broker.core.browsing import move, take
from broker.management import channel_views, views
from broker.management.asked import (
    ADMINISTRATOR,
    acting_in,
    body_of,
    check_right,
    field,
    flag,
    needs,
    number,
    require,
    sees_vhost,
    user_of,
    vhost_of,
)
from broker.management.listing import asked_rates, every, listing, name_of_each, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import Rates
from broker.management.replies import (
    ApiError,
    answer,
    bad_request,
    created,
    no_content,
    not_found,
    nothing_there,
    refused,
)

GET_MAX = 50_000
"""Messages that one request may ask for."""
GET_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of bodies that one answer holds."""
MOVED_PER_SLICE = 1000
MOVED_BYTES_PER_SLICE = 4 * 1024 * 1024
"""What one batch of moved messages holds."""
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
            web.post("/api/hubbub/queues/{vhost}/{name}/move", self.move),
            web.post("/api/rebalance/queues", self.rebalance),
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
        check_not_exclusive(queue)
        return vhost, queue

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_all(self, request: web.Request) -> web.Response:
        """Every queue that the user may see."""
        user = user_of(request)
        rows = ((vhost, each) for vhost, each in every(self.server, "queues") if sees_vhost(user, vhost.name))
        return await listing(request, rows, self.shape(request), name_of_each)

    async def list_vhost(self, request: web.Request) -> web.Response:
        """The queues of one vhost."""
        vhost = vhost_of(self.server, request)
        rows = [(vhost, each) for each in vhost.queues.values()]
        return await listing(request, rows, self.shape(request), name_of_each)

    def shape(self, request: web.Request) -> Callable[[tuple[Any, Any]], dict[str, Any]]:
        """How a listing shows a queue: `disable_stats=true` leaves out what has to be counted."""
        if request.query.get("disable_stats") != "true":
            rates = asked_rates(request, self.rates)
            return lambda row: views.queue(*row, rates)
        if request.query.get("enable_queue_totals") != "true":
            return lambda row: views.queue_head(*row)
        return lambda row: {**views.queue_head(*row), **views.queue_totals(row[1])}

    async def show(self, request: web.Request) -> web.Response:
        """One queue, with its consumers, and the channels that it serves. Whence messages come is not counted."""
        vhost, queue = self.queue(request)
        details = list(views.consumers_of(vhost, queue))
        rates, connections = asked_rates(request, self.rates), self.server.connections()
        row = views.queue(vhost, queue, rates)
        deliveries = await channel_views.deliveries_of_queue(vhost, queue.name, connections, rates)
        return narrowed(request, {**row, "consumer_details": details, "incoming": [], "deliveries": deliveries})

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
            durable=flag(body, "durable"),
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
        require(request, {ADMINISTRATOR})
        self.acted_on(request, "configure")
        action = field(await body_of(request), "action", str)
        if action not in ("sync", "cancel_sync"):
            raise bad_request(f"unknown: {action}")
        return no_content()

    async def move(self, request: web.Request) -> web.Response:
        """`{"destination", "count"}`: what is ready goes to the end of another queue of the vhost; `{"moved", "left"}`.

        In slices, each in one batch. It ends with the `count` that was asked for, by default with as many as were
        ready when it began; with a message that the destination refuses; or when either queue is deleted.
        """
        vhost, source = self.acted_on(request, "read")
        body = needs(await body_of(request), "destination")
        name = field(body, "destination", str)
        destination = vhost.queues.get(name)
        if destination is None:
            raise bad_request(f"NOT_FOUND - no queue '{name}' in vhost '{vhost.name}'")
        if destination is source:
            raise bad_request("destination: expected another queue")
        check_right(request, vhost.name, "write", "queue", name)
        check_not_exclusive(destination)
        count = number(body, "count", source.ready_count)
        if count < 0:
            raise bad_request(f"count: expected 0 or more, got {count}")
        moved = 0
        while moved < count and not (source.deleted or destination.deleted):
            self.server.turn.enter()
            wanted = min(count - moved, MOVED_PER_SLICE)
            done = move(source, destination, wanted, MOVED_BYTES_PER_SLICE)
            if not done:
                break
            moved += done
            await self.server.stored()  # as fast as the disk, and others go on meanwhile
        return answer({"moved": moved, "left": source.ready_count})

    async def rebalance(self, request: web.Request) -> web.Response:
        """Queues are where they belong: there is one node."""
        require(request, {ADMINISTRATOR})
        return no_content()

    async def get(self, request: web.Request) -> web.Response:
        """Takes messages out, or looks at them and puts them back: `{"count", "ackmode", "encoding", "truncate"}`."""
        try:
            _, queue = self.acted_on(request, "read")
        except ApiError as error:  # RabbitMQ gets over AMQP here, and answers by the channel's reply
            raise as_reply(self.server, request, error) from None
        body = needs(await body_of(request), "ackmode", "count", "encoding")
        count = number(body, "count")
        mode = field(body, "ackmode", str)
        if mode not in ACK_MODES:
            raise bad_request(f"ackmode: expected one of {', '.join(ACK_MODES)}, got '{mode}'")
        encoding = field(body, "encoding", str)
        if encoding not in ("auto", "base64"):
            raise bad_request("Unsupported encoding. Please use auto or base64.")
        truncate = number(body, "truncate", None)
        if not 0 <= count <= GET_MAX or (truncate is not None and truncate < 0):
            raise bad_request(f"count: expected 0 to {GET_MAX}, got {count}; truncate: expected 0 or more")
        taken = take(queue, count, mode, GET_BYTES_MAX)
        return answer([shown(each, encoding, truncate) for each in taken])


def as_reply(server: ObservedServer, request: web.Request, error: ApiError) -> ApiError:
    """A refusal as the channel would say it (AMQP 0-9-1 §1.2)."""
    vhost, name = request.match_info["vhost"], request.match_info["name"]
    if error.status == 404 and vhost in server.broker.vhosts:
        return nothing_there(f"NOT_FOUND - no queue '{name}' in vhost '{vhost}'")
    return refused(f"ACCESS_REFUSED - {error.detail}") if error.status == 401 and error.detail else error


def check_not_exclusive(queue: Any) -> None:
    """An exclusive queue is its connection's alone."""
    if queue.exclusive_owner is not None:
        raise bad_request(f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}'")


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
