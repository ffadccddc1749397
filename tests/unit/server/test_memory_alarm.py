"""The budget of memory: what counts, what lasts, and who is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.memory_alarm import MemoryAlarm, machine_bytes
from tests.support.peer import Core, Peer

BUDGET = 100_000


class Held(dict[str, int]):
    """What the edge would count, as a test says it."""

    def count(self, alarm: MemoryAlarm) -> Held:
        for name in ("output", "unread", "gathered", "sessions"):
            self[name] = 0
            alarm.counts[name] = lambda name=name: self[name]  # type: ignore[misc]
        return self


class Link:
    """A connection, and its output."""

    def __init__(self, **state: Any) -> None:
        self.output = self
        self.peer = "10.0.0.1:5000"
        self.is_full, self.paused, self.kept_bytes, self.gathered_bytes = False, False, 0, 0
        self.bytes_sent, self.bytes_received = 0, 0
        self.aborted = False
        for name, value in state.items():
            setattr(self, name, value)

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def alarm(core: Core) -> MemoryAlarm:
    return MemoryAlarm(core.broker, core.clock, BUDGET, stalled_after_ms=2_000)


@pytest.fixture
def held(alarm: MemoryAlarm) -> Held:
    return Held().count(alarm)


def alarms(core: Core) -> list[str]:
    core.pass_ms(500)
    return list(core.broker.alarms)


@pytest.mark.parametrize("part", ["output", "gathered"])
def test_over_the_budget_publishers_wait_until_it_is_well_below(
    core: Core, alarm: MemoryAlarm, held: Held, part: str
) -> None:
    at_rest = alarm.parts()["retained"]  # the tree of an empty broker
    held[part] = BUDGET - at_rest
    assert alarms(core) == []

    held[part] = BUDGET - at_rest + 1
    assert alarms(core) == ["memory"]
    assert "100000 bytes" in core.broker.alarms["memory"]
    held[part] = 95_000 - at_rest
    assert alarms(core) == ["memory"], "not yet: it would flicker"
    held[part] = 90_000 - at_rest
    assert alarms(core) == []


def test_messages_that_are_ready_and_those_not_settled_count(core: Core, peer: Peer, alarm: MemoryAlarm) -> None:
    peer.declare("q")
    for _ in range(3):
        peer.publish("q", b"x" * 40_000)
    assert 120_000 <= alarm.parts()["messages"] < 130_000
    peer.consume("q")
    assert 120_000 <= alarm.parts()["messages"] < 130_000, "delivered, and not yet acknowledged"
    assert alarms(core) == ["memory"]

    core.vhost.remove_queue(core.queue("q"))
    assert alarm.parts()["messages"] == 0
    assert alarms(core) == []


@pytest.mark.parametrize(("parts", "counted"), [
    ({"unread": 10 * BUDGET, "sessions": 20_000}, 45_000),
    ({"sessions": 10 * BUDGET}, 50_000),
    ({"sessions": 10 * BUDGET, "unread": 10 * BUDGET}, 75_000),
])  # fmt: skip
def test_what_nobody_can_make_less_never_keeps_publishers_waiting(
    core: Core, alarm: MemoryAlarm, held: Held, parts: dict[str, int], counted: int
) -> None:
    held |= parts
    assert alarms(core) == []
    assert counted <= alarm.bytes < counted + 5_000


def test_above_half_of_the_budget_no_more_is_retained_than_there_is(core: Core, held: Held) -> None:
    retained = core.vhost.retained
    held["sessions"] = 60_000
    core.pass_ms(500)
    assert core.broker.is_full_of_lasting
    assert retained.is_full

    held["sessions"] = 1_000
    core.pass_ms(500)
    assert not core.broker.is_full_of_lasting
    assert not retained.is_full


@pytest.mark.parametrize(
    ("state", "moving"),
    [
        ({"is_full": True}, "bytes_sent"),
        ({"kept_bytes": 9}, "bytes_received"),
        ({"gathered_bytes": 9}, "bytes_received"),
    ],
    ids=["takes nothing", "half a packet", "half a message"],
)
def test_who_holds_memory_in_which_nothing_moves_is_cut_off(
    core: Core, alarm: MemoryAlarm, held: Held, state: dict[str, Any], moving: str
) -> None:
    still, moves, rests, idle = Link(**state), Link(**state), Link(kept_bytes=9, paused=True), Link()
    alarm.connections = lambda: [still, moves, rests, idle]
    held["output"] = 2 * BUDGET
    for _ in range(4):
        core.pass_ms(500)
        setattr(moves, moving, getattr(moves, moving) + 1)
    assert not still.aborted

    core.pass_ms(1_000)
    assert [each.aborted for each in (still, moves, rests, idle)] == [True, False, False, False]
    assert alarm.cut_count == 1


def test_nobody_is_cut_off_while_others_hold_the_memory(core: Core, alarm: MemoryAlarm, held: Held) -> None:
    still = Link(is_full=True)
    alarm.connections = lambda: [still]
    core.broker.intake.bytes = 2 * BUDGET
    held["output"] = 40_000
    core.pass_ms(10_000)

    assert list(core.broker.alarms) == ["memory"]
    assert not still.aborted


def test_without_a_figure_the_budget_is_a_share_of_the_machine(core: Core) -> None:
    alarm = MemoryAlarm(core.broker, core.clock, None)

    assert alarm.bytes_max == int(machine_bytes() * 0.4)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.max", "1048576\n", 1048576),
        ("memory.max", "max\n", machine_bytes(Path("/none"))),
        ("memory/memory.limit_in_bytes", "2097152\n", 2097152),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", machine_bytes(Path("/none"))),
        ("other", "1", machine_bytes(Path("/none"))),
    ],
)
def test_in_a_container_the_machine_is_what_the_container_may_have(
    tmp_path: Path, name: str, text: str, expected: int
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)

    assert machine_bytes(tmp_path) == expected
