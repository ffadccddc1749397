"""`/api/hubbub/mqtt`: sessions, subscriptions and retained messages.

Owns rights and pages. Refuses to know MQTT: the facts come from `ObservedMqtt`. Listings hold what is in the vhosts
that the user may see; a session is ended by whoever may delete its queue, retained messages are read and cleared by
whoever may read from and write to `amq.topic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from aiohttp import web

from broker.management import views
from broker.management.asked import (
    SEES_ALL,
    acting_in,
    check_right,
    has_tag,
    sees_vhost,
    user_of,
    vhost_of,
)
from broker.management.listing import listing, page_of
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, no_content, not_found
from broker.management.resources.queues import payload_shown, properties
from broker.management.slices import sliced

TOPICS = "amq.topic"
PREVIEW_BYTES = 256
"""Of a payload, in a listing."""


class Mqtt:
    """Endpoints about what only MQTT has."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods. A topic has slashes: it is the rest of the path, as it is or encoded."""
        session = "/api/hubbub/mqtt/sessions/{vhost}/{client_id}"
        retained = "/api/hubbub/mqtt/retained/{vhost}"
        return [
            web.get("/api/hubbub/mqtt/sessions", self.sessions),
            web.get("/api/hubbub/mqtt/sessions/{vhost}", self.sessions_of_vhost),
            web.get(session, self.session),
            web.delete(session, self.end_session),
            web.get("/api/hubbub/mqtt/subscriptions", self.subscriptions),
            web.get("/api/hubbub/mqtt/subscriptions/{vhost}", self.subscriptions_of_vhost),
            web.get("/api/hubbub/mqtt/retained", self.retained),
            web.get(retained, self.retained),
            web.get(f"{retained}/{{topic:.+}}", self.retained_message),
            web.delete(f"{retained}/{{topic:.+}}", self.remove_retained),
        ]

    def visible(self, request: web.Request, facts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Those of the vhosts that the user may see; `name` is what listings are searched by."""
        user = user_of(request)
        wanted = request.match_info.get("vhost")
        for each in facts:
            if each["vhost"] == wanted or (wanted is None and sees_vhost(user, each["vhost"])):
                yield {"name": each.get("topic_filter", each["client_id"]), **without_peer(request, each)}

    # ── sessions and subscriptions ────────────────────────────────────────────────────────────────────────────────

    async def sessions(self, request: web.Request) -> web.Response:
        """Every session that the user may see."""
        return await listing(request, self.visible(request, self.server.observed_mqtt.sessions()))

    async def sessions_of_vhost(self, request: web.Request) -> web.Response:
        """The sessions of one vhost."""
        vhost_of(self.server, request)
        return await self.sessions(request)

    async def session(self, request: web.Request) -> web.Response:
        """One session, with its subscriptions."""
        vhost = vhost_of(self.server, request)
        found = self.server.observed_mqtt.session(vhost.name, request.match_info["client_id"])
        if found is None:
            raise not_found()
        return answer(without_peer(request, found))

    async def end_session(self, request: web.Request) -> web.Response:
        """Its client is disconnected (MQTT 5: 0x98), and what waits for it is gone."""
        vhost, client_id = acting_in(self.server, request), request.match_info["client_id"]
        check_right(request, vhost.name, "configure", "queue", f"mqtt-subscription-{client_id}qos1")
        if not self.server.observed_mqtt.end_session(vhost.name, client_id):
            raise not_found()
        return no_content()

    async def subscriptions(self, request: web.Request) -> web.Response:
        """Every subscription that the user may see."""
        return await listing(request, self.visible(request, self.server.observed_mqtt.subscriptions()))

    async def subscriptions_of_vhost(self, request: web.Request) -> web.Response:
        """The subscriptions of one vhost."""
        vhost_of(self.server, request)
        return await self.subscriptions(request)

    # ── retained messages ─────────────────────────────────────────────────────────────────────────────────────────

    async def retained(self, request: web.Request) -> web.Response:
        """A page of what `?filter=` matches (default `#`), with the beginning of each payload; in the trees' order."""
        user, observed = user_of(request), self.server.observed_mqtt
        if "vhost" in request.match_info:
            vhosts = [vhost_of(self.server, request)]
            check_right(request, vhosts[0].name, "read", "exchange", TOPICS)
        else:
            all_of_them = self.server.broker.vhosts.values()
            vhosts = [each for each in all_of_them if user.may(each.name, "read", TOPICS, "exchange")]
        page, size = page_of(request)
        try:
            matching = [(vhost, observed.retained(vhost, request.query.get("filter", "#"))) for vhost in vhosts]
        except ValueError as error:
            raise bad_request(f"filter: {error}") from None
        count = sum(len(found) for _, found in matching)
        every = ((vhost, each) for vhost, found in matching for each in found)
        items = await sliced(
            {"vhost": vhost.name, **observed.retained_facts(each), **payload_shown(each.message, "auto", PREVIEW_BYTES)}
            for vhost, each in islice(every, (page - 1) * size, page * size)
        )
        return answer(
            {
                "filtered_count": count,
                "item_count": len(items),
                "items": items,
                "page": page,
                "page_count": max(1, -(-count // size)),
                "page_size": size,
                "total_count": sum(len(vhost.retained) for vhost in vhosts),
            }
        )

    async def retained_message(self, request: web.Request) -> web.Response:
        """What one topic retains, whole."""
        vhost = vhost_of(self.server, request)
        check_right(request, vhost.name, "read", "exchange", TOPICS)
        found = self.server.observed_mqtt.retained_message(vhost, request.match_info["topic"])
        if found is None:
            raise not_found()
        facts, message = found
        shown = {"properties": views.plain(properties(message)), **payload_shown(message, "auto", None)}
        return answer({**facts, **shown})

    async def remove_retained(self, request: web.Request) -> web.Response:
        """The topic retains nothing any more."""
        vhost = acting_in(self.server, request)
        check_right(request, vhost.name, "write", "exchange", TOPICS)
        if not self.server.observed_mqtt.remove_retained(vhost, request.match_info["topic"]):
            raise not_found()
        return no_content()


def without_peer(request: web.Request, facts: dict[str, Any]) -> dict[str, Any]:
    """Who is connected from where is told as `/api/connections` tells it: of others only to those who see all."""
    user = user_of(request)
    if facts.get("user") in (None, user.name) or has_tag(user, SEES_ALL):
        return facts
    return {**facts, "user": None, "peer": None, "listener": None}
