"""Typed signatures of `sieve.pyx`."""

from collections.abc import Callable
from typing import Any

from broker.core.binding import Binding
from broker.core.message import Message

class Sieve:
    """Lets everything through. `events`: bits of what happens."""

    def __init__(self, events: int = ...) -> None: ...
    @property
    def events(self) -> int: ...

class TraceSieve(Sieve):
    """What a trace's filter may choose."""

    def __init__(
        self,
        *,
        exchange: bytes | None,
        queue: bytes | None,
        binding_key: bytes | None,
        by_publisher: Callable[[Message], bool] | None = None,
        by_taker: Callable[[object], bool] | None = None,
        clock: Any = None,
    ) -> None: ...

class ContextSieve(Sieve):
    """Messages with a `traceparent` that says `sampled`, and of these a share."""

    def __init__(self, share: float) -> None: ...

class BoundSieve(Sieve):
    """What is published and delivered, while an exchange has bindings."""

    def __init__(self, exchange: bytes, bindings: dict[Any, Binding]) -> None: ...

class Sieves:
    """Those of all listeners of a vhost."""

    positions: dict[tuple[int, int], int]
    @property
    def sieves(self) -> list[Sieve]: ...
    def set_sieves(self, sieves: list[Sieve]) -> None: ...
