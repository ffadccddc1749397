"""Rates per second, made of the core's counters when somebody asks: nothing is sampled while nobody looks.

Owns the two latest looks at each object, and, of objects whose history is asked for (`lengths_age`, `msg_rates_age` and
the like), more of them. All of it is bounded; the oldest are forgotten. A first look has no rate yet: 0.0. Looks, not
a timer, make a history: it begins when somebody first asks for it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

OBJECTS_MAX = 50_000
SPAN_S_MIN = 1.0
"""Looks that are nearer together count as one: the rate over a tenth of a second is noise."""
SPAN_S_MAX = 300.0
HISTORIES_MAX = 200
"""Objects whose history is kept."""
LOOKS_MAX = 360
"""Of one history."""
SAMPLES_MAX = 500
"""Of one figure in an answer."""

Look = tuple[float, Mapping[str, int]]

LENGTHS, MSG_RATES, DATA_RATES, NODE_STATS = "lengths", "msg_rates", "data_rates", "node_stats"
"""RabbitMQ's kinds of figures: each has an `…_age` and an `…_incr` in the query."""
KINDS = (LENGTHS, MSG_RATES, DATA_RATES, NODE_STATS)


class Window(NamedTuple):
    """Which part of a history is asked for."""

    age_s: int
    incr_s: int


class Rates:
    """Of everything that management shows."""

    def __init__(self, now_s: Callable[[], float], wall_s: Callable[[], float] = time.time) -> None:
        """`now_s`: a clock that never goes back, in seconds. `wall_s`: seconds since 1970, for samples."""
        self.now_s = now_s
        self.wall_s = wall_s
        self.looks: OrderedDict[Hashable, tuple[Look, Look, float]] = OrderedDict()
        self.histories: OrderedDict[Hashable, deque[Look]] = OrderedDict()

    def with_rates(
        self, key: Hashable, counts: Mapping[str, int], window: Window | None = None, *, may_fall: bool = False
    ) -> dict[str, object]:
        """The counts, each followed by `NAME_details: {"rate": …}` as RabbitMQ has it; with samples for a window.

        What may not fall, a counter, and does was begun anew: it has no rate then.
        """
        rates = self.rates(key, dict(counts))
        if not may_fall:
            rates = {name: max(0.0, rate) for name, rate in rates.items()}
        history = self.history(key, window is not None)
        shown: dict[str, object] = {}
        for name, count in counts.items():
            details: dict[str, object] = {"rate": rates.get(name, 0.0)}
            if window is not None:
                details.update(self.sampled(history, name, window))
            shown[name] = count
            shown[f"{name}_details"] = details
        return shown

    def rates(self, key: Hashable, counts: dict[str, int]) -> dict[str, float]:
        """Per second, since the look before the latest that is old enough."""
        now_s = self.now_s()
        look = (now_s, counts)
        before, latest, changed_s = self.looks.pop(key, (look, look, now_s))
        if counts != latest[1]:
            changed_s = now_s
        if now_s - latest[0] >= SPAN_S_MIN:
            before, latest = latest, look
        if now_s - before[0] > SPAN_S_MAX:
            before = latest
        self.looks[key] = (before, latest, changed_s)
        if len(self.looks) > OBJECTS_MAX:
            self.looks.popitem(last=False)
        span_s = latest[0] - before[0]
        if span_s <= 0:
            return {}
        return {name: round((count - before[1].get(name, 0)) / span_s, 2) for name, count in latest[1].items()}

    def idle_since(self, key: Hashable) -> str:
        """Since when an object's figures are what they are, as far as somebody looked: RFC 3339, in UTC."""
        since_1970 = self.wall_s() - self.now_s()
        at = datetime.fromtimestamp(since_1970 + self.looks[key][2], UTC)
        return at.isoformat(timespec="milliseconds")

    # ── histories ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, key: Hashable, is_wanted: bool) -> deque[Look]:
        """The looks at an object, with the latest, where its history is or was asked for."""
        history = self.histories.get(key)
        if history is None:
            history = deque(maxlen=LOOKS_MAX)
            if not is_wanted:
                return history
            self.histories[key] = history
            if len(self.histories) > HISTORIES_MAX:
                self.histories.popitem(last=False)
        if is_wanted:
            self.histories.move_to_end(key)
        latest = self.looks[key][1]
        if not history or history[-1][0] < latest[0]:
            history.append(latest)
        return history

    def sampled(self, history: deque[Look], name: str, window: Window) -> dict[str, object]:
        """`samples`, the newest first, a multiple of `incr_s` apart, and their averages, as RabbitMQ has it."""
        looks = [(at_s, counts.get(name, 0)) for at_s, counts in history]
        newest_s = looks[-1][0]
        since_1970 = self.wall_s() - self.now_s()
        samples = []
        index = len(looks) - 1
        for step in range(min(window.age_s // window.incr_s + 1, SAMPLES_MAX)):
            at_s = newest_s - step * window.incr_s
            if at_s < looks[0][0]:
                break
            while looks[index][0] > at_s:
                index -= 1
            timestamp = round((since_1970 + at_s) * 1000)
            samples.append({"sample": value_at(looks, index, at_s), "timestamp": timestamp})
        values = [int(each["sample"]) for each in samples]
        span_s = (len(samples) - 1) * window.incr_s
        return {
            "samples": samples,
            "avg": round(sum(values) / len(values), 2),
            "avg_rate": round((values[0] - values[-1]) / span_s, 2) if span_s else 0.0,
        }


def value_at(looks: list[tuple[float, int]], index: int, at_s: float) -> int:
    """Between two looks, on the line between them."""
    before_s, before = looks[index]
    if at_s <= before_s or index + 1 == len(looks):
        return before
    after_s, after = looks[index + 1]
    return round(before + (after - before) * (at_s - before_s) / (after_s - before_s))


class AskedRates:
    """The same rates, with the windows that one request asks for."""

    def __init__(self, rates: Rates, windows: Mapping[str, Window]) -> None:
        """`windows`: by kind."""
        self.rates = rates
        self.windows = windows
        self.idle_since = rates.idle_since

    def with_rates(self, key: Hashable, counts: Mapping[str, int], kind: str = MSG_RATES) -> dict[str, object]:
        """See Rates."""
        return self.rates.with_rates(key, counts, self.windows.get(kind), may_fall=kind in (LENGTHS, NODE_STATS))
