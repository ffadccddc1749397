"""One connection of any dialect, fed by hand: what an edge would keep for it, and what rests for the store."""

from __future__ import annotations

from typing import Any, Protocol

from broker.wire.output import Output


class Committing(Protocol):
    """Where the connection is: its batches are on disk when the test says so."""

    def commit(self) -> None:
        """Everything up to now is on disk, and whoever waits for that has been told."""


class Fed:
    """`connection`: of a dialect, without a transport so far. Subclasses say when it `is_over`."""

    def __init__(self, inside: Committing, connection: Any, peer: str) -> None:
        self.inside = inside
        self.connection = connection
        connection.attach(Output())
        connection.peer = peer
        connection.opened()
        self.kept = b""
        self.is_lost = False

    @property
    def is_over(self) -> bool:
        """Nothing more is read: closed by either side."""
        raise NotImplementedError

    def hear(self, received: bytes) -> None:
        """Received bytes; what rests for the store goes on after a commit."""
        self.kept += received
        while self.kept and not self.is_over:
            taken = 0 if self.connection.is_resting else self.connection.feed(self.kept)
            self.kept = self.kept[taken:]
            if self.connection.is_resting:
                self.inside.commit()
                if self.connection.is_resting:
                    return
            elif taken == 0:
                return

    def lose(self, reason: str = "closed by peer") -> None:
        """The socket is gone."""
        if not self.is_lost:
            self.is_lost = True
            self.connection.output.abort()
            self.connection.lost(reason)
