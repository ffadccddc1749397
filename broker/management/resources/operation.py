"""`/api/hubbub/drain`, `/api/hubbub/reload`, `/api/hubbub/config`: what an operator tells the process itself."""

from __future__ import annotations

from aiohttp import web

from broker.management.asked import ADMINISTRATOR, body_of, field, require
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request

DRAIN_S_MAX = 3600


class Operation:
    """Of the process."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.post("/api/hubbub/drain", self.drain),
            web.post("/api/hubbub/reload", self.reload),
            web.get("/api/hubbub/config", self.config),
        ]

    async def drain(self, request: web.Request) -> web.Response:
        """`{"after": seconds}`; without it as for SIGTERM. 202 at once: how long it takes, and how many are here."""
        require(request, {ADMINISTRATOR})
        after_s = field(await body_of(request), "after", (int, float), None)
        if after_s is not None and not 0 <= after_s <= DRAIN_S_MAX:
            raise bad_request(f"after: expected 0 to {DRAIN_S_MAX} seconds, got {after_s}")
        left_s = self.server.draining.begin(after_s)
        return answer({"after": round(left_s, 3), "connections": len(self.server.connections())}, 202)

    async def reload(self, request: web.Request) -> web.Response:
        """The settings are read anew: the keys whose values count now, and those that need a restart."""
        require(request, {ADMINISTRATOR})
        try:
            changed, needs_restart = self.server.reload()
        except ValueError as error:
            raise bad_request(str(error)) from error
        return answer({"changed": changed, "needs_restart": needs_restart})

    async def config(self, request: web.Request) -> web.Response:
        """The settings in force: what a reload has changed is in it, what needs a restart is not."""
        require(request, {ADMINISTRATOR})
        return answer(self.server.shown_settings())
