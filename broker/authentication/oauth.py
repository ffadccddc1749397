"""OAuth 2: the password is a token (a JWT, RFC 7519) that says who the user is, and what they may until when.

Owns what must hold of a token: signature, issuer, audience, times. `scopes` says what it grants, `key_set` has the
keys. Refuses to know how a client came by it.

Invariants: the algorithm is one that fits the key's type, whatever the token says; a token is in no text; a token that
is none of ours is a refusal, and a password that is no token is somebody else's business.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jwt

from broker.authentication.backend import Identity, Login, OtherUser, RefusedError
from broker.authentication.key_set import Key, KeySet
from broker.authentication.scopes import Grants, scopes_of, text_claims
from broker.core.access import ANSWERS_MAX, DEFAULT_EXCHANGE_NAME, User

TOKEN_BYTES_MAX = 65_536
LEEWAY_MS = 10_000
"""How far the issuer's clock may be ahead of ours (`nbf`)."""
TOKEN = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]*")
UNCHECKED: Any = {f"verify_{each}": False for each in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
"""By PyJWT: we check claims ourselves, by the broker's clock."""
NAME_CLAIMS = ("sub", "client_id")


class OAuth:
    """The authorization server whose tokens are taken."""

    name = "oauth"

    def __init__(
        self,
        keys: KeySet,
        clock: Any,
        *,
        resource_server_id: str,
        issuer: str | None,
        verify_audience: bool,
        scope_prefix: str | None,
        scope_aliases: Mapping[str, str | Sequence[str]],
        additional_scopes_key: str,
        preferred_username_claims: Sequence[str],
    ) -> None:
        """`scope_prefix` None: the resource server's identifier and a dot."""
        self.keys = keys
        self.clock = clock
        self.resource_server_id = resource_server_id
        self.issuer = issuer
        self.verify_audience = verify_audience
        self.scope_prefix = f"{resource_server_id}." if scope_prefix is None else scope_prefix
        self.scope_aliases = scope_aliases
        self.additional_scopes_key = additional_scopes_key
        self.name_claims = (*preferred_username_claims, *NAME_CLAIMS)

    async def authenticate(self, login: Login) -> Identity | None:
        """See Backend. The name that was given does not count: the token says it."""
        if login.password is None:
            return None
        header = header_of(login.password)
        if header is None:
            return None
        key_id = header.get("kid")
        key = await self.keys.get(key_id if isinstance(key_id, str) else None)
        if key is None:
            raise RefusedError("the token is signed with a key that is not in the key set")
        claims = self.verified(login.password, str(header.get("alg")), key)
        name = next(text_claims(claims, self.name_claims), None)
        if name is None:
            raise RefusedError(f"the token has none of the claims {', '.join(self.name_claims)}")
        return Identity(name, claims)

    def is_token(self, password: bytes) -> bool:
        """Is it one of those, whoever made it? Then it is no guess of a password."""
        return header_of(password) is not None

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """See Backend. What the token of another backend's user would say, nobody knows."""
        claims = identity.details
        if claims is None:
            return None
        try:
            scopes = scopes_of(
                claims,
                resource_server_id=self.resource_server_id,
                prefix=self.scope_prefix,
                aliases=self.scope_aliases,
                additional_key=self.additional_scopes_key,
            )
        except ValueError as error:
            raise RefusedError(str(error)) from None
        return OAuthUser(identity.name, Grants(scopes, claims), int(claims["exp"] * 1000))

    def verified(self, token: bytes, algorithm: str, key: Key) -> dict[str, Any]:
        """The token's claims. Raises RefusedError."""
        if algorithm not in key.algorithms:  # RFC 8725 §3.1
            raise RefusedError("the token's algorithm is not its key's")
        try:
            claims: dict[str, Any] = jwt.decode(token, key.public, algorithms=[algorithm], options=UNCHECKED)
        except jwt.PyJWTError as error:
            raise RefusedError(f"the token cannot be verified: {type(error).__name__}") from None
        expires: Any = claims.get("exp")
        begins: Any = claims.get("nbf", 0)
        if not is_time(expires) or not is_time(begins):
            raise RefusedError("the token does not say when it expires")
        if expires * 1000 <= self.clock.now_ms:
            raise RefusedError("the token has expired")
        if begins * 1000 > self.clock.now_ms + LEEWAY_MS:
            raise RefusedError("the token is not valid yet")
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise RefusedError("the token is from another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else str(audience or "").split()
        if self.verify_audience and self.resource_server_id not in audiences:
            raise RefusedError(f"the token is not for '{self.resource_server_id}'")
        return claims

    def reload(self) -> None:
        """Fetch the keys anew."""
        self.keys.reload()

    async def close(self) -> None:
        """There is nothing to close."""


class OAuthUser(OtherUser):
    """A user for as long as a token says."""

    judges_topics = True

    def __init__(self, name: str, grants: Grants, expires_ms: int) -> None:
        super().__init__(name, grants.tags)
        self.grants = grants
        self.expires_ms = expires_ms

    def may_access(self, vhost: str) -> bool:
        """See User."""
        return self.answered((vhost, "", ""), lambda: self.grants.may_access(vhost))

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        """See User. A scope does not tell queues from exchanges."""
        name = name or DEFAULT_EXCHANGE_NAME
        return self.answered((vhost, verb, name), lambda: self.grants.may(vhost, verb, name))

    def may_topic(self, vhost: str, verb: str, exchange: str, key: str, client_id: str | None) -> bool:
        """See User. Whoever asks remembers it, or asks rarely."""
        return self.grants.may_topic(vhost, verb, exchange, key)

    def answered(self, question: tuple[str, str, str], find: Callable[[], bool]) -> bool:
        """What was answered before, or is found out now."""
        answer = self.answers.get(question)
        if answer is None:
            if len(self.answers) >= ANSWERS_MAX:
                self.answers.clear()
            answer = self.answers[question] = find()
        return answer


def header_of(password: bytes) -> dict[str, Any] | None:
    """The header of a token (RFC 7515 §4); None for a password that is none."""
    if len(password) > TOKEN_BYTES_MAX or not TOKEN.fullmatch(password):
        return None
    first = password.partition(b".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4)))
    except (binascii.Error, ValueError):
        return None
    return header if isinstance(header, dict) and "alg" in header else None


def is_time(value: Any) -> bool:
    """A NumericDate (RFC 7519 §2), not beyond all reason."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 40
