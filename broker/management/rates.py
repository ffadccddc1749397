"""Rates per second, made of the core's counters when somebody asks: nothing is sampled while nobody looks.

Owns the two latest looks at each object, bounded; the oldest are forgotten. A first look has no rate yet: 0.0.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping

OBJECTS_MAX = 50_000
SPAN_S_MIN = 1.0
"""Looks that are nearer together count as one: the rate over a tenth of a second is noise."""
SPAN_S_MAX = 300.0

Look = tuple[float, dict[str, int]]


class Rates:
    """Of everything that management shows."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        """`now_s`: a clock that never goes back, in seconds."""
        self.now_s = now_s
        self.looks: OrderedDict[Hashable, tuple[Look, Look]] = OrderedDict()

    def with_rates(self, key: Hashable, counts: Mapping[str, int]) -> dict[str, object]:
        """The counts, each followed by `NAME_details: {"rate": …}` as RabbitMQ has it."""
        rates = self.rates(key, dict(counts))
        shown: dict[str, object] = {}
        for name, count in counts.items():
            shown[name] = count
            shown[f"{name}_details"] = {"rate": rates.get(name, 0.0)}
        return shown

    def rates(self, key: Hashable, counts: dict[str, int]) -> dict[str, float]:
        """Per second, since the look before the latest that is old enough."""
        now_s = self.now_s()
        look = (now_s, counts)
        before, latest = self.looks.pop(key, (look, look))
        if now_s - latest[0] >= SPAN_S_MIN:
            before, latest = latest, look
        if now_s - before[0] > SPAN_S_MAX:
            before = latest
        self.looks[key] = (before, latest)
        if len(self.looks) > OBJECTS_MAX:
            self.looks.popitem(last=False)
        span_s = latest[0] - before[0]
        if span_s <= 0:
            return {}
        return {name: round(max(0, count - before[1].get(name, 0)) / span_s, 2) for name, count in latest[1].items()}
