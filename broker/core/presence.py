# cython: annotation_typing=False
"""Who is connected: connections of each vhost and user, channels, and the operators' limits of these.

Owns counting and refusing, and who is told when a user's rights change. Refuses to know connections: a dialect says who
comes and goes, and tells its peer.

Invariant: whoever `enter`ed leaves once; a channel that was counted is counted out with or before its connection.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from broker.core.errors import LimitExceeded
from broker.core.parameters import Parameters


class Present(Protocol):
    """A connection that acts as a user."""

    def on_rights_changed(self) -> None:
        """The user's rights are not what they were, or the user is gone: whatever was concluded from them is void."""


class Presence:
    """Of all dialects."""

    def __init__(self, parameters: Parameters) -> None:
        """`parameters`: the limits."""
        self.parameters = parameters
        self.in_vhost: Counter[str] = Counter()
        self.of_user: Counter[str] = Counter()
        self.channels: Counter[str] = Counter()
        self.connections: dict[str, set[Present]] = {}
        self.refused = 0

    def enter(self, user: str, vhost: str, connection: Present) -> None:
        """A connection of the user comes into the vhost. Raises LimitExceeded, in RabbitMQ's words."""
        in_vhost, of_user = self.in_vhost.get(vhost, 0), self.of_user.get(user, 0)
        if self.parameters.vhost_limits:
            limit = self.parameters.vhost_limit(vhost, "max-connections")
            if limit is not None and in_vhost >= limit:
                text = f"access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached"
                self.refuse(text)
        if self.parameters.user_limits:
            limit = self.parameters.user_limit(user, "max-connections")
            if limit is not None and of_user >= limit:
                self.refuse(f"connection refused for user '{user}': user connection limit ({limit}) is reached")
        self.in_vhost[vhost] = in_vhost + 1
        self.of_user[user] = of_user + 1
        present = self.connections.get(user)
        if present is None:
            present = self.connections[user] = set()
        present.add(connection)

    def leave(self, user: str, vhost: str, connection: Present) -> None:
        """It is gone."""
        count_out(self.in_vhost, vhost)
        count_out(self.of_user, user)
        present = self.connections.get(user)
        if present is not None:
            present.discard(connection)
            if not present:
                del self.connections[user]

    def rights_changed(self, user: str | None) -> None:
        """Tell the user's connections; None: everybody's."""
        names = list(self.connections) if user is None else [user]
        for name in names:
            for connection in list(self.connections.get(name, ())):
                connection.on_rights_changed()

    def open_channel(self, user: str) -> None:
        """One of the user's connections opens a channel. Raises LimitExceeded."""
        limit = self.parameters.user_limit(user, "max-channels")
        if limit is not None and self.channels[user] >= limit:
            self.refuse(f"number of channels opened for user '{user}' has reached the maximum allowed limit ({limit})")
        self.channels[user] += 1

    def close_channel(self, user: str) -> None:
        """It is gone."""
        count_out(self.channels, user)

    def refuse(self, text: str) -> None:
        """Count, and say why."""
        self.refused += 1
        raise LimitExceeded(text)


def count_out(counter: Counter[str], name: str) -> None:
    """One less; names without any are forgotten."""
    left = counter.get(name, 0) - 1
    if left > 0:
        counter[name] = left
    else:
        counter.pop(name, None)
