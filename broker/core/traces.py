"""Message traces: where did my message go? Messages that a filter chooses are followed, and what happens to them noted.

Owns which message a trace follows and what it remembers of it. Refuses to know who asks.

    filter ─▶ chosen at its publication, or wherever it first meets the filter ─▶ followed through every queue,
              a dead-letter exchange included ─▶ notes, the last NOTES_MAX of them

Invariants: a trace follows at most `messages_max` messages, for at most `seconds`, and keeps no message, only notes;
at most TRACES_MAX of them are kept, and where one more is asked for the oldest that has ended goes. Payloads are not
noted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from broker.core.errors import LimitExceeded, PreconditionFailed
from broker.core.route_cache import matches
from broker.core.sieve import Sieve, TraceSieve
from broker.core.watch import MessageEvent, Watch, Who, watch, who

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.vhost import VirtualHost

TRACES_MAX = 16
MESSAGES_MAX, MESSAGES_DEFAULT = 10_000, 100
SECONDS_MAX, SECONDS_DEFAULT = 3600, 60
NOTES_MAX = 10_000


@dataclass(frozen=True)
class Filter:
    """What must be so of a message; None: anything."""

    exchange: str | None = None
    """It was published to."""
    queue: str | None = None
    """It is routed to, or is in."""
    user: str | None = None
    """Who publishes it, or gets it."""
    client: str | None = None
    """MQTT client identifier, or the name of a connection, of whoever publishes it or gets it."""
    binding_key: bytes | None = None
    """What its routing key matches, as a topic exchange's binding key."""

    def chooses(self, event: MessageEvent) -> bool:
        """Whether a message that this has happened to is followed from now on."""
        message, about = event.message, event.who
        assert message is not None
        return (
            (self.exchange is None or message.exchange == self.exchange.encode())
            and (self.queue is None or self.queue == event.queue or self.queue in event.routed_to)
            and (self.user is None or self.user == about.user)
            and (self.client is None or self.client in (about.client_id, about.connection))
            and (self.binding_key is None or matches(self.binding_key, message.routing_key))
        )

    def sieve(self, vhost: VirtualHost) -> Sieve:
        """What lets through at least what is chosen."""
        of_people = self.user is not None or self.client is not None

        def wants(about: Who) -> bool:
            return (self.user is None or self.user == about.user) and (
                self.client is None or self.client in (about.client_id, about.connection)
            )

        return TraceSieve(
            exchange=None if self.exchange is None else self.exchange.encode(),
            queue=None if self.queue is None else self.queue.encode(),
            binding_key=self.binding_key,
            by_publisher=(lambda message: wants(vhost.watch.publisher_of(message))) if of_people else None,
            by_taker=(lambda taker: wants(who(taker))) if of_people else None,
            clock=vhost.clock,
        )


class Trace:
    """One of them. It runs from its making on."""

    def __init__(self, number: int, vhost: VirtualHost, wanted: Filter, messages_max: int, seconds: int) -> None:
        self.number = number
        self.vhost = vhost
        self.filter = wanted
        self.messages_max = messages_max
        self.seconds = seconds
        self.started_ms = vhost.clock.now_ms
        self.ends_ms = self.started_ms + seconds * 1000
        self.followed: set[int] = set()
        self.notes: deque[dict[str, Any]] = deque(maxlen=NOTES_MAX)
        self.notes_made = 0
        self.passed_over = 0
        """Messages that the filter chose when as many as may be were followed."""
        self.running = True
        self._unwatch = watch(vhost, self.hear, wanted.sieve(vhost))
        self.watch: Watch = vhost.watch
        self._timer = vhost.clock.call_at(self.ends_ms, self.stop)

    def stop(self) -> None:
        """It follows nothing any more; its notes stay."""
        if self.running:
            self.running = False
            self._timer.cancel()
            self._unwatch()

    def hear(self, event: MessageEvent) -> None:
        """Something has happened to a message."""
        message = event.message
        if message is None:
            if self.filter.queue == event.queue or any(note["queue"] == event.queue for note in self.notes):
                self.note(event, 0)
        elif message.mark in self.followed:
            self.note(event, message.mark)
        elif self.filter.chooses(event):
            if len(self.followed) >= self.messages_max:
                self.passed_over += 1
                return
            mark = self.watch.mark(message)
            self.followed.add(mark)
            self.note(event, mark)

    def note(self, event: MessageEvent, mark: int) -> None:
        """Remember it; the oldest note gives way."""
        message, about = event.message, event.who
        self.notes_made += 1
        self.notes.append(
            {
                "number": self.notes_made,
                "message": mark,
                "event": event.name,
                "at": event.at_ms,
                "exchange": readable(message.exchange) if message is not None else "",
                "routing_key": readable(message.routing_key) if message is not None else "",
                "payload_bytes": message.body_size if message is not None else 0,
                "to_exchange": event.exchange if event.name == "dead-lettered" else "",
                "routed_to": list(event.routed_to),
                "queue": event.queue,
                "connection": about.connection,
                "channel": about.channel,
                "user": about.user,
                "client_id": about.client_id,
                "redelivered": event.redelivered,
                "reason": event.reason,
            }
        )

    def notes_after(self, number: int, count: int) -> list[dict[str, Any]]:
        """At most `count` of those made after that number, the oldest first."""
        return list(islice((note for note in self.notes if note["number"] > number), count))


class Traces:
    """Of a broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.by_number: dict[int, Trace] = {}
        self.begun = 0

    def start(
        self,
        vhost: VirtualHost,
        wanted: Filter,
        *,
        messages_max: int = MESSAGES_DEFAULT,
        seconds: int = SECONDS_DEFAULT,
    ) -> Trace:
        """Follow messages from now on. Raises PreconditionFailed, LimitExceeded."""
        for name, value, most in (("messages_max", messages_max, MESSAGES_MAX), ("seconds", seconds, SECONDS_MAX)):
            if not 1 <= value <= most:
                raise PreconditionFailed(f"{name}: expected 1 to {most}, got {value}")
        if len(self.by_number) >= TRACES_MAX:
            ended = next((each for each in self.by_number.values() if not each.running), None)
            if ended is None:
                raise LimitExceeded(f"there are {TRACES_MAX} traces already, and all of them run")
            self.delete(ended)
        self.begun += 1
        trace = self.by_number[self.begun] = Trace(self.begun, vhost, wanted, messages_max, seconds)
        return trace

    def delete(self, trace: Trace) -> None:
        """End it and forget its notes."""
        trace.stop()
        del self.by_number[trace.number]


def readable(name: bytes) -> str:
    """Names and keys for JSON."""
    return name.decode("utf-8", "replace")
