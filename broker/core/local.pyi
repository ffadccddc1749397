"""Typed signatures of `local.pyx`."""

from collections.abc import Callable, Mapping
from typing import Any

from broker.core.exchange import Exchange
from broker.core.message import Message
from broker.core.publisher import Publisher
from broker.core.queue import Queue
from broker.core.target import Consumer
from storage.interface import Store

COMPLETE: int
REQUEUE: int
DISCARD: int
ROUTED: int
STORED: int
REFUSED: int

class LocalPublisher(Publisher):
    """Publishes what is written in Python; `on_accepted(number)`, `on_refused(first, last)` tell what became of it."""

    def __init__(
        self,
        store: Store,
        connection: int,
        on_accepted: Callable[[int], object],
        on_refused: Callable[[int, int], object],
    ) -> None: ...
    @property
    def connection(self) -> int: ...
    def route(self, exchange: Exchange, message: Message, *, mandatory: bool = ..., retain: bool = ...) -> int: ...
    def number(self, outcome: int) -> None: ...
    def close(self) -> None: ...

class LocalConsumer(Consumer):
    """Consumes one queue; `on_delivery(delivery)` is called for each message as the credit allows."""

    def __init__(
        self,
        queue: Queue,
        tag: str,
        *,
        no_ack: bool,
        exclusive: bool,
        no_local: bool,
        priority: int,
        credit: int,
        connection: int,
        arguments: Mapping[str, Any],
        on_delivery: Callable[[Delivery], object],
        on_cancelled: Callable[[], object],
    ) -> None: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def credit(self) -> int: ...
    @property
    def held(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    def hold(self) -> None: ...
    def go_on(self) -> None: ...
    def wake(self) -> None: ...
    def stop(self) -> None: ...

class Delivery:
    """One message in the hands of a consumer."""

    @property
    def consumer(self) -> LocalConsumer: ...
    @property
    def message(self) -> Message: ...
    @property
    def redelivered(self) -> bool: ...
    @property
    def delivery_count(self) -> int: ...
    @property
    def settled(self) -> bool: ...
    def settle(self, outcome: int, *, wake: bool = True) -> None: ...
