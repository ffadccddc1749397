"""`/api/hubbub/history`: what the UI's charts are drawn of, and the looks from which it is made.

Owns which figures are kept of the broker, of a queue and of an exchange. Raises ApiError for what is not there.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from broker.management import views
from broker.management.asked import SEES_ALL, number_of, require, vhost_of
from broker.management.history import AGE_S_MAX, BEAT_S, History, Seen, Series
from broker.management.observed import ObservedServer
from broker.management.replies import answer, not_found
from broker.management.resources.overview import churn, message_stats, open_descriptors, resident_bytes, totals

AGE_S_DEFAULT = 600
LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of net.stalls.Stalls."""
LOWEST = ("disk_free",)
"""Figures of the broker of which the lowest is the worst."""


class Slowest:
    """The slowest of what a histogram has counted since the last look, as its bucket's upper bound."""

    def __init__(self) -> None:
        self.before: Sequence[int] = ()

    def since(self, bounds_s: Iterable[float | None], counts: Sequence[int]) -> float:
        """In seconds; 0.0: nothing was counted. Beyond the last bound it is twice that."""
        before = self.before or [0] * len(counts)
        self.before = list(counts)
        worst_s = last_s = 0.0
        for bound_s, count, counted in zip(bounds_s, counts, before, strict=True):
            up_to_s = 2 * last_s if bound_s is None or bound_s == float("inf") else bound_s
            last_s = up_to_s
            worst_s = up_to_s if count > counted else worst_s
        return worst_s


class Histories:
    """The endpoints, and the beat."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server
        self.slowest_commit = Slowest()
        self.slowest_beat = Slowest()
        self.history = History(time.time, self.broker_now, LOWEST)

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/hubbub/history", self.of_broker),
            web.get("/api/hubbub/history/queues/{vhost}/{name}", self.of_queue),
            web.get("/api/hubbub/history/exchanges/{vhost}/{name}", self.of_exchange),
        ]

    async def beating(self, _application: web.Application) -> AsyncIterator[None]:
        """Looks every BEAT_S seconds while the API is served."""
        beats = asyncio.create_task(self.beat())
        yield
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats

    async def beat(self) -> None:
        """Until it is cancelled."""
        while True:
            self.history.look()
            await asyncio.sleep(BEAT_S)

    # ── what is seen ──────────────────────────────────────────────────────────────────────────────────────────────────

    def broker_now(self) -> Seen:
        """Everything that a day later somebody wants to know of."""
        server = self.server
        counts = totals(server)
        store = server.store.statistics()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        gone = churn(server)
        latency = store.get("commit_latency", [])
        lags = server.stalls.lag_counts
        counters = {
            **message_stats(server, counts),
            **gone,
            "commits": store.get("commits", 0),
            "commit_seconds": store.get("commit_seconds", 0.0),
            "written_bytes": store.get("journal_written_bytes", 0) + store.get("checkpoint_bytes", 0),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "beats": sum(lags),
            "late_seconds": server.stalls.lag_sum_s,
        }
        figures = {
            "ready": counts["ready"],
            "unacked": counts["unacked"],
            "connections": len(server.connections()),
            "channels": gone["channel_created"] - gone["channel_closed"],
            "queues": sum(len(vhost.queues) for vhost in server.broker.vhosts.values()),
            "consumers": server.broker.queue_totals().consumers,
            "resident": resident_bytes(),
            "descriptors": open_descriptors(),
            "live": store.get("live_bytes", 0),
            "file": store.get("file_bytes", 0),
            "disk_free": store.get("disk_free_bytes", 0),
            "slowest_commit": self.slowest_commit.since([up_to for up_to, _ in latency], [n for _, n in latency]),
            "slowest_beat": self.slowest_beat.since((*LAG_BOUNDS_S, None), lags),
            "alarms": len(server.broker.alarms),
        }
        return Seen(counters, figures)

    def queue_now(self, vhost_name: str, name: str) -> Seen | None:
        """Of one queue."""
        found = self.find(vhost_name, "queues", name)
        if found is None:
            return None
        figures = {
            "ready": found.ready_count,
            "unacked": found.unacked_count,
            "bytes": found.ready_bytes + found.unacked_bytes,
            "memory": found.memory_bytes,
            "consumers": len(found.consumers),
        }
        return Seen(views.message_stats(found.counts), figures)

    def exchange_now(self, vhost_name: str, name: str) -> Seen | None:
        """Of one exchange."""
        found = self.find(vhost_name, "exchanges", name)
        if found is None:
            return None
        counts = found.counts
        return Seen({word: counts.get(word, 0) for word in ("published", "routed", "unroutable", "returned")}, {})

    def find(self, vhost_name: str, kind: str, name: str) -> Any:
        """A queue or an exchange, or None."""
        vhost = self.server.broker.vhosts.get(vhost_name)
        return None if vhost is None else getattr(vhost, kind).get(name)

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def of_broker(self, request: web.Request) -> web.Response:
        """`?age=` seconds of the broker's figures; counters per second. Seconds, bytes, messages."""
        require(request, SEES_ALL)
        return told(request, self.history.broker)

    async def of_queue(self, request: web.Request) -> web.Response:
        """The same of a queue, which is looked at from now on until it goes, or a hundred others were asked for."""
        vhost, name = vhost_of(self.server, request).name, request.match_info["name"]
        if self.find(vhost, "queues", name) is None:
            raise not_found()
        return told(request, self.history.of(("queue", vhost, name), lambda: self.queue_now(vhost, name)))

    async def of_exchange(self, request: web.Request) -> web.Response:
        """The same of an exchange; `amq.default` is the nameless one."""
        vhost, name = vhost_of(self.server, request).name, request.match_info["name"]
        name = "" if name == "amq.default" else name
        if self.find(vhost, "exchanges", name) is None:
            raise not_found()
        return told(request, self.history.of(("exchange", vhost, name), lambda: self.exchange_now(vhost, name)))


def told(request: web.Request, series: Series) -> web.Response:
    """`{"every_s", "at": [ms since 1970], "series": {name: [value]}}`, the oldest first."""
    shown = series.shown(number_of(request, "age", AGE_S_DEFAULT, 1, AGE_S_MAX))
    at_s: Any = shown["at"]
    return answer({**shown, "at": [round(each * 1000) for each in at_s]})
