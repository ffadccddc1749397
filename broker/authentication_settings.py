"""The section `authentication` of the settings: who is asked who a user is, and where those stand.

Owns names, types, defaults, and what contradicts what. Refuses to know how anybody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from broker.sections import Milliseconds, Permission, Section

BackendName = Literal["internal", "password_file", "http", "oauth", "ldap"]


class Step(Section, frozen=True):
    """One backend says who the user is, and another what they may."""

    authentication: BackendName
    authorization: BackendName


class PasswordFile(Section, frozen=True):
    """Users in a file, one a line, as `mosquitto_passwd` writes it, or `name:$argon2id$…[:tag,tag]`."""

    path: str | None = None
    permissions: list[Permission] = field(default_factory=lambda: [Permission()])
    """What each of them may."""


class Http(Section, frozen=True):
    """A web service, as RabbitMQ's rabbitmq-auth-backend-http asks one. URLs."""

    user_path: str | None = None
    vhost_path: str | None = None
    resource_path: str | None = None
    topic_path: str | None = None
    """Null: it is not asked about topics."""
    method: Literal["get", "post"] = "get"
    """`post` keeps passwords out of the service's access log."""
    ca: str | None = None
    """Who signs the certificate of an `https` service; null: whom the system trusts."""
    certificate: str | None = None
    """Ours, for a service that wants to see one."""
    key: str | None = None


class OAuth(Section, frozen=True):
    """OAuth 2: tokens (JWT) as passwords, and as `Authorization: Bearer`."""

    resource_server_id: str | None = None
    """Whom tokens are for (`aud`), and what their scopes begin with."""
    jwks_url: str | None = None
    """Where the public keys are that tokens are signed with."""
    jwks_refresh_s: Annotated[int, Meta(ge=10, le=86_400)] = 3_600
    """How old the keys may become. A token with an unknown key has them fetched as well."""
    issuer: str | None = None
    """Whose tokens are taken (`iss`); null: anybody's whose key is there."""
    verify_audience: bool = True
    scope_prefix: str | None = None
    """Null: `resource_server_id` and a dot."""
    scope_aliases: dict[str, str | list[str]] = field(default_factory=dict)
    """Names of scopes, each with the scopes that it stands for."""
    additional_scopes_key: str = ""
    """Further claims with scopes: words with dots between for what lies within, several with spaces between."""
    preferred_username_claims: list[str] = field(default_factory=list)
    """Claims with the user's name, before `sub` and `client_id`."""
    ca: str | None = None
    """Who signs the certificate of `jwks_url`; null: whom the system trusts."""


class LdapGroup(Section, frozen=True):
    """What being in a group of the directory grants."""

    dn: Annotated[str, Meta(min_length=1)]
    tags: list[str] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=list)


class Ldap(Section, frozen=True):
    """A directory: a bind says who the user is, groups what they may."""

    url: str | None = None
    """`ldap://HOST:389` or `ldaps://HOST:636`."""
    start_tls: bool = False
    """With `ldap://`: TLS before anything else is said."""
    ca: str | None = None
    """Who signs the directory's certificate; null: whom the system trusts."""
    certificate: str | None = None
    """Ours, for a directory that wants to see one."""
    key: str | None = None
    user_dn_pattern: str | None = None
    """The user's entry: `uid={username},ou=people,dc=example,dc=org`. Null: it is searched for."""
    search_base: str | None = None
    """Where. With a pattern as well: after the bind, as the user."""
    search_filter: str = "(uid={username})"
    bind_dn: str | None = None
    """As whom is searched; null: anonymously."""
    bind_password: str | None = None
    group_base: str | None = None
    """Where groups are; null: nobody is asked for any."""
    group_filter: str = "(member={dn})"
    groups: list[LdapGroup] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    """Of everybody in the directory."""
    permissions: list[Permission] = field(default_factory=list)
    """Of everybody in the directory."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What is wrong: where, and why."""
        key = "authentication.ldap"
        if self.url is None:
            return
        if not self.url.startswith(("ldap://", "ldaps://")):
            yield f"{key}.url", f"expected ldap://… or ldaps://…, got `{self.url}`"
        if self.start_tls and self.url.startswith("ldaps://"):
            yield f"{key}.start_tls", "expected with ldap://… only: ldaps://… has TLS already"
        if self.user_dn_pattern is None and self.search_base is None:
            yield f"{key}.user_dn_pattern", f"expected it or {key}.search_base"
        if self.user_dn_pattern is not None and "{username}" not in self.user_dn_pattern:
            yield f"{key}.user_dn_pattern", "expected {username} in it"
        if "{username}" not in self.search_filter:
            yield f"{key}.search_filter", "expected {username} in it"
        if "{dn}" not in self.group_filter:
            yield f"{key}.group_filter", "expected {dn} in it"
        yield from _pair(key, self.certificate, self.key)
        if (self.bind_dn is None) != (self.bind_password is None):
            yield f"{key}.bind_password", f"expected with {key}.bind_dn, and only then"
        if self.groups and self.group_base is None:
            yield f"{key}.groups", f"expected {key}.group_base as well"
        for index, permission in enumerate(self.permissions):
            yield from permission.contradictions(f"{key}.permissions[{index}]")
        for number, group in enumerate(self.groups):
            for index, permission in enumerate(group.permissions):
                yield from permission.contradictions(f"{key}.groups[{number}].permissions[{index}]")


class CertificateLogin(Section, frozen=True):
    """Users whom a client's certificate names; it must be verified (`tls.verify`)."""

    name: Literal["common_name", "dns", "email", "uri"] = "common_name"
    """Which name in the certificate is the user's: the subject's, or the first alternative name of a kind."""
    mqtt: bool = False
    """MQTT clients that give no password are whom their certificate names."""


class Authentication(Section, frozen=True):
    """Who is asked who a user is, and what they may."""

    backends: Annotated[list[BackendName | Step], Meta(min_length=1)] = field(default_factory=lambda: ["internal"])
    """Asked in this order; the first that knows the user decides. `internal`: the store's users."""
    timeout_ms: Milliseconds = 3_000
    """How long one backend may take; then the next is asked."""
    cache_s: Annotated[int, Meta(ge=1, le=86_400)] = 15
    """How long a login, or a right that a backend granted or refused, is believed without asking again."""
    certificate: CertificateLogin = field(default_factory=CertificateLogin)
    password_file: PasswordFile = field(default_factory=PasswordFile)
    http: Http = field(default_factory=Http)
    oauth: OAuth = field(default_factory=OAuth)
    ldap: Ldap = field(default_factory=Ldap)

    def used(self) -> set[str]:
        """The names of the backends that are asked."""
        names: set[str] = set()
        for each in self.backends:
            names |= {each.authentication, each.authorization} if isinstance(each, Step) else {each}
        return names

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What is wrong between settings that are each right: where, and why."""
        used = self.used()
        yield from _needed("password_file", "path", self.password_file.path, used)
        if self.password_file.path is not None and not Path(self.password_file.path).is_file():
            text = f"expected a file, got `{self.password_file.path}`, which there is not"
            yield "authentication.password_file.path", text
        for name in ("user_path", "vhost_path", "resource_path", "topic_path"):
            url = getattr(self.http, name)
            if name != "topic_path" or "http" not in used:
                yield from _needed("http", name, url, used)
            if url is not None and not url.startswith(("http://", "https://")):
                yield f"authentication.http.{name}", f"expected a URL, got `{url}`"
        yield from _pair("authentication.http", self.http.certificate, self.http.key)
        yield from _needed("ldap", "url", self.ldap.url, used)
        yield from self.ldap.contradictions()
        yield from _needed("oauth", "resource_server_id", self.oauth.resource_server_id, used)
        yield from _needed("oauth", "jwks_url", self.oauth.jwks_url, used)
        for index, permission in enumerate(self.password_file.permissions):
            yield from permission.contradictions(f"authentication.password_file.permissions[{index}]")


def _pair(section: str, certificate: str | None, key: str | None) -> Iterator[tuple[str, str]]:
    """A certificate of ours has a key."""
    if (certificate is None) != (key is None):
        yield f"{section}.key", f"expected with {section}.certificate, and only then"


def _needed(backend: str, name: str, value: object, used: set[str]) -> Iterator[tuple[str, str]]:
    """A backend that is asked needs the setting; one that is not must not have it: it would do nothing."""
    if (backend in used) != (value is not None):
        yield f"authentication.{backend}.{name}", f"expected with `{backend}` in authentication.backends, and only then"
