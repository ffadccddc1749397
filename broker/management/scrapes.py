"""The pages that Prometheus reads: `/metrics`, `/metrics/per-object`, `/metrics/detailed`.

Owns what each page holds and what its query may ask. On port 15692 they need no login; on 15672 they are for who sees
everything (administrator, monitoring).

    /metrics               sums: as long with 100,000 queues as with one
    /metrics/per-object    the sums that RabbitMQ shows there, and every object's own figures, up to a bound
    /metrics/detailed      only the families that are asked for: ?family=queue_coarse_metrics&vhost=/&queue=REGEX
"""

from __future__ import annotations

import re

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from broker.core.patterns import InvalidPatternError, Pattern
from broker.management.asked import SEES_ALL, USER, require
from broker.management.detailed import FAMILIES, PER_OBJECT_FAMILIES, WITH_QUEUE_INFO, Page, detailed
from broker.management.listing import REGEX_MAX, every, fits, those
from broker.management.metrics import exposition
from broker.management.negotiated import page_of
from broker.management.node_metrics import NODE_FAMILIES
from broker.management.observed import ObservedServer
from broker.management.rabbitmq_metrics import DETAILED, IDENTITY, PER_OBJECT, RabbitmqMetrics
from broker.management.replies import bad_request
from broker.management.sums import sums_of


class Scrapes:
    """Of one server."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/metrics", self.sums),
            web.get("/metrics/per-object", self.per_object),
            web.get("/metrics/detailed", self.detailed),
        ]

    async def sums(self, request: web.Request) -> web.Response:
        """Everything, in sums."""
        check_sees_all(request)
        return await page_of(request, exposition(self.server))

    async def per_object(self, request: web.Request) -> web.Response:
        """Everything, of each object."""
        check_sees_all(request)
        page = Page("rabbitmq_", PER_OBJECT_FAMILIES, self.server.scraped_objects_max)
        lines = await detailed(self.server, page)
        return await page_of(request, exposition(self.server, PER_OBJECT) + lines.encode())

    async def detailed(self, request: web.Request) -> web.Response:
        """The families of the query."""
        check_sees_all(request)
        asked = request.query.getall("family", [])
        families = [name for name in asked if name not in NODE_FAMILIES]
        if WITH_QUEUE_INFO.intersection(asked):
            families.append("queue_info")
        vhosts = request.query.getall("vhost", None)
        page = Page(
            "rabbitmq_detailed_",
            tuple(families),
            self.server.scraped_objects_max,
            None if vhosts is None else frozenset(vhosts),
            await chosen(self.server, request.query.getall("queue", [])),
        )
        lines = await detailed(self.server, page)
        return await page_of(request, self.identity(asked) + lines.encode())

    def identity(self, asked: list[str]) -> bytes:
        """What every page of RabbitMQ's begins with, and the families that are the node's."""
        registry = CollectorRegistry()
        names = {name for family in asked for name in NODE_FAMILIES.get(family, ())}
        registry.register(RabbitmqMetrics(self.server, DETAILED, sums_of(self.server), names | IDENTITY))
        text = generate_latest(registry).decode()
        for name in names:
            text = re.sub(rf"\b{name}", name.replace("rabbitmq_", "rabbitmq_detailed_", 1), text)
        return text.encode()


def check_sees_all(request: web.Request) -> None:
    """Where there is a login, it must be such a user's. 401."""
    if USER in request:
        require(request, SEES_ALL)


async def chosen(server: ObservedServer, asked: list[str]) -> frozenset[tuple[str, str]] | None:
    """`queue=`: a regular expression; the queues whose names it matches. 400 in RabbitMQ's words."""
    if len(asked) > 1:
        raise bad_request("Only one 'queue' query parameter is allowed")
    if not asked or not asked[0]:
        return None
    if len(asked[0]) > REGEX_MAX:
        raise bad_request("'queue' regex too long")
    try:
        pattern = Pattern(asked[0])
    except InvalidPatternError as error:
        raise bad_request(f"Invalid 'queue' regex at position {error.position}: {error.reason}") from None
    found = await those(list(every(server, "queues")), lambda row: fits(pattern, row[1].name))
    return frozenset((vhost.name, queue.name) for vhost, queue in found)


assert not NODE_FAMILIES.keys() & FAMILIES.keys()
