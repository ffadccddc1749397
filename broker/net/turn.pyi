"""Typed public signatures of `turn.pyx`."""

import asyncio

from broker.wire.connection import Connection
from broker.wire.output import Output

class TurnHooks: ...
class Source: ...

class Turn:
    count: int
    def __init__(
        self, loop: asyncio.AbstractEventLoop, hooks: TurnHooks | None = None, rounds_max: int = 4
    ) -> None: ...
    def wake(self) -> None: ...
    def enter(self) -> None: ...
    def run(self) -> None: ...

class Link(Output):
    connection: Connection | None
    paused: bool
