"""A row of the table: what work is done, which figures it gives, and the floor that each must reach.

Owns the words in which benchmarks are defined (`amqp_rows.py`, `mqtt_rows.py`) and nothing of how they are run. A floor
is a bound on one of Hubbub's figures, computed from the medians of this run: another row's, a peer's, the relay's or
the disk's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from .process import AMQP, MQTT

HUBBUB, RABBITMQ, MOSQUITTO, NATS, RELAY = "hubbub", "rabbitmq", "mosquitto", "nats", "relay"
RATE = "messages_per_second"
PER_CPU_SECOND = "messages_per_broker_cpu_second"

WINDOW = 4096  # messages outstanding in a closed loop
OPEN_LOOP_RATE = 5000


class Kind(enum.Enum):
    """How a row is measured."""

    WINDOW = "a measured window under constant load"
    BACKLOG = "fill, restart, drain"
    IDLE = "many connections and no messages"


class Unit(enum.Enum):
    """What a figure is counted in."""

    MESSAGES_PER_SECOND = "msgs/s"
    MICROSECONDS = "µs"
    SECONDS = "s"
    BYTES = "bytes"
    PER_SECOND = "/s"
    PERCENT = "%"


@dataclass(frozen=True)
class Medians:
    """The medians of the runs: values[row][system][figure], and of the disk."""

    values: dict[str, dict[str, dict[str, float]]]
    fdatasync_us: float | None

    def get(self, row: str, system: str, figure: str) -> float | None:
        """The median, or None where it was not measured."""
        return self.values.get(row, {}).get(system, {}).get(figure)


@dataclass(frozen=True)
class Floor:
    """What a figure of Hubbub's must reach. `bound` gives None where the run lacks what it is computed from."""

    text: str
    bound: Callable[[Medians], float | None]
    at_least: bool = True
    fixed: bool = False  # the text says the bound

    def is_met(self, value: float, bound: float) -> bool:
        """True when the value is on the right side of the bound."""
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True)
class Line:
    """A figure of a row: a line of the table."""

    label: str
    figure: str
    unit: Unit
    floors: tuple[Floor, ...] = ()


@dataclass(frozen=True)
class Row:
    """One kind of work. The arguments are the load generator's."""

    name: str
    kind: Kind
    arguments: tuple[str, ...]
    lines: tuple[Line, ...]
    relay_arguments: tuple[str, ...] | None = None
    dialect: str = AMQP  # on whose port
    peers: tuple[str, ...] = (RABBITMQ,)

    @property
    def group(self) -> str:
        """The table it stands in."""
        return MQTT if self.name.startswith(MQTT) else AMQP

    def systems(self, chosen: list[str]) -> list[str]:
        """Which of the chosen systems can do this work."""
        able = (HUBBUB, *self.peers, *(() if self.relay_arguments is None else (RELAY,)))
        return [name for name in chosen if name in able]


def times(factor: float, row: str, system: str, figure: str, text: str) -> Floor:
    """At least `factor` times a figure of a system in a row."""

    def bound(medians: Medians) -> float | None:
        value = medians.get(row, system, figure)
        return None if value is None else factor * value

    return Floor(text, bound)


def times_rabbitmq(factor: float, row: str) -> Floor:
    """At least `factor` times RabbitMQ's rate in the same row."""
    return times(factor, row, RABBITMQ, RATE, f"{factor:g} × RabbitMQ")


def at_most(value: float, text: str) -> Floor:
    """A fixed upper bound."""
    return Floor(text, lambda _medians: value, at_least=False, fixed=True)


def at_most_relay_and_syncs(row: str) -> Floor:
    """At most the relay's delivery in the row and two and a half times the disk's fdatasync."""

    def bound(medians: Medians) -> float | None:
        relay = medians.get(row, RELAY, "delivery_us.p50")
        if relay is None or medians.fdatasync_us is None:
            return None
        return relay + 2.5 * medians.fdatasync_us

    return Floor("at most relay + 2.5 × fdatasync", bound, at_least=False)
