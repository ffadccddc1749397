"""How the broker goes: it says so first, and goes a moment later.

Belongs to the composition root (`server`). Owns the moment between the operator's word (a signal, `hubbub drain`) and
the end: meanwhile the broker serves everybody as before, but is no longer ready, so that load balancers send nobody
new. Refuses to know how connections are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("hubbub.server")


class Draining:
    """Of one broker. `over` is set when it is time to stop."""

    def __init__(self, usual_s: Callable[[], float]) -> None:
        """`usual_s()`: how long, where nobody says."""
        self.usual_s = usual_s
        self.over = asyncio.Event()
        self.is_begun = False
        self.due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, after_s: float | None = None) -> float:
        """Go in `after_s` seconds; who has been told so before goes at the earlier time. How many seconds are left."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + (self.usual_s() if after_s is None else after_s)
        if not self.is_begun or due_at < self.due_at:
            self.is_begun = True
            self.due_at = due_at
            if self._timer is not None:
                self._timer.cancel()
            left_s = due_at - loop.time()
            log.info("draining", extra={"seconds": round(left_s, 3)})
            self._timer = loop.call_later(left_s, self.over.set)
        return max(0.0, self.due_at - loop.time())

    def on_signal(self) -> None:
        """SIGTERM, SIGINT; whoever sends it twice will not wait."""
        self.begin(0 if self.is_begun else None)
