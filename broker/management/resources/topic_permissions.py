"""`/api/topic-permissions`: what a user may by topic at a topic exchange. Administrators' ground."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import web

from broker.management.asked import ADMINISTRATOR, body_of, field, needs, require, vhost_of
from broker.management.listing import listing
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, created, no_content, not_found

DEFAULT_EXCHANGE = "amq.default"


class TopicPermissions:
    """Endpoints about topic permissions."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    @property
    def access(self) -> Any:
        """core.access.Access."""
        return self.server.broker.access

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods. RabbitMQ's, and the last two for one exchange."""
        one = "/api/topic-permissions/{vhost}/{user}"
        return [
            web.get("/api/topic-permissions", self.list_all),
            web.get("/api/users/{user}/topic-permissions", self.of_user),
            web.get("/api/vhosts/{vhost}/topic-permissions", self.of_vhost),
            web.get(one, self.show),
            web.put(one, self.put),
            web.delete(one, self.clear),
            web.get(f"{one}/{{exchange}}", self.show_exchange),
            web.delete(f"{one}/{{exchange}}", self.clear_exchange),
        ]

    def named(self, request: web.Request) -> str:
        """The user that the path names, for an administrator."""
        require(request, {ADMINISTRATOR})
        name = request.match_info["user"]
        if name not in self.access.users:
            raise not_found()
        return name

    def rows(self, user: str, vhost: str | None = None) -> Iterator[dict[str, str]]:
        """Those of one user."""
        yield from topic_permissions(self.access, user, vhost)

    async def list_all(self, request: web.Request) -> web.Response:
        """Of every user in every vhost."""
        require(request, {ADMINISTRATOR})
        return await listing(request, (row for user in list(self.access.users) for row in self.rows(user)))

    async def of_user(self, request: web.Request) -> web.Response:
        """Of one user in every vhost."""
        return await listing(request, self.rows(self.named(request)))

    async def of_vhost(self, request: web.Request) -> web.Response:
        """Of every user in one vhost."""
        require(request, {ADMINISTRATOR})
        vhost = vhost_of(self.server, request).name
        return await listing(request, (row for user in list(self.access.users) for row in self.rows(user, vhost)))

    async def show(self, request: web.Request) -> web.Response:
        """Of one user in one vhost: a list, as there may be one for each exchange."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        found = list(self.rows(user, vhost))
        if not found:
            raise not_found()
        return answer(found)

    async def show_exchange(self, request: web.Request) -> web.Response:
        """Of one user at one exchange."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        for row in self.rows(user, vhost):
            if row["exchange"] == exchange_of(request.match_info["exchange"]):
                return answer(row)
        raise not_found()

    async def put(self, request: web.Request) -> web.Response:
        """`{"exchange", "write", "read"}`: regular expressions over routing keys and binding keys."""
        require(request, {ADMINISTRATOR})
        vhost, user = request.match_info["vhost"], request.match_info["user"]
        body = needs(await body_of(request), "exchange", "write", "read")
        if vhost not in self.server.broker.vhosts or user not in self.access.users:
            raise bad_request("vhost_or_user_not_found")
        is_new = not any(True for _ in self.rows(user, vhost))
        exchange = exchange_of(field(body, "exchange", str))
        self.access.set_topic_permission(vhost, user, exchange, field(body, "write", str), field(body, "read", str))
        return created(is_new)

    async def clear(self, request: web.Request) -> web.Response:
        """All topics of the vhost's exchanges again."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        if not list(self.rows(user, vhost)):
            raise not_found()
        self.access.clear_topic_permission(vhost, user)
        return no_content()

    async def clear_exchange(self, request: web.Request) -> web.Response:
        """All topics of one exchange again."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        self.access.clear_topic_permission(vhost, user, exchange_of(request.match_info["exchange"]))
        return no_content()


def topic_permissions(access: Any, user: str, vhost: str | None = None) -> Iterator[dict[str, str]]:
    """Elements of `GET /api/topic-permissions`, which definitions export, too."""
    for of, exchange, permission in access.topics.of_user(user, vhost):
        yield {"user": user, "vhost": of, "exchange": exchange, "write": permission.write, "read": permission.read}


def exchange_of(name: str) -> str:
    """The nameless exchange is `amq.default` in RabbitMQ's API."""
    return "" if name == DEFAULT_EXCHANGE else name
