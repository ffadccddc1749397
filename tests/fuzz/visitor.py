"""Somebody who speaks AMQP in a conversation of another dialect: fed with whatever comes, brought back when it ends."""

from __future__ import annotations

from tests.fuzz.conversations import method
from tests.support.in_process import Client, InProcess


class AmqpVisitor:
    """At most one connection, with channel 1 open."""

    def __init__(self, inside: InProcess) -> None:
        self.inside = inside
        self.client: Client | None = None

    def hear(self, content: bytes) -> None:
        """The broker hears it of a connection that is open."""
        if self.client is None or self.client.is_over:
            self.leave()
            self.client = self.inside.connect()
            self.client.hear(method(1, "channel.open"))
        client = self.client
        client.hear(content)
        for each in client.talk():
            if each.name == "channel.close" and not client.is_over:
                client.hear(method(1, "channel.close-ok") + method(1, "channel.open"))

    def leave(self) -> None:
        """It is gone without a word."""
        if self.client is not None:
            self.client.lose()
            self.client = None
