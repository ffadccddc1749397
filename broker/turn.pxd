"""What is done around a turn of the loop: the time before, the commit after."""

from broker.core.clock cimport Clock
from broker.net.loop_clock cimport LoopClock
from broker.net.turn cimport TurnHooks
from storage.interface cimport Store


cdef class BrokerTurn(TurnHooks):
    cdef Clock clock
    cdef LoopClock loop_clock
    cdef Store store
    cdef bint seal_is_due                               # a timer will ask for a turn
    cdef void seal_later(self) noexcept
