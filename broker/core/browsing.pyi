"""Typed signatures of `browsing.pyx`."""

from broker.core.message import Message
from broker.core.queue import Queue

OUTCOMES: dict[str, int]

class Taken:
    """One message that was taken; `left`: messages that were ready behind it."""

    def __init__(self, message: Message, redelivered: bool, left: int) -> None: ...
    @property
    def message(self) -> Message: ...
    @property
    def redelivered(self) -> bool: ...
    @property
    def left(self) -> int: ...

def take(queue: Queue, count: int, mode: str, bytes_max: int) -> list[Taken]: ...
def move(source: Queue, destination: Queue, count: int, bytes_max: int) -> int: ...
