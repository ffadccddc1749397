"""Sessions that have ended, and whose subscriptions are still being taken out: so many at a time, with others served
in between, because a session may have a million of them.

Owns the slices, and that a new session of the same name is not taken for the old one: a binding is known by its
destination's name (`core.binding`). What is left of such a session matches nothing and takes nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.mqtt import subscriptions

if TYPE_CHECKING:
    from broker.mqtt.session import Session

PER_TURN_MAX = 2_000
"""Subscriptions: some ten milliseconds."""


class Leaving:
    """Those of one broker."""

    def __init__(self, clock: Any, per_turn_max: int = PER_TURN_MAX) -> None:
        self.clock = clock
        self.per_turn_max = per_turn_max
        self.by_name: dict[tuple[str, str], list[Session]] = {}

    def begin(self, session: Session) -> None:
        """The session has ended: its subscriptions go, the first of them at once."""
        subscriptions.remove_some(session, self.per_turn_max)
        if session.subscriptions:
            self.by_name.setdefault((session.vhost.name, session.client_id), []).append(session)
            self.clock.call_at(self.clock.now_ms, lambda: self.go_on(session))

    def go_on(self, session: Session) -> None:
        """The next ones."""
        subscriptions.remove_some(session, self.per_turn_max)
        if session.subscriptions:
            self.clock.call_at(self.clock.now_ms, lambda: self.go_on(session))
            return
        name = (session.vhost.name, session.client_id)
        others = [each for each in self.by_name[name] if each is not session]
        if others:
            self.by_name[name] = others
        else:
            del self.by_name[name]

    def make_way(self, session: Session, key: bytes) -> None:
        """A session is about to bind this: one of its name that is leaving must have let go of it."""
        for other in self.by_name.get((session.vhost.name, session.client_id), ()) if self.by_name else ():
            held = other.subscriptions.get(key)
            if held is not None:
                subscriptions.remove(other, key, held)
