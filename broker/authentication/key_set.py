"""The public keys that tokens are signed with: a JSON Web Key Set (RFC 7517) at a URL.

Owns fetching it, and when it is fetched again. Refuses to know tokens.

Invariants: only keys for signatures that anybody may check are taken, so a public key never serves as a shared secret;
a set that cannot be fetched or read leaves the keys that are there; an unknown key makes it fetch at most once in
UNKNOWN_MS, however many ask.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from typing import Any

import aiohttp
import jwt

from broker.authentication.backend import SetupError, UnavailableError

log = logging.getLogger("hubbub.authentication")

SET_BYTES_MAX = 1024 * 1024
UNKNOWN_MS = 10_000
ALGORITHMS = {
    "RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    "EC": {"ES256", "ES384", "ES512"},
    "OKP": {"EdDSA"},
}
"""What a key of a type may be used for; "oct", a shared secret, and "none" are not among them."""


class Key:
    """One of the set."""

    def __init__(self, value: dict[str, Any]) -> None:
        """Raises ValueError for a key that is not one for signatures."""
        kind, named = value.get("kty"), value.get("alg")
        fitting = ALGORITHMS.get(str(kind), set())
        self.algorithms = fitting & {named} if named is not None else fitting
        if not self.algorithms or value.get("use", "sig") != "sig":
            raise ValueError("not a key for signatures")
        try:
            self.public = jwt.PyJWK(value, algorithm=named or sorted(fitting)[0]).key
        except jwt.PyJWTError as error:
            raise ValueError(str(error)) from None


class KeySet:
    """At one URL. `refresh_s`: how old it may become; `ca`: who signs the server's certificate."""

    def __init__(self, url: str, *, ca: str | None, clock: Any, refresh_s: int) -> None:
        """Fetches nothing. Raises SetupError."""
        self.url = url
        self.clock = clock
        self.refresh_ms = refresh_s * 1000
        self.keys: dict[str, Key] = {}
        self.fetched = 0
        self._fetched_ms: int | None = None
        self._tried_ms: int | None = None
        self._fetching = asyncio.Lock()
        try:
            self._tls = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(f"authentication.oauth.ca: {ca} cannot be used: {error}") from None

    async def get(self, key_id: str | None) -> Key | None:
        """The key; without an identifier the only one there is. Raises UnavailableError where no set was ever read."""
        await self._look(key_id)
        if self._fetched_ms is None:
            raise UnavailableError("there is no key set yet")
        if key_id is None:
            return next(iter(self.keys.values())) if len(self.keys) == 1 else None
        return self.keys.get(key_id)

    def reload(self) -> None:
        """Fetch it at the next chance, whatever its age."""
        self._tried_ms = None
        if self._fetched_ms is not None:
            self._fetched_ms = self.clock.now_ms - self.refresh_ms - 1

    async def _look(self, key_id: str | None) -> None:
        async with self._fetching:
            now_ms = self.clock.now_ms
            is_old = self._fetched_ms is None or now_ms - self._fetched_ms > self.refresh_ms
            is_unknown = key_id is not None and key_id not in self.keys
            if not (is_old or is_unknown):
                return
            if self._tried_ms is not None and now_ms - self._tried_ms < UNKNOWN_MS:
                return
            self._tried_ms = now_ms
            try:
                self.keys = await self._fetch()
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.error("the key set cannot be read: %s: %s", type(error).__name__, error, extra={"url": self.url})
                return
            self.fetched += 1
            self._fetched_ms = now_ms
            log.info("the key set is read", extra={"url": self.url, "keys": len(self.keys)})

    async def _fetch(self) -> dict[str, Key]:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(self.url) as response:
            if response.status != 200:
                raise ValueError(f"expected status 200, got {response.status}")
            body = await response.content.read(SET_BYTES_MAX)
            while len(body) < SET_BYTES_MAX and not response.content.at_eof():
                body += await response.content.read(SET_BYTES_MAX - len(body))
        return read(body)


def read(body: bytes) -> dict[str, Key]:
    """The keys of a set, by their identifiers; what is none for signatures is left out. ValueError."""
    value = json.loads(body)
    listed = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise ValueError("expected an object with keys")
    keys: dict[str, Key] = {}
    for each in listed:
        try:
            keys[str(each.get("kid", ""))] = Key(each)
        except (AttributeError, ValueError):
            continue
    return keys
