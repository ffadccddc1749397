"""Typed public signatures of `turn.pyx`."""

import asyncio
from collections.abc import Callable

from broker.wire.connection import Connection
from broker.wire.output import Output

class TurnHooks: ...
class Source: ...

class Turn:
    count: int
    kept_bytes: int
    stall_us: int
    on_stall: Callable[[str, Connection | None, float], object] | None
    def __init__(
        self, loop: asyncio.AbstractEventLoop, hooks: TurnHooks | None = None, rounds_max: int = 4
    ) -> None: ...
    def wake(self) -> None: ...
    def enter(self) -> None: ...
    def run(self) -> None: ...

class Link(Output):
    connection: Connection | None
    paused: bool
    @property
    def kept_bytes(self) -> int: ...
