"""`/api/hubbub/traces`: messages that a filter chooses, and what happened to them.

Owns the shapes. Following is the core's (`core.traces`). A trace is begun and deleted by an administrator; who sees
everything may read it.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from broker.core.traces import MESSAGES_DEFAULT, SECONDS_DEFAULT, Filter, Trace
from broker.management.asked import ADMINISTRATOR, SEES_ALL, body_of, field, number_of, require
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, no_content, not_found

EVENTS_DEFAULT, EVENTS_MAX = 1000, 10_000
FILTERS = ("exchange", "queue", "user", "client", "topic", "routing_key")
ASKED = {"vhost", "messages_max", "seconds", *FILTERS}


class Traces:
    """Endpoints about message traces."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/hubbub/traces", self.list_all),
            web.post("/api/hubbub/traces", self.start),
            web.get("/api/hubbub/traces/{number}", self.show),
            web.delete("/api/hubbub/traces/{number}", self.delete),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """Every trace, the newest last, without what it noted."""
        require(request, SEES_ALL)
        return answer([self.row(each) for each in self.server.broker.traces.by_number.values()])

    async def start(self, request: web.Request) -> web.Response:
        """`{"vhost": "/", "topic": "a/#", "messages_max": 100, "seconds": 60}`; without a filter it follows whatever
        comes. 201 with the trace."""
        require(request, {ADMINISTRATOR})
        body = await body_of(request)
        unknown = sorted(set(body) - ASKED)
        if unknown:
            raise bad_request(f"{unknown[0]}: expected one of {', '.join(sorted(ASKED))}")
        vhost = self.server.broker.vhosts.get(field(body, "vhost", str, "/"))
        if vhost is None:
            raise not_found()
        trace = self.server.broker.traces.start(
            vhost,
            self.filter(body),
            messages_max=field(body, "messages_max", int, MESSAGES_DEFAULT),
            seconds=field(body, "seconds", int, SECONDS_DEFAULT),
        )
        return answer(self.row(trace), 201, {"Location": f"/api/hubbub/traces/{trace.number}"})

    def filter(self, body: dict[str, Any]) -> Filter:
        """The filter that a body asks for. `topic` in MQTT's words, `routing_key` as a topic exchange's binding key."""
        topic, key = field(body, "topic", str, None), field(body, "routing_key", str, None)
        if topic is not None and key is not None:
            raise bad_request("expected topic or routing_key, got both")
        binding_key = None if key is None else key.encode()
        if topic is not None:
            try:
                binding_key = self.server.observed_mqtt.binding_key(topic)
            except ValueError as error:
                raise bad_request(f"topic: {error}") from None
        plain = {name: field(body, name, str, None) for name in ("exchange", "queue", "user", "client")}
        return Filter(binding_key=binding_key, **plain)

    async def show(self, request: web.Request) -> web.Response:
        """One trace with `events`, oldest first: those after number `?after=`, `?count=` of them at most."""
        require(request, SEES_ALL)
        after = number_of(request, "after", 0, 0, 2**63 - 1)
        count = number_of(request, "count", EVENTS_DEFAULT, 1, EVENTS_MAX)
        trace = self.trace_of(request)
        return answer({**self.row(trace), "events": trace.notes_after(after, count)})

    async def delete(self, request: web.Request) -> web.Response:
        """It ends, and what it noted is gone."""
        require(request, {ADMINISTRATOR})
        self.server.broker.traces.delete(self.trace_of(request))
        return no_content()

    def trace_of(self, request: web.Request) -> Trace:
        """The one that the path names."""
        text = request.match_info["number"]
        trace: Trace | None = self.server.broker.traces.by_number.get(int(text) if text.isdecimal() else 0)
        if trace is None:
            raise not_found()
        return trace

    def row(self, trace: Trace) -> dict[str, Any]:
        """Without its events. Times in milliseconds since 1970."""
        key = trace.filter.binding_key
        return {
            "id": trace.number,
            "vhost": trace.vhost.name,
            "filter": {
                "exchange": trace.filter.exchange,
                "queue": trace.filter.queue,
                "user": trace.filter.user,
                "client": trace.filter.client,
                "routing_key": None if key is None else key.decode("utf-8", "replace"),
            },
            "messages_max": trace.messages_max,
            "seconds": trace.seconds,
            "started_at": trace.started_ms,
            "ends_at": trace.ends_ms,
            "running": trace.running,
            "messages": len(trace.followed),
            "passed_over": trace.passed_over,
            "event_count": trace.notes_made,
            "events_forgotten": trace.notes_made - len(trace.notes),
        }
