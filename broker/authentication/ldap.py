"""Users of a directory (LDAP v3, RFC 4511): who they are by a bind, what they may by the groups that they are in.

    name ─▶ DN (a pattern, or a search) ─▶ bind with the password ─▶ groups (a search) ─▶ tags, permissions

Owns the order of these, and what a group grants. Refuses to know who asks. `ldap3` blocks, so each login is done in a
thread, at most THREADS_MAX at a time, on connections of its own.

Invariants: a name never becomes a part of a filter or of a DN but as text; an empty password is never sent, since a
directory would take it for an anonymous bind (RFC 4513 §5.1.2); where TLS is asked for, nothing is sent without it, and
the server's certificate is verified.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPCertificateError, LDAPException, LDAPSocketOpenError, LDAPStartTLSError
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from broker.authentication.backend import Identity, Login, OtherUser, RefusedError, SetupError, UnavailableError
from broker.core.access import Permission, User

THREADS_MAX = 8
SUCCESS = 0
NOBODY = {32, 34, 49}
"""Result codes (RFC 4511 §A.1) by which a user is not let in: noSuchObject, invalidDNSyntax, invalidCredentials."""
NOTHING = {32, 34}
"""… and by which a search has found nothing."""

T = TypeVar("T")


class Group(NamedTuple):
    """What being in a group grants."""

    tags: tuple[str, ...]
    permissions: Mapping[str, Permission]
    """By vhost."""


class Directory(NamedTuple):
    """Where it is, and how users are found there."""

    url: str
    """`ldap://HOST:PORT` or `ldaps://HOST:PORT`."""
    start_tls: bool
    ca: str | None
    certificate: str | None
    """Ours, for a directory that wants to see one."""
    key: str | None
    bind_dn: str | None
    """As whom is searched; None: anonymously, and for groups as the user."""
    bind_password: str | None
    user_dn_pattern: str | None
    """`uid={username},ou=people,dc=example,dc=org`; None: a search. What Active Directory binds by need be no DN."""
    search_base: str | None
    """With a pattern as well: the user's entry is searched for once its bind has succeeded, as the user."""
    search_filter: str
    """`(uid={username})`"""
    group_base: str | None
    group_filter: str
    """`(member={dn})`"""


class Found(NamedTuple):
    """A user of the directory."""

    dn: str
    groups: frozenset[str]
    """Their DNs, as `normal` has them."""


class Ldap:
    """The directory. `groups`: by DN; `everybody`: what all of its users are granted."""

    name = "ldap"

    def __init__(self, directory: Directory, groups: Mapping[str, Group], everybody: Group, *, timeout_ms: int) -> None:
        """Connects to nothing. Raises SetupError."""
        self.directory = directory
        self.everybody = everybody
        self.timeout_s = -(-timeout_ms // 1000)  # ldap3 takes whole seconds
        url = urlsplit(directory.url)
        is_ldaps = url.scheme == "ldaps"
        try:
            self.groups = {normal(dn): group for dn, group in groups.items()}
            if directory.ca is not None:
                ssl.create_default_context(cafile=directory.ca)
            tls = None
            if is_ldaps or directory.start_tls:
                if directory.certificate is not None and directory.key is not None:
                    ssl.create_default_context().load_cert_chain(directory.certificate, directory.key)
                tls = ldap3.Tls(
                    directory.key, directory.certificate, validate=ssl.CERT_REQUIRED, ca_certs_file=directory.ca
                )
            self.server = ldap3.Server(
                url.hostname,
                port=url.port or (636 if is_ldaps else 389),
                use_ssl=is_ldaps,
                tls=tls,
                connect_timeout=self.timeout_s,
                get_info=ldap3.NONE,
            )
        except (LDAPException, OSError, ssl.SSLError, ValueError) as error:
            raise SetupError(f"authentication.ldap cannot be used: {error}") from None
        self._threads = asyncio.Semaphore(THREADS_MAX)

    async def authenticate(self, login: Login) -> Identity | None:
        """See Backend."""
        if not login.name or login.password == b"":
            return None
        password = login.password.decode("utf-8", "surrogateescape") if login.password is not None else None
        found = await self._in_thread(lambda: self._log_in(login.name, password))
        return None if found is None else Identity(login.name, found)

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """See Backend."""
        found: Found | None = identity.details
        if found is None:
            found = await self._in_thread(lambda: self._log_in(identity.name, None))
            if found is None:
                return None
        granted = [self.everybody, *(group for dn, group in self.groups.items() if dn in found.groups)]
        tags = dict.fromkeys(tag for group in granted for tag in group.tags)
        return OtherUser(identity.name, tags, united(group.permissions for group in granted))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        async with self._threads:
            try:
                return await asyncio.to_thread(call)
            except (LDAPSocketOpenError, LDAPStartTLSError, LDAPCertificateError) as error:
                raise UnavailableError(f"{type(error).__name__}: {error}") from None  # nothing was sent yet
            except (LDAPException, OSError) as error:
                raise UnavailableError(type(error).__name__) from None  # its text may have what was sent in it

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _log_in(self, name: str, password: str | None) -> Found | None:
        """The user, where the password is right, or is not asked for. None: not known here, as far as can be told."""
        directory = self.directory
        if password is not None and directory.user_dn_pattern is not None and directory.bind_dn is None:
            return self._bind(None, name, directory.user_dn_pattern.replace("{username}", escape_rdn(name)), password)
        with self._connected(directory.bind_dn, directory.bind_password) as searching:
            dn = self._dn(searching, name)
            if dn is None:
                return None
            if password is None:
                return Found(dn, self._groups(searching, dn))
            return self._bind(searching, name, dn, password)

    def _bind(self, searching: Any, name: str, dn: str, password: str) -> Found | None:
        """The user, by its own bind. `searching` None: whatever is searched for is searched for as the user."""
        with self._connected(dn, password, is_user=True) as own:
            if own is not None:
                if searching is None and self.directory.search_base is not None:
                    entry = self._dn(own, name)
                    if entry is None:
                        raise RefusedError("the bind succeeded, and the user's entry is not found")
                    dn = entry
                use = searching if self.directory.bind_dn is not None else own
                return Found(dn, self._groups(use, dn))
        if self.directory.user_dn_pattern is None:
            raise RefusedError("invalid credentials")
        return None  # by a pattern nobody can tell whether there is such a user

    @contextmanager
    def _connected(self, dn: str | None, password: str | None, *, is_user: bool = False) -> Iterator[Any]:
        """A connection that is bound; None where it is the user's, and the password wrong. Raises UnavailableError."""
        connection = ldap3.Connection(
            self.server,
            user=dn,
            password=password,
            authentication=ldap3.SIMPLE if dn is not None else ldap3.ANONYMOUS,
            receive_timeout=self.timeout_s,
            auto_referrals=False,
            read_only=True,
        )
        try:
            connection.open(read_server_info=False)
            if self.directory.start_tls and not connection.start_tls(read_server_info=False):
                raise UnavailableError("STARTTLS was refused")
            if connection.bind(read_server_info=False):
                yield connection
            elif is_user and connection.result["result"] in NOBODY:
                yield None
            else:
                who = "the user's bind" if is_user else "the bind to search"
                raise UnavailableError(f"{who} failed: {connection.result['description']}")
        finally:
            with suppress(LDAPException, OSError):  # after a failed handshake there is nobody to say it to
                connection.unbind()

    def _dn(self, searching: Any, name: str) -> str | None:
        """Of whom there is: by the pattern, or by a search. None: nobody. Raises RefusedError, UnavailableError."""
        directory = self.directory
        if directory.user_dn_pattern is not None and directory.search_base is None:
            dn = directory.user_dn_pattern.replace("{username}", escape_rdn(name))
            return dn if self._search(searching, dn, "(objectClass=*)", ldap3.BASE) else None
        filtered = directory.search_filter.replace("{username}", escape_filter_chars(name))
        found = self._search(searching, str(directory.search_base), filtered)
        if len(found) > 1:
            raise RefusedError("more than one entry of the directory has this name")
        return found[0] if found else None

    def _groups(self, searching: Any, dn: str) -> frozenset[str]:
        directory = self.directory
        if directory.group_base is None:
            return frozenset()
        filtered = directory.group_filter.replace("{dn}", escape_filter_chars(dn))
        return frozenset(normal(each) for each in self._search(searching, directory.group_base, filtered))

    def _search(self, searching: Any, base: str, filtered: str, scope: str = ldap3.SUBTREE) -> list[str]:
        """The DNs of what is found. Raises UnavailableError."""
        searching.search(base, filtered, scope, attributes=[ldap3.NO_ATTRIBUTES])
        code = searching.result["result"]
        if code != SUCCESS and code not in NOTHING:
            raise UnavailableError(f"a search failed: {searching.result['description']}")
        return [each["dn"] for each in searching.response or () if each.get("type") == "searchResEntry"]

    def reload(self) -> None:
        """There is no file."""

    async def close(self) -> None:
        """Connections do not outlive a login."""


def normal(dn: str) -> str:
    """To compare DNs by: attribute names and values do not tell small letters from capitals here."""
    return "".join("=".join(part[:2]) + part[2] for part in parse_dn(dn, escape=True, strip=True)).lower()


def united(permissions: Iterable[Mapping[str, Permission]]) -> dict[str, Permission]:
    """What several grants allow together, by vhost."""
    patterns: dict[str, list[Permission]] = {}
    for each in permissions:
        for vhost, permission in each.items():
            patterns.setdefault(vhost, []).append(permission)
    return {
        vhost: Permission(*(either(getattr(one, verb) for one in each) for verb in ("configure", "write", "read")))
        for vhost, each in patterns.items()
    }


def either(patterns: Iterable[str]) -> str:
    """One pattern that matches what any of them does. An empty one matches only the empty name."""
    some = list(dict.fromkeys(pattern or "^$" for pattern in patterns))
    return some[0] if len(some) == 1 else "|".join(f"(?:{pattern})" for pattern in some)
