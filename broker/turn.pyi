"""Typed public signatures of `turn.pyx`."""

from broker.core.clock import Clock
from broker.net.loop_clock import LoopClock
from broker.net.turn import TurnHooks
from storage.interface import Store

class BrokerTurn(TurnHooks):
    def __init__(self, clock: Clock, store: Store) -> None: ...
    def attach(self, loop_clock: LoopClock) -> None: ...
