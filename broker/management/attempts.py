"""How often it was tried to log in, by protocol and by source: what `/api/auth/attempts` shows.

Owns the counts, which begin with the broker, or when an operator has them begin anew. Learns of logins by the broker's
events; sources are bounded, the oldest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from broker.core.events import Event

PROTOCOLS = ("amqp091", "mqtt", "http")
"""RabbitMQ's names, which its tools insist on: the native WebSocket dialect counts as HTTP."""
SOURCES_MAX = 1000
SUCCESS, FAILURE = "user.authentication.success", "user.authentication.failure"


class LoginAttempts:
    """Of every protocol."""

    def __init__(self) -> None:
        self.by_protocol: dict[str, list[int]] = {}
        self.by_source: OrderedDict[tuple[str, str, str], list[int]] = OrderedDict()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.by_protocol = {protocol: [0, 0] for protocol in PROTOCOLS}
        self.by_source.clear()

    def hear(self, event: Event) -> None:
        """A listener of the broker's events (core.events)."""
        if event.name not in (SUCCESS, FAILURE):
            return
        outcome = int(event.name == SUCCESS)
        protocol = protocol_of(event)
        self.by_protocol.setdefault(protocol, [0, 0])[outcome] += 1
        source = (str(event.fields.get("peer_host", "")), str(event.fields.get("name", "")), protocol)
        counts = self.by_source.pop(source, [0, 0])
        counts[outcome] += 1
        self.by_source[source] = counts
        if len(self.by_source) > SOURCES_MAX:
            self.by_source.popitem(last=False)

    def protocols(self) -> Iterator[dict[str, object]]:
        """The rows of `GET /api/auth/attempts/NODE`."""
        for protocol, counts in self.by_protocol.items():
            yield {"protocol": protocol, **counted(counts)}

    def sources(self) -> Iterator[dict[str, object]]:
        """The rows of `GET /api/auth/attempts/NODE/source`."""
        for (address, user, protocol), counts in self.by_source.items():
            yield {"remote_address": address, "username": user, "protocol": protocol, **counted(counts)}


def counted(counts: list[int]) -> dict[str, int]:
    """Failures and successes in RabbitMQ's words."""
    failed, succeeded = counts
    return {
        "auth_attempts": failed + succeeded,
        "auth_attempts_failed": failed,
        "auth_attempts_succeeded": succeeded,
    }


def protocol_of(event: Event) -> str:
    """RabbitMQ's name of the protocol that somebody logged in by."""
    name = str(event.fields.get("protocol", ""))
    if name.startswith("AMQP"):
        return "amqp091"
    return "mqtt" if name.startswith("MQTT") else "http"
