"""The chain that the settings ask for.

Owns which name of the settings is which backend. Whatever it needs is given: it makes, and opens, the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from broker.authentication.backend import Backend, SetupError
from broker.authentication.chain import Chain, Step
from broker.authentication.http_service import HttpService
from broker.authentication.internal import Internal
from broker.authentication.password_checks import PasswordChecks
from broker.authentication.password_file import PasswordFile
from broker.authentication.questions import Questions
from broker.core.access import Access, Permission


class Backends:
    """Makes those that the settings name, each once. `settings`: authentication_settings.Authentication."""

    def __init__(self, settings: Any, access: Access, checks: PasswordChecks, clock: Any, questions: Questions) -> None:
        self.settings = settings
        self.access = access
        self.checks = checks
        self.clock = clock
        self.questions = questions
        self.made: dict[str, Backend] = {}

    def get(self, name: str) -> Backend:
        """Raises SetupError."""
        if name not in self.made:
            self.made[name] = MAKE[name](self)
        return self.made[name]

    def internal(self) -> Backend:
        """The store's users."""
        return Internal(self.access, self.checks)

    def password_file(self) -> Backend:
        """Raises SetupError."""
        file = self.settings.password_file
        return PasswordFile(file.path, permissions_of(file.permissions))

    def http(self) -> Backend:
        """Raises SetupError."""
        http = self.settings.http
        paths = {"user_path": http.user_path, "vhost_path": http.vhost_path, "resource_path": http.resource_path}
        if http.topic_path is not None:
            paths["topic_path"] = http.topic_path
        return HttpService(
            paths,
            method=http.method,
            ca=http.ca,
            certificate=None if http.certificate is None else (http.certificate, http.key),
            clock=self.clock,
            questions=self.questions,
            timeout_ms=self.settings.timeout_ms,
            cache_s=self.settings.cache_s,
        )

    def oauth(self) -> Backend:
        """Raises SetupError."""
        try:
            from broker.authentication.key_set import KeySet
            from broker.authentication.oauth import OAuth
        except ImportError as error:
            raise SetupError(f"the backend oauth needs the extra hubbub[oauth]: {error}") from None
        oauth = self.settings.oauth
        keys = KeySet(oauth.jwks_url, ca=oauth.ca, clock=self.clock, refresh_s=oauth.jwks_refresh_s)
        return OAuth(
            keys,
            self.clock,
            resource_server_id=oauth.resource_server_id,
            issuer=oauth.issuer,
            verify_audience=oauth.verify_audience,
            scope_prefix=oauth.scope_prefix,
            scope_aliases=oauth.scope_aliases,
            additional_scopes_key=oauth.additional_scopes_key,
            preferred_username_claims=oauth.preferred_username_claims,
        )

    def ldap(self) -> Backend:
        """Raises SetupError."""
        try:
            from broker.authentication.ldap import Directory, Group, Ldap
        except ImportError as error:
            raise SetupError(f"the backend ldap needs the extra hubbub[ldap]: {error}") from None
        ldap = self.settings.ldap
        directory = Directory(
            url=ldap.url,
            start_tls=ldap.start_tls,
            ca=ldap.ca,
            certificate=ldap.certificate,
            key=ldap.key,
            bind_dn=ldap.bind_dn,
            bind_password=ldap.bind_password,
            user_dn_pattern=ldap.user_dn_pattern,
            search_base=ldap.search_base,
            search_filter=ldap.search_filter,
            group_base=ldap.group_base,
            group_filter=ldap.group_filter,
        )
        groups = {each.dn: Group(tuple(each.tags), permissions_of(each.permissions)) for each in ldap.groups}
        everybody = Group(tuple(ldap.tags), permissions_of(ldap.permissions))
        return Ldap(directory, groups, everybody, timeout_ms=self.settings.timeout_ms)


MAKE: dict[str, Callable[[Backends], Backend]] = {
    "internal": Backends.internal,
    "password_file": Backends.password_file,
    "http": Backends.http,
    "oauth": Backends.oauth,
    "ldap": Backends.ldap,
}


def chain_of(
    settings: Any, access: Access, checks: PasswordChecks, clock: Any, *, waiting_max: int, enter: Callable[[], object]
) -> Chain | None:
    """`settings`: authentication_settings.Authentication. None: only the store's users. SetupError."""
    if list(settings.backends) == ["internal"]:
        return None
    questions = Questions(waiting_max, enter)
    backends = Backends(settings, access, checks, clock, questions)
    steps = []
    for each in settings.backends:
        if isinstance(each, str):
            steps.append(Step(backends.get(each), backends.get(each)))
        else:
            steps.append(Step(backends.get(each.authentication), backends.get(each.authorization)))
    return Chain(
        access,
        steps,
        clock=clock,
        questions=questions,
        timeout_ms=settings.timeout_ms,
        cache_s=settings.cache_s,
    )


def permissions_of(settings: Iterable[Any]) -> dict[str, Permission]:
    """By vhost, from sections.Permission."""
    return {each.vhost: Permission(each.configure, each.write, each.read) for each in settings}
