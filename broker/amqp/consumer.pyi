"""Typed signatures of the Python half of `consumer.pyx`."""

from typing import Any

from broker.amqp.channel import Channel
from broker.core.queue import Queue
from broker.core.target import Consumer, Target

class AmqpConsumer(Consumer):
    """basic.consume. `prefetch_count` 0: no limit."""

    def __init__(
        self,
        channel: Channel,
        queue: Queue,
        tag: str,
        *,
        no_ack: bool,
        no_local: bool,
        exclusive: bool,
        priority: int,
        prefetch_count: int,
        arguments: dict[str, Any],
    ) -> None: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def prefetch_count(self) -> int: ...
    def stop(self) -> None: ...

class ReplyTarget(Target):
    """Direct reply-to: a consumer without a queue."""

    def __init__(self, channel: Channel, name: str, tag: str) -> None: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def name(self) -> str: ...
    @property
    def tag(self) -> str: ...
