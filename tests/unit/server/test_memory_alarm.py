"""The budget for messages in memory."""

from __future__ import annotations

from types import SimpleNamespace

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
