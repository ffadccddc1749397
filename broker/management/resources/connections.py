"""`/api/connections`, `/api/channels`, `/api/consumers`: who is here, and closing a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from broker.management import channel_views, views
from broker.management.asked import SEES_ALL, has_tag, sees_vhost, user_of, vhost_of
from broker.management.listing import asked_rates, listing, narrowed
from broker.management.observed import ObservedServer
from broker.management.rates import Rates
from broker.management.replies import no_content, not_found, refused


class Connections:
    """Endpoints about connections."""

    def __init__(self, server: ObservedServer, rates: Rates) -> None:
        self.server = server
        self.rates = rates

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/connections", self.list_all),
            web.get("/api/connections/username/{user}", self.list_user),
            web.delete("/api/connections/username/{user}", self.close_user),
            web.get("/api/connections/{name}", self.show),
            web.delete("/api/connections/{name}", self.close),
            web.get("/api/connections/{name}/channels", self.channels_of),
            web.get("/api/vhosts/{vhost}/connections", self.list_vhost),
            web.get("/api/vhosts/{vhost}/channels", self.channels_of_vhost),
            web.get("/api/channels", self.channels),
            web.get("/api/channels/{name}", self.show_channel),
            web.get("/api/consumers", self.consumers),
            web.get("/api/consumers/{vhost}", self.consumers_of_vhost),
        ]

    def visible(self, request: web.Request) -> Iterator[Any]:
        """Connections after their login: all of them for monitoring, one's own for others."""
        user = user_of(request)
        sees_all = has_tag(user, SEES_ALL)
        for each in self.server.connections():
            name = views.user_name(each)
            if name and (sees_all or name == user.name):
                yield each

    def shown(self, request: web.Request, connections: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Connections as rows."""
        rates = asked_rates(request, self.rates)
        for each in connections:
            yield views.connection(each, rates)

    def shown_channels(self, request: web.Request, channels: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Channels as rows."""
        rates = asked_rates(request, self.rates)
        for each in channels:
            yield channel_views.channel(each, rates)

    def named(self, request: web.Request) -> Any:
        """The connection that the path names."""
        name = request.match_info["name"]
        for each in self.visible(request):
            if views.connection_name(each) == name:
                return each
        raise not_found()

    async def list_all(self, request: web.Request) -> web.Response:
        """Every connection that the user may see."""
        return await listing(request, self.shown(request, self.visible(request)))

    async def list_user(self, request: web.Request) -> web.Response:
        """The connections of a user."""
        wanted = request.match_info["user"]
        found = (each for each in self.visible(request) if views.user_name(each) == wanted)
        return await listing(request, self.shown(request, found))

    async def list_vhost(self, request: web.Request) -> web.Response:
        """The connections of a vhost."""
        vhost = vhost_of(self.server, request)
        found = (each for each in self.visible(request) if views.vhost_name(each) == vhost.name)
        return await listing(request, self.shown(request, found))

    async def show(self, request: web.Request) -> web.Response:
        """One connection."""
        return narrowed(request, next(self.shown(request, [self.named(request)])))

    async def close(self, request: web.Request) -> web.Response:
        """Say farewell (`X-Reason` gives the words) and close."""
        self.farewell(request, self.named(request))
        return no_content()

    async def close_user(self, request: web.Request) -> web.Response:
        """Close every connection of a user."""
        wanted = request.match_info["user"]
        for each in list(self.visible(request)):
            if views.user_name(each) == wanted:
                self.farewell(request, each)
        return no_content()

    def farewell(self, request: web.Request, connection: Any) -> None:
        """One's own connections, or anybody's for an administrator."""
        user = user_of(request)
        if "administrator" not in user.tags and views.user_name(connection) != user.name:
            raise refused("User not authorised to access object")
        connection.expel(request.headers.get("X-Reason", "Closed via management plugin"))

    # ── channels and consumers ────────────────────────────────────────────────────────────────────────────────────────

    def all_channels(self, request: web.Request) -> Iterator[Any]:
        """Every channel of the visible connections."""
        for each in self.visible(request):
            yield from list(getattr(each, "channels", {}).values())

    async def channels(self, request: web.Request) -> web.Response:
        """Every channel."""
        return await listing(request, self.shown_channels(request, self.all_channels(request)))

    async def channels_of(self, request: web.Request) -> web.Response:
        """The channels of a connection."""
        channels = list(getattr(self.named(request), "channels", {}).values())
        return await listing(request, self.shown_channels(request, channels))

    async def channels_of_vhost(self, request: web.Request) -> web.Response:
        """The channels of a vhost."""
        vhost = vhost_of(self.server, request)
        found = (each for each in self.all_channels(request) if each.vhost is vhost)
        return await listing(request, self.shown_channels(request, found))

    async def show_channel(self, request: web.Request) -> web.Response:
        """One channel, with its consumers, the exchanges that it publishes to, and the queues that serve it."""
        wanted = request.match_info["name"]
        for each in self.all_channels(request):
            if views.channel_name(each) == wanted:
                row = next(self.shown_channels(request, [each]))
                held = [tag for tag in views.consumers(each.vhost) if tag["channel_details"].get("name") == wanted]
                details = channel_views.details_of_channel(each, asked_rates(request, self.rates))
                return narrowed(request, {**row, "consumer_details": held, **details})
        raise not_found()

    async def consumers(self, request: web.Request) -> web.Response:
        """Every consumer of the vhosts that the user may see."""
        user = user_of(request)
        vhosts = [each for each in self.server.broker.vhosts.values() if sees_vhost(user, each.name)]
        return await listing(request, (row for vhost in vhosts for row in views.consumers(vhost)), name=consumer_name)

    async def consumers_of_vhost(self, request: web.Request) -> web.Response:
        """The consumers of a vhost."""
        return await listing(request, views.consumers(vhost_of(self.server, request)), name=consumer_name)


def consumer_name(row: dict[str, Any]) -> str:
    """What a consumer is found by: its queue and its tag."""
    return f"{row['queue']['name']} {row['consumer_tag']}"
