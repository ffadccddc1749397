"""`/api/exchanges`, `/api/bindings`, and publishing over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from aiohttp import web

from broker.core.binding import EXCHANGE, QUEUE
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.management import channel_views, views
from broker.management.asked import (
    acting_in,
    body_of,
    check_right,
    field,
    flag,
    kind,
    needs,
    sees_vhost,
    topic_rights,
    user_of,
    vhost_of,
)
from broker.management.listing import asked_rates, every, listing, name_of_each, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import Rates
from broker.management.replies import (
    ApiError,
    access_refused,
    answer,
    bad_request,
    created,
    no_content,
    not_found,
    nothing_there,
)

KINDS = {"q": QUEUE, "e": EXCHANGE}


class Exchanges:
    """Endpoints about exchanges and bindings."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods. The nameless exchange is `amq.default` in a path."""
        one = "/api/exchanges/{vhost}/{name}"
        between = "/api/bindings/{vhost}/e/{source}/{kind:[qe]}/{destination}"
        return [
            web.get("/api/exchanges", self.list_all),
            web.get("/api/exchanges/{vhost}", self.list_vhost),
            web.get(one, self.show),
            web.put(one, self.declare),
            web.delete(one, self.delete),
            web.get(f"{one}/bindings/source", self.bindings_from),
            web.get(f"{one}/bindings/destination", self.bindings_to),
            web.post(f"{one}/publish", self.publish),
            web.get("/api/bindings", self.bindings),
            web.get("/api/bindings/{vhost}", self.bindings_of_vhost),
            web.get(between, self.bindings_between),
            web.post(between, self.bind),
            web.get(f"{between}/{{properties}}", self.show_binding),
            web.delete(f"{between}/{{properties}}", self.unbind),
        ]

    def exchange(self, request: web.Request, part: str = "name") -> tuple[Any, Any]:
        """The vhost and the exchange that the path names."""
        vhost = vhost_of(self.server, request)
        name = request.match_info[part]
        exchange = vhost.exchanges.get("" if name == "amq.default" else name)
        if exchange is None:
            raise not_found()
        return vhost, exchange

    def exchange_if_any(self, request: web.Request) -> tuple[Any, Any]:
        """The vhost, and the exchange or None: to RabbitMQ, what is not there has no bindings."""
        vhost = vhost_of(self.server, request)
        name = request.match_info["name"]
        return vhost, vhost.exchanges.get("" if name == "amq.default" else name)

    # ── exchanges ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_all(self, request: web.Request) -> web.Response:
        """Every exchange that the user may see."""
        user = user_of(request)
        rows = ((vhost, each) for vhost, each in every(self.server, "exchanges") if sees_vhost(user, vhost.name))
        return await listing(request, rows, self.shape(request), name_of_each)

    async def list_vhost(self, request: web.Request) -> web.Response:
        """The exchanges of one vhost."""
        vhost = vhost_of(self.server, request)
        rows = [(vhost, each) for each in vhost.exchanges.values()]
        return await listing(request, rows, self.shape(request), name_of_each)

    def shape(self, request: web.Request) -> Callable[[tuple[Any, Any]], dict[str, Any]]:
        """How a listing shows an exchange."""
        rates = asked_rates(request, self.rates)
        return lambda row: views.exchange(*row, rates)

    async def show(self, request: web.Request) -> web.Response:
        """One exchange, and the channels that publish to it. What it gives to each queue is not counted."""
        vhost, exchange = self.exchange(request)
        rates, connections = asked_rates(request, self.rates), self.server.connections()
        row = views.exchange(vhost, exchange, rates)
        incoming = await channel_views.incoming_of_exchange(vhost, exchange.name, connections, rates)
        return narrowed(request, {**row, "incoming": incoming, "outgoing": []})

    async def declare(self, request: web.Request) -> web.Response:
        """`{"type", "durable", "auto_delete", "internal", "arguments"}`; 201 where it is new."""
        vhost, name = acting_in(self.server, request), request.match_info["name"]
        check_right(request, vhost.name, "configure", "exchange", name)
        body = await body_of(request)
        is_new = name not in vhost.exchanges
        vhost.declare_exchange(
            name,
            field(body, "type", str, "direct"),
            durable=flag(body, "durable"),
            auto_delete=flag(body, "auto_delete"),
            internal=flag(body, "internal"),
            arguments=field(body, "arguments", dict, {}),
        )
        return created(is_new)

    async def delete(self, request: web.Request) -> web.Response:
        """`?if-unused=true`."""
        vhost, exchange = self.exchange(request)
        acting_in(self.server, request)
        check_right(request, vhost.name, "configure", "exchange", exchange.name)
        vhost.delete_exchange(exchange.name, if_unused=request.query.get("if-unused") == "true")
        return no_content()

    async def publish(self, request: web.Request) -> web.Response:
        """`{"properties", "routing_key", "payload", "payload_encoding"}`; answers when the message is accepted."""
        vhost = acting_in(self.server, request)
        body = needs(await body_of(request), "routing_key", "properties", "payload", "payload_encoding")
        try:
            _, exchange = self.exchange(request)
            check_right(request, vhost.name, "write", "exchange", exchange.name)
        except ApiError as error:  # RabbitMQ publishes over AMQP here, and answers by the channel's reply code
            raise bad_request(as_reply(error, vhost.name, request.match_info["name"])) from None
        if not isinstance(body["payload"], str):
            raise bad_request("payload_not_string", f"got {kind(body['payload'])}")
        payload: str = body["payload"]
        encoding = field(body, "payload_encoding", str)
        if encoding == "base64":
            try:
                octets = base64.b64decode(payload, validate=True)
            except ValueError as error:
                raise bad_request(f"payload: expected base64: {error}") from None
        elif encoding == "string":
            octets = payload.encode()
        else:
            raise bad_request(f"payload_encoding: expected string or base64, got '{encoding}'")
        properties = field(body, "properties", dict)
        try:
            raw = encode_properties(properties)
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            raise bad_request(f"properties: {error}") from None
        message = Message(exchange.name.encode(), field(body, "routing_key", str).encode(), raw, octets)
        topic_rights(self.server, request, vhost).check_publish(exchange.name, message)
        if self.server.broker.alarms:
            # Law 3, in HTTP's words (RFC 6585 §4): a request cannot be made to wait as a connection can.
            raise ApiError(429, "blocked", f"publishing is blocked: {'; '.join(self.server.broker.alarms.values())}")
        routed = await self.server.publish(exchange, message)
        return answer({"routed": routed})

    # ── bindings ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def bindings(self, request: web.Request) -> web.Response:
        """Every binding that the user may see."""
        user = user_of(request)
        vhosts = [each for each in self.server.broker.vhosts.values() if sees_vhost(user, each.name)]
        return await listing(request, (row for vhost in vhosts for row in all_bindings(vhost)))

    async def bindings_of_vhost(self, request: web.Request) -> web.Response:
        """The bindings of one vhost."""
        return await listing(request, all_bindings(vhost_of(self.server, request)))

    async def bindings_from(self, request: web.Request) -> web.Response:
        """Of which the exchange is the source."""
        vhost, exchange = self.exchange_if_any(request)
        if exchange is None:
            return await listing(request, [])
        if exchange.name == "":
            return await listing(request, (views.default_binding(vhost, name) for name in list(vhost.queues)))
        return await listing(request, (views.binding(vhost, each) for each in list(exchange.bindings.values())))

    async def bindings_to(self, request: web.Request) -> web.Response:
        """Of which the exchange is the destination."""
        vhost, exchange = self.exchange_if_any(request)
        rows = (views.binding(vhost, each) for each in vhost.bindings() if each.destination is exchange)
        return await listing(request, rows)

    def ends(self, request: web.Request) -> tuple[Any, Any, Any, str]:
        """Vhost, source, destination and its kind, as the path names them."""
        vhost, source = self.exchange(request, "source")
        kind = KINDS[request.match_info["kind"]]
        named = vhost.queues if kind == QUEUE else vhost.exchanges
        destination = named.get(request.match_info["destination"])
        if destination is None:
            raise not_found()
        return vhost, source, destination, kind

    def check_ends(self, request: web.Request) -> None:
        """A binding that is to be made says which of its ends is not there."""
        vhost = vhost_of(self.server, request)
        ends = request.match_info
        wanted = [(EXCHANGE, ends["source"]), (KINDS[ends["kind"]], ends["destination"])]
        for of_kind, name in wanted:
            named = vhost.queues if of_kind == QUEUE else vhost.exchanges
            if name not in named and name != "amq.default":
                raise nothing_there(f"no {of_kind} '{name}' in vhost '{vhost.name}'")

    def between(self, request: web.Request) -> list[Any]:
        """The bindings between two ends."""
        _, source, destination, _ = self.ends(request)
        return [each for each in source.bindings.values() if each.destination is destination]

    async def bindings_between(self, request: web.Request) -> web.Response:
        """All bindings between two ends; none where an end is missing, as RabbitMQ says it."""
        try:
            vhost, source, destination, _ = self.ends(request)
        except ApiError as error:
            if error.status != 404 or request.match_info["vhost"] not in self.server.broker.vhosts:
                raise
            return await listing(request, [])
        rows = [views.binding(vhost, each) for each in self.between(request)]
        if source.name == "":
            rows = [views.default_binding(vhost, destination.name)]
        return await listing(request, rows)

    async def bind(self, request: web.Request) -> web.Response:
        """`{"routing_key", "arguments"}`; 201 with the place of the binding."""
        self.check_ends(request)
        vhost, source, destination, of_kind = self.ends(request)
        self.check_rights(request, source, destination, of_kind)
        if source.name == "":
            raise access_refused("operation not permitted on the default exchange")
        body = await body_of(request)
        key, arguments = field(body, "routing_key", str, ""), field(body, "arguments", dict, {})
        topic_rights(self.server, request, vhost).check_bind(source.name, key.encode())
        vhost.bind(source, destination, of_kind, key.encode(), arguments)
        place = f"{quote(destination.name, safe='')}/{views.properties_key(key, arguments)}"
        return web.Response(status=201, headers={"Location": place})

    def found(self, request: web.Request) -> Any:
        """The binding that the path names by its properties."""
        wanted = request.match_info["properties"]
        vhost, *_ = self.ends(request)
        for each in self.between(request):
            row = views.binding(vhost, each)
            if wanted in (row["properties_key"], row["routing_key"] if not each.arguments else None):
                return each
        raise not_found()

    async def show_binding(self, request: web.Request) -> web.Response:
        """One binding."""
        vhost, source, destination, _ = self.ends(request)
        if source.name == "":
            row = views.default_binding(vhost, destination.name)
            if request.match_info["properties"] != row["properties_key"]:
                raise not_found()
            return answer(row)
        return answer(views.binding(vhost, self.found(request)))

    async def unbind(self, request: web.Request) -> web.Response:
        """Remove one binding."""
        vhost, source, destination, kind = self.ends(request)
        self.check_rights(request, source, destination, kind)
        if source.name == "":
            raise access_refused("operation not permitted on the default exchange")
        binding = self.found(request)
        vhost.unbind(source, destination, kind, binding.key, binding.arguments)
        return no_content()

    def check_rights(self, request: web.Request, source: Any, destination: Any, kind: str) -> None:
        """Read from the source, write to the destination, as over AMQP."""
        vhost = acting_in(self.server, request)
        check_right(request, vhost.name, "read", "exchange", source.name)
        check_right(request, vhost.name, "write", kind, destination.name)


def as_reply(error: ApiError, vhost: str, exchange: str) -> str:
    """A refusal by AMQP's reply code (AMQP 0-9-1 §1.2)."""
    if error.status == 404:
        return f"404 NOT_FOUND - no exchange '{exchange}' in vhost '{vhost}'"
    return f"403 ACCESS_REFUSED - {error.detail or error.reason}"


def all_bindings(vhost: Any) -> Iterator[dict[str, Any]]:
    """The implicit bindings of the nameless exchange, then the explicit ones."""
    for name in list(vhost.queues):
        yield views.default_binding(vhost, name)
    for each in list(vhost.bindings()):
        yield views.binding(vhost, each)
