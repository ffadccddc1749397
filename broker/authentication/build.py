"""The chain that the settings ask for.

Owns which name of the settings is which backend. Whatever it needs is given: it makes, and opens, the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from broker.authentication.backend import Backend
from broker.authentication.chain import Chain, Step
from broker.authentication.internal import Internal
from broker.authentication.password_file import PasswordFile
from broker.core.access import Access, Permission


def chain_of(settings: Any, access: Access, *, waiting_max: int, enter: Callable[[], object]) -> Chain | None:
    """`settings`: authentication_settings.Authentication. None: only the store's users. SetupError."""
    if list(settings.backends) == ["internal"]:
        return None
    made: dict[str, Backend] = {}

    def backend(name: str) -> Backend:
        if name not in made:
            made[name] = MAKE[name](settings, access)
        return made[name]

    steps = []
    for each in settings.backends:
        if isinstance(each, str):
            steps.append(Step(backend(each), backend(each)))
        else:
            steps.append(Step(backend(each.authentication), backend(each.authorization)))
    return Chain(
        access,
        steps,
        timeout_ms=settings.timeout_ms,
        cache_s=settings.cache_s,
        waiting_max=waiting_max,
        enter=enter,
    )


def permissions_of(settings: Iterable[Any]) -> dict[str, Permission]:
    """By vhost, from sections.Permission."""
    return {each.vhost: Permission(each.configure, each.write, each.read) for each in settings}


def password_file(settings: Any, access: Access) -> Backend:
    """Raises FileError."""
    file = settings.password_file
    return PasswordFile(file.path, permissions_of(file.permissions))


MAKE: dict[str, Callable[[Any, Access], Backend]] = {
    "internal": lambda settings, access: Internal(access),
    "password_file": password_file,
}
