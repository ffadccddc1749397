"""What is done around a turn of the loop: the time before, the commit after.

Belongs to the composition root (`server`), which alone may know the edge, the core's clock and the store together.

Invariants: the clock is read once per turn; everything that a turn received is in one batch; confirms of committed
batches are written before the outputs are flushed, so that they leave in the same turn.
"""

from libc.stdint cimport int64_t


cdef class BrokerTurn(TurnHooks):
    """Wired in two steps, because the loop's clock needs the turn's `wake` and the turn needs this."""

    def __cinit__(self, Clock clock not None, Store store not None):
        self.clock = clock
        self.store = store

    def attach(self, LoopClock loop_clock not None):
        """From now on the time is `loop_clock`'s."""
        self.loop_clock = loop_clock

    cdef void begins(self) noexcept:
        if self.loop_clock is not None:
            self.clock.now_ms = self.loop_clock.read_ms()

    cdef void ends(self, bint notified) noexcept:
        if notified:
            self.store.collect()
        self.store.seal()
        self.seal_later()

    cdef void seal_later(self) noexcept:
        """What is not yet to be sealed (durability `interval`, or nobody waits) must not wait for the next traffic."""
        cdef int64_t wait_ms = self.store.next_seal_ms()
        if wait_ms > 0 and not self.seal_is_due:
            self.seal_is_due = True
            self.clock.call_at(self.clock.now_ms + wait_ms, self._seal_due)

    def _seal_due(self):
        # The loop's clock runs a turn after its timers, and that turn seals.
        self.seal_is_due = False
