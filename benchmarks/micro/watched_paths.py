"""What it costs to be watched: the path `transient-16`, while somebody watches.

    managed-16    the HTTP API and the metrics are there, and nobody asks
    scraped-16    … and /metrics is made once for SCRAPE_MESSAGES messages
    traced-16     a trace runs whose filter chooses nothing
    sampled-16    spans are made, but of no message, since none has a sampled trace context

Owns the bounds of `make gate`: each path beside `transient-16` of the same run (`watching_costs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.core.sieve import ContextSieve
from broker.core.traces import Filter
from broker.core.watch import watch
from broker.management.app import Management
from broker.management.metrics import exposition

from .observed import ObservedHouse
from .paths import Path, Transient

PLAIN = "transient-16"
SCRAPE_MESSAGES = 500_000
"""The row `transient-16` of `make bench` moves twenty times as many in the second between two scrapes."""


class Managed(Transient):
    """With management, which nobody asks."""

    def set_up(self) -> None:
        """See Publishing."""
        super().set_up()
        server: Any = ObservedHouse(self.house)
        self.server = server
        management = Management(server)
        self.applications = (management.api(), management.metrics())


class Scraped(Managed):
    """And a scrape in the middle."""

    def run(self) -> None:
        """See Work."""
        fed = self.fed
        half = len(fed) // 2
        self.fed = fed[:half]
        super().run()
        exposition(self.server)
        self.fed = fed[half:]
        super().run()


class Traced(Transient):
    """A trace of what never comes."""

    def set_up(self) -> None:
        """See Publishing."""
        super().set_up()
        self.trace = self.house.broker.traces.start(self.house.broker.vhosts["/"], Filter(queue="nowhere"))

    def check(self) -> None:
        """See Work."""
        super().check()
        assert self.trace.notes_made == 0, "the trace has noted something"


class Sampled(Transient):
    """Who makes spans listens."""

    def set_up(self) -> None:
        """See Publishing."""
        super().set_up()
        self.heard: list[object] = []
        watch(self.house.broker.vhosts["/"], self.heard.append, ContextSieve(1.0))

    def check(self) -> None:
        """See Work."""
        super().check()
        assert not self.heard, "something was heard of a message without a trace context"


WATCHED_PATHS = {
    "managed-16": Path(Managed, 40_000, "message"),
    "scraped-16": Path(Scraped, SCRAPE_MESSAGES, "message"),
    "traced-16": Path(Traced, 40_000, "message"),
    "sampled-16": Path(Sampled, 40_000, "message"),
}
PERCENT_MAX = {"managed-16": 3.0, "scraped-16": 5.0, "traced-16": 60.0, "sampled-16": 45.0}
"""More than PLAIN, which is the shortest of all paths: 60 % are some 500 instructions."""


class Cost(NamedTuple):
    """Of one of these paths."""

    path: str
    percent: float

    @property
    def passes(self) -> bool:
        """Within its bound."""
        return self.percent <= PERCENT_MAX[self.path]


def watching_costs(counted: Mapping[str, float]) -> list[Cost]:
    """Percent of instructions beyond PLAIN's, of what was counted in the same run; none where PLAIN was not."""
    plain = counted.get(PLAIN)
    return (
        []
        if plain is None
        else [Cost(path, 100 * (counted[path] / plain - 1)) for path in PERCENT_MAX if path in counted]
    )


def format_costs(costs: list[Cost]) -> str:
    """A line for each."""
    return "\n".join(
        f"{cost.path:<16}{cost.percent:>+8.2f} % beside {PLAIN}; at most {PERCENT_MAX[cost.path]:g} %"
        f"{'' if cost.passes else '  FAILS'}"
        for cost in costs
    )
