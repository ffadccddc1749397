"""`/api/vhosts` and `/api/vhost-limits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from broker.core.totals import QueueTotals, exchange_totals
from broker.management import views
from broker.management.asked import ADMINISTRATOR, body_of, field, flag, needs, require, sees_vhost, user_of, vhost_of
from broker.management.listing import asked_rates, listing, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import DATA_RATES, LENGTHS, AskedRates, Rates
from broker.management.replies import answer, bad_request, created, no_content, not_found
from broker.management.slices import done

NAME_BYTES_MAX = 255
DESCRIPTION_MAX = 4096
"""Characters of a vhost's description and tags."""
NO_OCTETS = {"recv_oct": 0, "send_oct": 0}


class Vhosts:
    """Endpoints about virtual hosts."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/vhosts", self.list_all),
            web.get("/api/vhosts/{vhost}", self.show),
            web.put("/api/vhosts/{vhost}", self.create),
            web.delete("/api/vhosts/{vhost}", self.delete),
            web.get("/api/vhosts/{vhost}/permissions", self.permissions),
            web.post("/api/vhosts/{vhost}/start/{node}", self.start),
            web.get("/api/vhost-limits", self.limits),
            web.get("/api/vhost-limits/{vhost}", self.limits_of),
            web.put("/api/vhost-limits/{vhost}/{name}", self.set_limit),
            web.delete("/api/vhost-limits/{vhost}/{name}", self.clear_limit),
        ]

    def row(self, vhost: Any, rates: AskedRates, octets: Mapping[str, dict[str, int]]) -> dict[str, Any]:
        """One element of `GET /api/vhosts`. `octets`: of the connections there are now, by vhost."""
        name, totals = vhost.name, QueueTotals(vhost.queues.values())
        ready, unacked = totals.ready, totals.unacked
        return {
            "name": name,
            **described(vhost),
            "default_queue_type": "classic",
            "tracing": vhost.name in self.server.broker.firehoses,
            "cluster_state": {views.NODE: "running"},
            **rates.with_rates(
                ("vhost", name, "depth"),
                {"messages": ready + unacked, "messages_ready": ready, "messages_unacknowledged": unacked},
                LENGTHS,
            ),
            **rates.with_rates(("vhost", name, "octets"), octets.get(name, NO_OCTETS), DATA_RATES),
            "message_stats": rates.with_rates(
                ("vhost", name), {**views.message_stats(totals.counts), **self.published(vhost)}
            ),
        }

    def published(self, vhost: Any) -> dict[str, int]:
        """What is counted where messages come in."""
        counts = exchange_totals(list(vhost.exchanges.values()))
        dialects = self.server.dialects.values()
        return {
            "confirm": sum(each.confirmed_in(vhost.name) for each in dialects if hasattr(each, "confirmed_in")),
            "return_unroutable": counts["returned"],
            "drop_unroutable": counts["unroutable"] - counts["returned"],
        }

    def octets(self) -> dict[str, dict[str, int]]:
        """What the connections of each vhost have received and sent; those that are closed are not counted."""
        sums: dict[str, dict[str, int]] = {}
        for each in self.server.connections():
            of_vhost = sums.setdefault(views.vhost_name(each), dict(NO_OCTETS))
            of_vhost["recv_oct"] += each.output.bytes_received
            of_vhost["send_oct"] += each.output.bytes_sent
        return sums

    async def list_all(self, request: web.Request) -> web.Response:
        """Every vhost that the user may see."""
        user = user_of(request)
        vhosts = list(self.server.broker.vhosts.values())
        rates, octets = asked_rates(request, self.rates), self.octets()
        return await listing(request, (self.row(each, rates, octets) for each in vhosts if sees_vhost(user, each.name)))

    async def show(self, request: web.Request) -> web.Response:
        """One vhost."""
        vhost = vhost_of(self.server, request)
        return narrowed(request, self.row(vhost, asked_rates(request, self.rates), self.octets()))

    async def create(self, request: web.Request) -> web.Response:
        """`{"description", "tags", "tracing"}`; 201 where it is new, and its maker may do everything in it."""
        user = require(request, {ADMINISTRATOR})
        body = await body_of(request)
        name = request.match_info["vhost"]
        if not 0 < len(name.encode()) <= NAME_BYTES_MAX:
            raise bad_request(f"expected a name of 1 to {NAME_BYTES_MAX} bytes")
        tracing = flag(body, "tracing")
        broker = self.server.broker
        is_new = name not in broker.vhosts
        description = description_of(body)
        vhost = broker.add_vhost(name)
        describe(broker, vhost, description)
        if "tracing" in body:
            if tracing:
                broker.trace_on(vhost, views.NODE)
            else:
                broker.trace_off(vhost)
        if is_new:
            broker.access.set_permission(name, user.name, ".*", ".*", ".*")
        return created(is_new)

    async def delete(self, request: web.Request) -> web.Response:
        """The vhost goes with everything in it; its connections are closed."""
        require(request, {ADMINISTRATOR})
        vhost = self.server.broker.vhosts.get(request.match_info["vhost"])
        if vhost is None:
            raise not_found()
        self.close_connections(vhost)
        await done(self.server.broker.deleting_vhost(vhost))
        self.close_connections(vhost)  # who came meanwhile, as somebody whom others know
        return no_content()

    def close_connections(self, vhost: Any) -> None:
        """Its connections have nothing to do any more."""
        reason = f"vhost '{vhost.name}' is deleted"
        for each in self.server.connections():
            if getattr(each, "vhost", None) is vhost:
                each.expel(reason)

    async def start(self, request: web.Request) -> web.Response:
        """Every vhost is started with its node: there is nothing to do."""
        require(request, {ADMINISTRATOR})
        vhost_of(self.server, request)
        node = request.match_info["node"]
        if node != views.NODE:
            raise bad_request(f"Request to node {node} failed with nodedown")
        return no_content()

    async def permissions(self, request: web.Request) -> web.Response:
        """Who may do what here."""
        require(request, {ADMINISTRATOR})
        name = vhost_of(self.server, request).name
        users = list(self.server.broker.access.users.values())
        rows = [permission(user, name) for user in users if name in user.permissions]
        return await listing(request, rows)

    # ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def limits(self, request: web.Request) -> web.Response:
        """Of every vhost that has some."""
        user = user_of(request)
        found = self.server.broker.parameters.vhost_limits.items()
        return answer([{"vhost": name, "value": value} for name, value in found if value and sees_vhost(user, name)])

    async def limits_of(self, request: web.Request) -> web.Response:
        """Of one vhost."""
        name = vhost_of(self.server, request).name
        value = self.server.broker.parameters.vhost_limits.get(name)
        return answer([{"vhost": name, "value": value}] if value else [])

    async def set_limit(self, request: web.Request) -> web.Response:
        """`{"value": 10}`."""
        require(request, {ADMINISTRATOR})
        vhost = vhost_of(self.server, request)
        value = needs(await body_of(request), "value")["value"]
        self.server.broker.parameters.set_vhost_limit(vhost.name, request.match_info["name"], value)
        return no_content()

    async def clear_limit(self, request: web.Request) -> web.Response:
        """No limit any more."""
        require(request, {ADMINISTRATOR})
        vhost = vhost_of(self.server, request)
        self.server.broker.parameters.clear_vhost_limit(vhost.name, request.match_info["name"])
        return no_content()


Description = tuple[str | None, list[str] | None]


def description_of(body: dict[str, Any]) -> Description:
    """Description and tags of a body; None for what it does not say."""
    description = field(body, "description", str, None)
    tags = field(body, "tags", (str, list), None)
    found = tags.split(",") if isinstance(tags, str) else tags
    if found is not None and not all(isinstance(each, str) for each in found):
        raise bad_request("tags: expected a list of strings")
    size = len(description or "") + sum(map(len, found or ()))
    if size > DESCRIPTION_MAX:
        raise bad_request(f"description and tags: expected at most {DESCRIPTION_MAX} characters, got {size}")
    return description, None if found is None else [each.strip() for each in found if each.strip()]


def describe(broker: Any, vhost: Any, description: Description) -> None:
    """Keep what is said of a vhost, if something is."""
    text, tags = description
    if text is not None or tags is not None:
        broker.describe_vhost(vhost, vhost.description if text is None else text, vhost.tags if tags is None else tags)


def described(vhost: Any) -> dict[str, Any]:
    """What a vhost is for, in the two places where RabbitMQ says it."""
    said = {"description": vhost.description, "tags": list(vhost.tags)}
    return {**said, "metadata": said}


def permission(user: Any, vhost: str) -> dict[str, str]:
    """One element of `GET /api/permissions`."""
    has = user.permissions[vhost]
    return {"user": user.name, "vhost": vhost, "configure": has.configure, "write": has.write, "read": has.read}
