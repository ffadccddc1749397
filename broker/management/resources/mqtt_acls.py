"""`/api/hubbub/mqtt/acls`: which topics clients may publish and subscribe to, by ordered rules in MQTT's words.

Administrators' ground. Refuses to know the words: `ObservedMqtt` reads and shows rules.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from broker.management.asked import ADMINISTRATOR, body_of, field, require, vhost_of
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, no_content, not_found


class MqttAcls:
    """Endpoints about MQTT's access rules."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        one = "/api/hubbub/mqtt/acls/{vhost}"
        return [
            web.get("/api/hubbub/mqtt/acls", self.list_all),
            web.get(one, self.show),
            web.put(one, self.replace),
            web.post(one, self.add),
            web.delete(f"{one}/{{number}}", self.remove),
        ]

    def of_vhost(self, vhost: str) -> dict[str, Any]:
        """The rules of one vhost, and what holds where none fits."""
        default = "allow" if self.server.broker.access.topics.default_allow else "deny"
        return {"vhost": vhost, "default": default, "rules": list(self.server.observed_mqtt.acls(vhost))}

    def named(self, request: web.Request) -> str:
        """The vhost of the path, for an administrator."""
        require(request, {ADMINISTRATOR})
        name: str = vhost_of(self.server, request).name
        return name

    def set(self, vhost: str, rows: list[Any]) -> None:
        """Replace the rules that are not the configuration's."""
        if not all(isinstance(row, dict) for row in rows):
            raise bad_request("rules: expected a list of objects")
        try:
            self.server.observed_mqtt.set_acls(vhost, rows)
        except ValueError as error:
            raise bad_request(str(error)) from None

    def stored(self, vhost: str) -> list[dict[str, Any]]:
        """Those that are not the configuration's."""
        return [row for row in self.server.observed_mqtt.acls(vhost) if row["number"] is not None]

    async def list_all(self, request: web.Request) -> web.Response:
        """Of every vhost."""
        require(request, {ADMINISTRATOR})
        return answer([self.of_vhost(name) for name in list(self.server.broker.vhosts)])

    async def show(self, request: web.Request) -> web.Response:
        """Of one vhost, in order: the first that fits decides."""
        return answer(self.of_vhost(self.named(request)))

    async def replace(self, request: web.Request) -> web.Response:
        """`{"rules": [{"permission", "action", "topic", "user"}, …]}`; those of the configuration stay in front."""
        vhost = self.named(request)
        rows = field(await body_of(request), "rules", list)
        self.set(vhost, [row for row in rows if not (isinstance(row, dict) and row.get("source") == "configuration")])
        return no_content()

    async def add(self, request: web.Request) -> web.Response:
        """One rule; with `number` in front of the one that has it now, else behind all."""
        vhost, body = self.named(request), await body_of(request)
        rows: list[Any] = self.stored(vhost)
        number = field(body, "number", int, len(rows) + 1)
        if not 1 <= number <= len(rows) + 1:
            raise bad_request(f"number: expected 1 to {len(rows) + 1}, got {number}")
        rows.insert(number - 1, body)
        self.set(vhost, rows)
        return answer(self.stored(vhost)[number - 1], status=201)

    async def remove(self, request: web.Request) -> web.Response:
        """The rule that has this number now."""
        vhost, rows = self.named(request), self.stored(self.named(request))
        text = request.match_info["number"]
        if not text.isdecimal() or not 1 <= int(text) <= len(rows):
            raise not_found()
        del rows[int(text) - 1]
        self.set(vhost, rows)
        return no_content()
