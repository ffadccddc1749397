"""Typed signatures of `held.pyx`."""

from broker.core.message import Message
from broker.core.queue import Queue

def on_disk_only(queue: Queue) -> tuple[int, int]: ...
def first_held(queue: Queue) -> Message | None: ...
