"""Where a broker is spoken to, and what comes from there; the protocols' ports are those that its HTTP API tells.

Owns what all clients share. Refuses to know any protocol.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from broker.commands.api import Api, CommandFailed


class Received(NamedTuple):
    """A message that came."""

    name: str
    """Its MQTT topic, or its routing key."""
    exchange: str
    body: bytes
    properties: Mapping[str, Any]
    redelivered: bool = False
    retained: bool = False


class Place(NamedTuple):
    """A broker, as one user, in one vhost."""

    api: Api
    vhost: str

    @property
    def host(self) -> str:
        """Of the HTTP API; the other protocols are on the same machine."""
        return urlsplit(self.api.url).hostname or "127.0.0.1"

    def listener(self, protocol: str) -> tuple[int, bool]:
        """Port and whether it is TLS. `protocol`: RabbitMQ's name. Raises CommandFailed where it is not spoken."""
        found = {each["protocol"]: each["port"] for each in self.api.get("overview")["listeners"]}
        for name in (protocol, f"{protocol}/ssl"):
            if name in found:
                return found[name], name != protocol
        raise CommandFailed(f"the broker does not listen for {protocol}")


class Reception:
    """How long to receive, and what is done with what comes."""

    def __init__(self, write: Callable[[Received], None], count: int | None, seconds: float | None) -> None:
        """`count`, `seconds`: no more and no longer than these."""
        self.write = write
        self.left = count
        self.ends_at = None if seconds is None else time.monotonic() + seconds

    @property
    def credit(self) -> int:
        """Messages to have on the way: where they are counted, none that would have to go back."""
        return 100 if self.left is None else 1

    @property
    def rest_s(self) -> float | None:
        """Seconds that are left; None: for ever."""
        return None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Enough came, or the time is up."""
        return self.left == 0 or self.rest_s == 0.0

    def take(self, received: Received) -> None:
        """One more."""
        self.write(received)
        if self.left is not None:
            self.left -= 1


def octets_of(payload: str) -> bytes:
    """A payload that is an argument; of standard input where it is -."""
    return sys.stdin.buffer.read() if payload == "-" else payload.encode()


def as_line(received: Received) -> str:
    """A message for people: `topic: payload`."""
    return f"{received.name}: {received.body.decode(errors='replace')}"


def as_json(received: Received) -> str:
    """A message for scripts, on one line; a body that is no UTF-8 is base64, as in the HTTP API."""
    try:
        payload, encoding = received.body.decode(), "string"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(received.body).decode(), "base64"
    row = {
        "name": received.name,
        "exchange": received.exchange,
        "payload": payload,
        "payload_encoding": encoding,
        "properties": dict(received.properties),
        "redelivered": received.redelivered,
        "retained": received.retained,
    }
    return json.dumps(row, default=str)
