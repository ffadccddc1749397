"""The budget for messages in memory (law 3): over it, publishers wait.

Owns looking, and the alarm `memory`. Counts what queues hold ready in memory and what is delivered and not yet
settled; a message in several queues counts in each. What waits on disk does not count: a long queue
pages out long before. What publishers have begun (core.intake) counts, too; where it is most of what there is, only
its going on can help, and it goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

INTERVAL_MS = 500
CLEARED_AT = 0.9
"""The share of the budget at which publishing resumes: right below it, it would flicker."""
MUST_FLOW_AT = 0.5
"""The share of the budget from which on what was begun goes on although memory is short."""
MACHINE_SHARE = 0.4
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""What the kernel tells a container of its own limits."""


class MemoryAlarm:
    """Looks every half second. `bytes_max` None: 40 % of the machine's memory."""

    def __init__(self, broker: Any, clock: Any, bytes_max: int | None, stalled_after_ms: int = 30_000) -> None:
        self.broker = broker
        self.clock = clock
        self.stalled_after_ms = stalled_after_ms
        self.use(bytes_max)
        self.bytes = 0
        self.look()

    def use(self, bytes_max: int | None) -> None:
        """Another budget; the next look tells."""
        self.bytes_max = bytes_max if bytes_max is not None else int(machine_bytes() * MACHINE_SHARE)

    def look(self) -> None:
        """Compare, raise or clear, and come again."""
        intake = self.broker.intake
        self.bytes = intake.bytes + sum(
            queue.memory_bytes + queue.unacked_bytes
            for vhost in self.broker.vhosts.values()
            for queue in vhost.queues.values()
        )
        if self.bytes > self.bytes_max:
            if "memory" not in self.broker.alarms:
                self.broker.raise_alarm("memory", f"messages take more than {self.bytes_max} bytes of memory")
        elif self.bytes <= self.bytes_max * CLEARED_AT:
            self.broker.clear_alarm("memory")
        intake.must_flow = "memory" in self.broker.alarms and intake.bytes > self.bytes_max * MUST_FLOW_AT
        if intake.must_flow:
            for holder in list(intake.holders):
                holder.read_on(self.clock.now_ms, self.stalled_after_ms)
        self.clock.call_at(self.clock.now_ms + INTERVAL_MS, self.look)


def machine_bytes(control_groups: Path = CONTROL_GROUPS) -> int:
    """The machine's memory, or what a container may have of it (cgroups 2, and 1), whichever is less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (control_groups / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # "max": no limit
            found = min(found, int(text))
    return found
