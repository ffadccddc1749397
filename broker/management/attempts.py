"""How often it was tried to log in, by protocol and by source: what `/api/auth/attempts` shows.

Owns the counts, which begin with the broker, or when an operator has them begin anew. Sources are bounded, the oldest
are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

PROTOCOLS = ("amqp091", "mqtt", "http")
"""RabbitMQ's names, which its tools insist on: the native WebSocket dialect counts as HTTP."""
SOURCES_MAX = 1000


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

    def watch(self, protocol: str, address: str, user: str, is_let_in: bool) -> None:
        """One attempt: a core.events.LoginWatcher."""
        outcome = int(is_let_in)
        name = "amqp091" if protocol.startswith("AMQP") else "mqtt" if protocol.startswith("MQTT") else "http"
        self.by_protocol[name][outcome] += 1
        source = (address, user, name)
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
