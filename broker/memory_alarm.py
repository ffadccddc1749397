"""The budget of memory (law 3): over it, publishers wait.

    messages   ready in memory, and delivered and not yet settled; in several queues they count in each
    incoming   what publishers have begun (core.intake)
    gathered   what WebSockets have of messages that they need whole
    output     what is written for peers that do not take it
    unread     what connections have received and not yet taken: half packets, and whatever came before they had to
               wait. It counts up to a quarter of the budget: publishers who wait must not be what they wait for
    retained   retained messages          } what lasts: no consumer makes it less. It counts up to half of the budget,
    sessions   sessions and their filters } and above that no more is taken on

Owns looking, and the alarm `memory`. What waits on disk does not count: a long queue pages out long before. Where most
of what there is was begun, only its going on can help, and it goes on. Where most of it lies in connections that
neither take what they are sent nor end what they have begun to say, they are cut off after `stalled_after_ms`.

Invariant: what no consumer and no cutting off can make less counts less than CLEARED_AT, so every alarm can end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from broker.core.totals import memory_bytes

log = logging.getLogger("hubbub.memory")

INTERVAL_MS = 500
CLEARED_AT = 0.9
"""The share of the budget at which publishing resumes: right below it, it would flicker."""
MUST_FLOW_AT = 0.5
"""The share of the budget from which on what was begun goes on although memory is short, and slow readers are cut."""
LASTING_MAX = 0.5
"""The share of the budget that retained messages and sessions may have."""
UNREAD_MAX = 0.25
"""The share that counts of what is received and not taken."""
MACHINE_SHARE = 0.4
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""What the kernel tells a container of its own limits."""


class MemoryAlarm:
    """Looks every half second. `bytes_max` None: 40 % of the machine's memory."""

    def __init__(self, broker: Any, clock: Any, bytes_max: int | None, stalled_after_ms: int = 30_000) -> None:
        self.broker = broker
        self.clock = clock
        self.stalled_after_ms = stalled_after_ms
        self.counts: dict[str, Callable[[], int]] = {}
        """Further parts: `unread`, `gathered`, `output`, `sessions`, in bytes."""
        self.connections: Callable[[], Iterable[Any]] = tuple
        self.cut_count = 0
        """Connections that were cut off, as nothing moved there while memory was short."""
        self.moved: dict[Any, tuple[int, int]] = {}
        """Of connections that hold memory: how many bytes had moved, and since when there are no more."""
        self.use(bytes_max)
        self.bytes = 0
        self.look()

    def use(self, bytes_max: int | None) -> None:
        """Another budget; the next look tells."""
        self.bytes_max = bytes_max if bytes_max is not None else int(machine_bytes() * MACHINE_SHARE)

    def parts(self) -> dict[str, int]:
        """What is counted, in bytes."""
        vhosts = list(self.broker.vhosts.values())
        return {
            "messages": sum(memory_bytes(vhost.queues.values()) for vhost in vhosts),
            "incoming": self.broker.intake.bytes,
            "retained": sum(vhost.retained.memory_bytes for vhost in vhosts),
            **{name: count() for name, count in self.counts.items()},
        }

    def look(self) -> None:
        """Compare, raise or clear, and come again."""
        parts = self.parts()
        lasting, lasting_max = parts["retained"] + parts.get("sessions", 0), int(self.bytes_max * LASTING_MAX)
        self.bound_what_lasts(lasting > lasting_max)
        unread_max = int(self.bytes_max * UNREAD_MAX)
        self.bytes = sum(parts.values()) - max(0, lasting - lasting_max) - max(0, parts.get("unread", 0) - unread_max)
        if self.bytes > self.bytes_max:
            if "memory" not in self.broker.alarms:
                self.broker.raise_alarm("memory", f"messages take more than {self.bytes_max} bytes of memory")
                shown = {name: count for name, count in parts.items() if count}
                log.warning("memory is short: publishers wait", extra={"bytes_max": self.bytes_max, **shown})
        elif self.bytes <= self.bytes_max * CLEARED_AT:
            if "memory" in self.broker.alarms:
                log.warning("memory is no more short")
            self.broker.clear_alarm("memory")
        intake, is_short, most = self.broker.intake, "memory" in self.broker.alarms, self.bytes_max * MUST_FLOW_AT
        intake.must_flow = is_short and intake.bytes > most
        if intake.must_flow:
            for holder in list(intake.holders):
                holder.read_on(self.clock.now_ms, self.stalled_after_ms)
        if is_short and sum(parts.get(name, 0) for name in ("output", "unread", "gathered")) > most:
            self.cut_off_who_holds()
        elif self.moved:
            self.moved.clear()
        self.clock.call_at(self.clock.now_ms + INTERVAL_MS, self.look)

    def bound_what_lasts(self, is_full: bool) -> None:
        """Retained messages and sessions are taken on, or no more."""
        if is_full and not self.broker.is_full_of_lasting:
            log.warning("retained messages and sessions take half of the memory: no more are taken on")
        self.broker.is_full_of_lasting = is_full
        for vhost in self.broker.vhosts.values():
            vhost.retained.is_full = is_full

    def cut_off_who_holds(self) -> None:
        """Connections in which nothing moves hold what all others need."""
        now_ms, seen = self.clock.now_ms, self.moved
        self.moved = {}
        for connection in self.connections():
            output = connection.output
            if output is None:
                continue
            if output.is_full:
                moved = output.bytes_sent
            elif (output.kept_bytes and not output.paused) or getattr(connection, "gathered_bytes", 0):
                moved = output.bytes_received
            else:
                continue
            before, since_ms = seen.get(connection, (-1, now_ms))
            if moved != before:
                since_ms = now_ms
            elif now_ms - since_ms >= self.stalled_after_ms:
                self.cut_count += 1
                log.warning("%s: memory is short, and nothing moves here: cut off", connection.peer)
                output.abort()
                continue
            self.moved[connection] = (moved, since_ms)


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
