"""The scopes of an OAuth 2 token, as RabbitMQ reads them.

    PREFIX.read:VHOST/NAME[/ROUTING_KEY]     PREFIX.write:…     PREFIX.configure:…     PREFIX.tag:administrator

`*` stands for anything, what else is special is percent-encoded; `{vhost}` and `{claim}` stand for what they name.

Owns where scopes are in a token, and what one grants. Refuses to know signatures, and what a user is.

Deviation: what `{claim}` stands for is taken literally, because a user who is called `*` must not be everybody. And `*`
in a pattern may match at any place, where RabbitMQ takes the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus

SCOPES_MAX = 2048
VERBS = ("configure", "write", "read")
REQUESTING_PARTY_PATH = "authorization.permissions.scopes"
"""Where Keycloak's requesting party token has them."""
VARIABLE = re.compile(r"\{([^{}]*)\}")


class Grant(NamedTuple):
    """What one scope grants: patterns."""

    verb: str
    vhost: str
    name: str
    routing_key: str | None
    """None: the scope says nothing of topics."""


class Grants:
    """Of one token."""

    def __init__(self, scopes: Iterable[str], claims: Mapping[str, Any]) -> None:
        """`scopes`: without their prefix."""
        self.tags: list[str] = []
        self.grants: list[Grant] = []
        for scope in scopes:
            word, _, rest = scope.partition(":")
            if word == "tag" and rest and rest not in self.tags:
                self.tags.append(rest)
            parts = expanded(rest, claims).split("/")
            if word in VERBS and len(parts) in (2, 3):
                self.grants.append(Grant(word, parts[0], parts[1], parts[2] if len(parts) == 3 else None))

    def may_access(self, vhost: str) -> bool:
        """Is the vhost in any of them?"""
        return any(matches(each.vhost, vhost, vhost) for each in self.grants)

    def may(self, vhost: str, verb: str, name: str) -> bool:
        """Does one of them grant it?"""
        return any(
            each.verb == verb and matches(each.vhost, vhost, vhost) and matches(each.name, name, vhost)
            for each in self.grants
        )

    def may_topic(self, vhost: str, verb: str, exchange: str, key: str) -> bool:
        """Does one of them grant it? One that says nothing of routing keys does not."""
        return any(
            each.verb == verb
            and each.routing_key is not None
            and matches(each.vhost, vhost, vhost)
            and matches(each.name, exchange, vhost)
            and matches(each.routing_key, key, vhost)
            for each in self.grants
        )


def expanded(pattern: str, claims: Mapping[str, Any]) -> str:
    """With what the claims say; `{vhost}` stays."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "vhost":
            return found.group()
        said = claims.get(name, name)
        return quote(said if isinstance(said, str) else name, safe="")

    return VARIABLE.sub(value, pattern)


def matches(pattern: str, text: str, vhost: str) -> bool:
    """Whether a pattern fits the whole text."""
    parts = pattern.replace("{vhost}", quote(vhost, safe="")).split("*")
    return re.fullmatch(".*".join(re.escape(unquote_plus(part)) for part in parts), text, re.DOTALL) is not None


def scopes_of(
    claims: Mapping[str, Any],
    *,
    resource_server_id: str,
    prefix: str,
    aliases: Mapping[str, str | Sequence[str]],
    additional_key: str,
) -> list[str]:
    """All scopes of a token that are ours, without their prefix, each once. ValueError where there are too many."""
    found = listed(claims.get("scope"))
    for path in (REQUESTING_PARTY_PATH, *additional_key.split()):
        found += at_path(claims, path.split("."), resource_server_id)
    for scope in list(found):
        alias = aliases.get(scope, ())
        found += listed(alias) if isinstance(alias, str) else alias
    ours = list(dict.fromkeys(each.removeprefix(prefix) for each in found if each.startswith(prefix)))
    if len(ours) > SCOPES_MAX:
        raise ValueError(f"the token has more than {SCOPES_MAX} scopes")
    return ours


def at_path(value: Any, path: Sequence[str], resource_server_id: str) -> list[str]:
    """What is found by the words of a path, through objects and lists of them."""
    if isinstance(value, list) and path:
        return [scope for each in value for scope in at_path(each, path, resource_server_id)]
    if path:
        return at_path(value.get(path[0]), path[1:], resource_server_id) if isinstance(value, Mapping) else []
    if isinstance(value, Mapping):  # by resource server, and without its prefix
        return [f"{resource_server_id}.{each}" for each in listed(value.get(resource_server_id))]
    return listed(value)


def listed(value: Any) -> list[str]:
    """A list of texts, or texts with spaces between."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def text_claims(claims: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """The claims of these names that are texts, in order."""
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and value:
            yield value
