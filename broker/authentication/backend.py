"""What the chain asks of a backend, and what a backend says.

    Login ──authenticate──▶ Identity ──authorize──▶ User

Owns these shapes. Refuses to know any backend, and who asks.

Invariant: no text of an error, and no `repr`, has a password or a token in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.core.access import Permission, User


@dataclass(frozen=True)
class Login:
    """Who wants to come in, and from where."""

    name: str
    password: bytes | None = field(repr=False)
    """None: the name is proven already, by a certificate, or nobody asks (an anonymous user)."""
    peer: str
    """The address, without the port; empty where it is not known."""
    peer_is_loopback: bool


@dataclass(frozen=True)
class Identity:
    """Who it is, as the backend found it."""

    name: str
    details: Any = field(default=None, repr=False)
    """What the same backend needs to say what the user may; None where another has found out who it is."""

    def as_given(self) -> Identity:
        """For another backend, which knows its own details."""
        return Identity(self.name)


class SetupError(Exception):
    """A backend cannot be used as it is set up. The text is for the operator."""


class BackendError(Exception):
    """A backend does not say who it is."""


class RefusedError(BackendError):
    """The backend knows the user, and it is not this one: nobody else is asked. The text is for the operator."""


class UnavailableError(BackendError):
    """The backend cannot say: the next is asked. The text is for the operator."""


class Backend(Protocol):
    """Somebody who knows users. It is asked for both, or for one of the two."""

    name: str
    """As in the settings."""

    async def authenticate(self, login: Login) -> Identity | None:
        """Who it is; None for one who is not known here. Raises RefusedError, UnavailableError."""

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """What they may; None for one who is not known here. Raises RefusedError, UnavailableError."""

    def reload(self) -> None:
        """The operator wants files to be read anew."""

    async def close(self) -> None:
        """The broker stops."""


class OtherUser(User):
    """A user whom the store does not have. `permissions` are by vhost, as of any user."""

    def __init__(self, name: str, tags: Iterable[str] = (), permissions: dict[str, Permission] | None = None) -> None:
        super().__init__(name, "", "", tags, False)
        self.permissions = permissions or {}
