"""When the garbage collector looks at what: often at what is new, rarely at everything.

Owns the process's collector, which is switched off by itself. What a connection leaves behind goes without it, by
reference counts; it is there for cycles, of which little is known. A look at everything stops the loop for a quarter of
a second with 100,000 queues, and finds nothing.

Invariants: what is new is looked at before it is so much that it takes long, and within a minute; everything is looked
at after a minute, or later, so that it takes no more than a 20,000th of the time.
"""

from __future__ import annotations

import gc
import time
from typing import Any

LOOK_MS = 250
NEW_MAX = 20_000
"""Objects, of which a look takes some milliseconds."""
NEW_INTERVAL_MS = 60_000
SHARE = 20_000


class Garbage:
    """Of this process. `clock`: core.clock.Clock; `collector`: the module gc, or what stands for it."""

    def __init__(self, clock: Any, collector: Any = gc, seconds: Any = time.perf_counter) -> None:
        self.clock, self.collector, self.seconds = clock, collector, seconds
        self.timer: Any = None
        self.new_due_ms = 0
        self.all_due_ms = 0

    def start(self) -> None:
        """What was made so far stays, and is not looked at again."""
        self.collector.collect()
        self.collector.freeze()
        self.collector.disable()
        self.new_due_ms = self.all_due_ms = self.clock.now_ms + NEW_INTERVAL_MS
        self.timer = self.clock.call_at(self.clock.now_ms + LOOK_MS, self.look)

    def stop(self) -> None:
        """As Python has it."""
        if self.timer is not None:
            self.timer.cancel()
        self.collector.unfreeze()
        self.collector.enable()

    def look(self) -> None:
        """Collect what is due."""
        now_ms = self.clock.now_ms
        if now_ms >= self.all_due_ms:
            began_s = self.seconds()
            self.collector.collect()
            took_ms = int((self.seconds() - began_s) * 1000)
            self.all_due_ms = now_ms + max(NEW_INTERVAL_MS, took_ms * SHARE)
            self.new_due_ms = now_ms + NEW_INTERVAL_MS
        elif now_ms >= self.new_due_ms or self.collector.get_count()[0] >= NEW_MAX:
            self.collector.collect(1)
            self.new_due_ms = now_ms + NEW_INTERVAL_MS
        self.timer = self.clock.call_at(now_ms + LOOK_MS, self.look)
