"""The budget for messages in memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.core.clock import ManualClock
from broker.core.intake import Intake
from broker.memory_alarm import MemoryAlarm, machine_bytes


class FakeBroker:
    def __init__(self) -> None:
        self.queue = SimpleNamespace(memory_bytes=0, unacked_bytes=0)
        self.vhosts = {"/": SimpleNamespace(queues={"q": self.queue})}
        self.alarms: dict[str, str] = {}
        self.intake = Intake()
        self.raised = 0

    def raise_alarm(self, name: str, reason: str) -> None:
        self.alarms[name] = reason
        self.raised += 1

    def clear_alarm(self, name: str) -> None:
        self.alarms.pop(name, None)


def test_over_the_budget_publishers_wait_until_it_is_well_below() -> None:
    clock, broker = ManualClock(), FakeBroker()
    MemoryAlarm(broker, clock, 1000)
    broker.queue.memory_bytes, broker.queue.unacked_bytes = 600, 400
    clock.pass_ms(1000)
    assert broker.alarms == {}

    broker.queue.unacked_bytes = 401
    clock.pass_ms(2000)
    assert "1000 bytes" in broker.alarms["memory"]
    assert broker.raised == 1
    broker.queue.unacked_bytes = 350
    clock.pass_ms(1000)
    assert broker.alarms, "not yet: it would flicker"
    broker.queue.unacked_bytes = 300
    clock.pass_ms(1000)
    assert broker.alarms == {}


def test_without_a_figure_the_budget_is_a_share_of_the_machine() -> None:
    alarm = MemoryAlarm(FakeBroker(), ManualClock(), None)

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
