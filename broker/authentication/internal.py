"""The store's own users as one of the backends."""

from __future__ import annotations

from broker.authentication.backend import Identity, Login, RefusedError
from broker.authentication.password_checks import PasswordChecks
from broker.core.access import Access, User


class Internal:
    """They know their users, and what those may."""

    name = "internal"

    def __init__(self, access: Access, checks: PasswordChecks) -> None:
        self.access = access
        self.checks = checks

    async def authenticate(self, login: Login) -> Identity | None:
        """See Backend."""
        user = self.access.users.get(login.name)
        if user is None:
            return None
        if login.password is not None and not await self.checks.is_right(user, login.password):
            raise RefusedError("invalid credentials")
        return Identity(login.name)

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """See Backend."""
        return self.access.users.get(identity.name)

    def reload(self) -> None:
        """There is no file."""

    async def close(self) -> None:
        """There is nothing to close."""
