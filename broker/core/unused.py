"""x-expires: a queue that nobody has used for so long goes (RabbitMQ: no consumer, no basic.get, no redeclaration).

Owns the one timer per queue that looks. Refuses to know what use is: the queue notes `last_used_ms`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.clock import Timer
    from broker.core.queue import Queue


class UnusedWatch:
    """Of one queue. The timer is not set again with every use: it finds out when it fires."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.timer: Timer | None = None

    def watch(self) -> None:
        """Look when the time would be over if the queue were not used again; if it has such a time."""
        self.cancel()
        expires_ms = self.queue.settings.expires_ms
        if expires_ms is not None:
            self.timer = self.queue.clock.call_at(self.queue.last_used_ms + expires_ms, self.on_due)

    def cancel(self) -> None:
        """The queue is gone, or lives for ever."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def on_due(self) -> None:
        """The time has passed, if nothing happened since it was set."""
        queue = self.queue
        self.timer = None
        if queue.deleted or queue.settings.expires_ms is None:
            return
        if queue.consumers:
            queue.last_used_ms = queue.clock.now_ms
        if queue.clock.now_ms - queue.last_used_ms >= queue.settings.expires_ms:
            queue.vhost.remove_queue(queue)
        else:
            self.watch()
