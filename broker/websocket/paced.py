"""The pace of a native connection: when it takes no request, and when it delivers nothing.

Owns the reasons to wait, what one turn may do, and that retained messages go before newer ones. Refuses to know what is
asked and what is delivered (`native`).

Invariants: reading is paused exactly while there is a reason to wait; deliveries stop while the client does not read,
and while something that was retained is still to be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.websocket.retained_first import RetainedFirst
from broker.wire.connection import PythonConnection

if TYPE_CHECKING:
    from broker.client import Client
    from broker.websocket.connection import CarriedOutput
    from broker.websocket.messages import Answer, Encoding

PER_TURN_MAX = 256
"""Requests, and as many deliveries, before others have their turn."""


class PacedConnection(PythonConnection):
    """One client's connection."""

    output: CarriedOutput

    def __init__(self, clock: Any, encoding: Encoding, deliver_retained: Callable[[Any, Any], object]) -> None:
        """`clock`: core.clock.Clock; `deliver_retained`: see retained_first."""
        self.clock = clock
        self.encoding = encoding
        self.client: Client | None = None
        self.waits: set[str] = set()
        self.requests_in_turn = self.deliveries_in_turn = 0
        self.turn_ends = False
        self.retained = RetainedFirst(deliver_retained, self.may_deliver)

    def say(self, answer: Answer) -> None:
        """One message to the client."""
        self.output.send_message(self.encoding.encode(answer))

    def on_writable(self) -> None:
        """The client has read."""
        self.go_on("reader")
        if self.client is not None and not self.turn_ends:
            self._go_on_delivering(self.client)

    # ── requests wait ─────────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, why: str) -> None:
        """Take no more requests until `go_on` for the same reason."""
        if not self.waits:
            self.output.pause_reading()
        self.waits.add(why)

    def go_on(self, why: str) -> None:
        """One reason less to wait."""
        if why in self.waits:
            self.waits.discard(why)
            if not self.waits:
                self.output.resume_reading()

    def end_turn_later(self) -> None:
        """This turn has had its share."""
        if not self.turn_ends:
            self.turn_ends = True
            self.clock.call_at(self.clock.now_ms, self._on_turn_ended)

    def _on_turn_ended(self) -> None:
        self.turn_ends = False
        self.requests_in_turn = self.deliveries_in_turn = 0
        self.go_on("turn")
        if self.client is not None and not self.output.is_full:
            self._go_on_delivering(self.client)

    # ── deliveries wait ───────────────────────────────────────────────────────────────────────────────────────────────

    def may_deliver(self) -> bool:
        """One more, in this turn and into this output."""
        return self.deliveries_in_turn < PER_TURN_MAX and not self.output.is_full

    def keep_retained(self, client: Client) -> None:
        """Not all could be sent: nothing newer is before they are, and no request is taken."""
        self.wait("retained")
        client.hold()
        if self.deliveries_in_turn >= PER_TURN_MAX:
            self.end_turn_later()

    def _go_on_delivering(self, client: Client) -> None:
        """What was retained, then what is newer."""
        if self.retained.send():
            self.go_on("retained")
            client.go_on()
        else:
            self.keep_retained(client)
