"""The retained messages that a native subscription brings at once: before anything newer, and no faster than the client
reads. A filter such as `#` may match all that the broker has.

Owns what is still to be sent of them, in order. Refuses to know why nothing may be sent just now: it asks.

Invariants: a message's bytes are in the output only when the output has room; until everything is sent, nothing newer
is, so that nobody ends with a value that was replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any


class RetainedFirst:
    """Of one client."""

    def __init__(self, deliver: Callable[[Any, Any], object], may_deliver: Callable[[], bool]) -> None:
        """`deliver(subscription, message)`; `may_deliver()`: whether one more may be sent now."""
        self.deliver = deliver
        self.may_deliver = may_deliver
        self.waiting: deque[tuple[Any, Iterator[Any]]] = deque()

    def append(self, subscription: Any, messages: Iterator[Any]) -> None:
        """What a new subscription brings; made one by one, as they are sent."""
        self.waiting.append((subscription, messages))

    def send(self) -> bool:
        """As many as may be sent now. True: nothing is left."""
        while self.waiting:
            if not self.may_deliver():
                return False
            subscription, messages = self.waiting[0]
            message = next(messages, None)
            if message is None:
                self.waiting.popleft()
            else:
                self.deliver(subscription, message)
        return True
