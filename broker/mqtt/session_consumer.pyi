"""Typed signatures of the Python half of `session_consumer.pyx`."""

from broker.core.queue import Queue
from broker.core.target import Consumer
from broker.mqtt.session import Match, Session

class SessionConsumer(Consumer):
    """A session at a queue."""

    def __init__(
        self, session: Session, queue: Queue, options: Match | None = None, other_key: bytes | None = None
    ) -> None: ...
    @property
    def session(self) -> Session: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def options(self) -> Match | None: ...
    @property
    def other_key(self) -> bytes | None: ...
