"""What the figures were, over the last day: the broker's from its start, a queue's from when somebody looks at it.

Owns how often is looked, what of it is kept and for how long. Knows neither HTTP nor what the figures mean: a
`Probe` tells them.

Each series is kept at four spacings, so that a minute is shown finely and a day wholly, in bounded memory. In a coarse
interval a figure is the worst that was seen, so that no peak is lost, and a counter is where it stood at the end.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

BEAT_S = 5.0
POINTS_MAX = 122
"""Of one spacing: an interval more than what is shown, and the one that has just begun."""
SPACINGS_S = (5, 30, 240, 720)
"""10 minutes, an hour, 8 hours and a day of 120 intervals each."""
AGE_S_MAX = 120 * SPACINGS_S[-1]
WATCHED_MAX = 100
"""Queues and exchanges that are looked at; the one that nobody asked for the longest is forgotten."""


class Seen(NamedTuple):
    """At one look: counters only grow, figures come and go."""

    counters: Mapping[str, float]
    figures: Mapping[str, float]


Probe = Callable[[], Seen | None]
"""What is seen now; None: it is gone."""


class Series:
    """The looks at one object."""

    def __init__(self, lowest: Iterable[str] = ()) -> None:
        """`lowest`: figures whose worst is the lowest; of the others it is the highest."""
        self.lowest = frozenset(lowest)
        self.counters: tuple[str, ...] = ()
        self.figures: tuple[str, ...] = ()
        self.kept: list[deque[tuple[float, array[float]]]] = [deque(maxlen=POINTS_MAX) for _ in SPACINGS_S]

    def note(self, at_s: float, seen: Seen) -> None:
        """A look; every look at one object tells of the same names."""
        self.counters, self.figures = tuple(seen.counters), tuple(seen.figures)
        values = [*seen.counters.values(), *seen.figures.values()]
        for spacing_s, points in zip(SPACINGS_S, self.kept, strict=True):
            if points and int(points[-1][0] // spacing_s) == int(at_s // spacing_s):
                self.worsen(points[-1][1], values)
                points[-1] = (at_s, points[-1][1])
            else:
                points.append((at_s, array("d", values)))

    def worsen(self, kept: array[float], values: list[float]) -> None:
        """A later look within the same interval."""
        first = len(self.counters)
        kept[:first] = array("d", values[:first])
        for index, name in enumerate(self.figures, first):
            worse = min if name in self.lowest else max
            kept[index] = worse(kept[index], values[index])

    def shown(self, age_s: float) -> dict[str, object]:
        """The last `age_s` seconds: `at` (of the clock that noted), and of each name as many values.

        Counters are told per second; their first is None: it has grown since nothing. `every_s` is the spacing.
        """
        index = next((i for i, spacing_s in enumerate(SPACINGS_S) if spacing_s * 120 >= age_s), len(SPACINGS_S) - 1)
        points = list(self.kept[index])
        since_s = points[-1][0] - age_s if points else 0.0
        first = next((i for i, (at_s, _) in enumerate(points) if at_s >= since_s), len(points))
        before = points[first - 1] if first else None
        shown: dict[str, list[float | None]] = {name: [] for name in (*self.counters, *self.figures)}
        for at_s, values in points[first:]:
            for place, name in enumerate(self.counters):
                shown[name].append(growth(before, at_s, values, place))
            for place, name in enumerate(self.figures, len(self.counters)):
                shown[name].append(round(values[place], 6))
            before = (at_s, values)
        return {"every_s": SPACINGS_S[index], "at": [at_s for at_s, _ in points[first:]], "series": shown}


def growth(before: tuple[float, array[float]] | None, at_s: float, values: array[float], place: int) -> float | None:
    """Of a counter, per second."""
    if before is None or at_s <= before[0]:
        return None
    return round(max(0.0, values[place] - before[1][place]) / (at_s - before[0]), 6)


class History:
    """The series of the broker and of what is watched. `look` is called every BEAT_S seconds."""

    def __init__(self, now_s: Callable[[], float], broker: Probe, lowest: Iterable[str] = ()) -> None:
        """`now_s`: seconds since 1970."""
        self.now_s = now_s
        self.probe = broker
        self.broker = Series(lowest)
        self.watched: OrderedDict[Hashable, tuple[Probe, Series]] = OrderedDict()

    def look(self) -> None:
        """At everything that is watched."""
        now_s = self.now_s()
        seen = self.probe()
        if seen is not None:
            self.broker.note(now_s, seen)
        for key, (probe, series) in list(self.watched.items()):
            seen = probe()
            if seen is None:
                del self.watched[key]
            else:
                series.note(now_s, seen)

    def of(self, key: Hashable, probe: Probe) -> Series:
        """What is known of an object, which is watched from now on."""
        found = self.watched.get(key)
        if found is None:
            found = self.watched[key] = (probe, Series())
            seen = probe()
            if seen is not None:
                found[1].note(self.now_s(), seen)
        self.watched.move_to_end(key)
        if len(self.watched) > WATCHED_MAX:
            self.watched.popitem(last=False)
        return found[1]
