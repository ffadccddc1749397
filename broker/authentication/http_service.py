"""A web service that says who a user is and what they may: the protocol of RabbitMQ's rabbitmq-auth-backend-http.

    user_path       username, password                                   allow [tags] | deny
    vhost_path      username, vhost, ip, tags                            allow | deny
    resource_path   username, vhost, resource, name, permission, tags    allow | deny
    topic_path      … and routing_key, variable_map.*; optional          allow | deny

Owns the requests, and for how long an answer about a right is believed. Refuses to know who waits for it.

Invariants: what is neither "allow" nor "deny" (another status, another body, no answer) is a deny where it is about a
right, and "not available" where it is about a user; no URL with its query, no password and no body is logged; redirects
are not followed, since they would carry the password elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Any

import aiohttp

from broker.authentication.backend import Identity, Login, OtherUser, SetupError, UnavailableError
from broker.authentication.questions import Questions
from broker.core.access import ANSWERS_MAX, DEFAULT_EXCHANGE_NAME, User
from broker.core.undecided import Undecided

log = logging.getLogger("hubbub.authentication")

ANSWER_BYTES_MAX = 65_536
REQUESTS_MAX = 32
"""At the same time."""
FAILED_MS = 1_000
"""How long a right is refused because there was no answer."""

Right = tuple[str, ...]
"""(vhost,), (vhost, verb, name, kind of object), or with routing key and client identifier."""


class HttpService:
    """The service. `paths`: URLs by `user_path`, `vhost_path`, `resource_path` and perhaps `topic_path`."""

    name = "http"
    asks_for_peer = True

    def __init__(
        self,
        paths: Mapping[str, str],
        *,
        method: str,
        ca: str | None,
        certificate: tuple[str, str] | None = None,
        clock: Any,
        questions: Questions,
        timeout_ms: int,
        cache_s: int,
    ) -> None:
        """`method`: get or post; `ca`: PEM file of who signs the service's certificate; `certificate`: ours, its key.

        Raises SetupError.
        """
        self.paths = dict(paths)
        self.method = method
        self.clock = clock
        self.questions = questions
        self.timeout_ms = timeout_ms
        self.cache_ms = cache_s * 1000
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """As of the chain: what was said about rights."""
        self._session: aiohttp.ClientSession | None = None
        try:
            self._tls = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(f"authentication.http.ca: {ca} cannot be used: {error}") from None
        try:
            if certificate is not None:
                self._tls.load_cert_chain(*certificate)
        except (OSError, ssl.SSLError) as error:
            text = f"authentication.http.certificate: {certificate[0] if certificate else ''} cannot be used: {error}"
            raise SetupError(text) from None

    async def authenticate(self, login: Login) -> Identity | None:
        """See Backend. A deny does not tell whether the user is known: the next is asked."""
        asked = {"username": login.name}
        if login.password is not None:
            asked["password"] = login.password.decode("utf-8", "replace")
        said = await self.ask("user_path", asked)
        return None if said is None else Identity(login.name, tuple(said.split()))

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """See Backend. Where another has found out who it is, the service is asked for the tags without a password."""
        tags = identity.details
        if tags is None:
            said = await self.ask("user_path", {"username": identity.name})
            if said is None:
                return None
            tags = said.split()
        return HttpUser(self, identity.name, tags, login.peer)

    async def ask(self, path: str, asked: Mapping[str, str]) -> str | None:
        """What stands behind "allow"; None for "deny". Raises UnavailableError."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=REQUESTS_MAX, ssl=self._tls)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        options: dict[str, Any] = {"params" if self.method == "get" else "data": asked}
        try:
            request = self._session.request(self.method, self.paths[path], allow_redirects=False, **options)
            async with request as response:
                status = response.status
                body = await response.content.read(ANSWER_BYTES_MAX)
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
            raise UnavailableError(f"{path}: the service's certificate is refused: {why}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(f"{path}: {type(error).__name__}") from None  # the text may have the URL in it
        if status not in (200, 201):
            raise UnavailableError(f"{path}: expected status 200, got {status}")
        word, _, rest = body.decode("utf-8", "replace").strip().lower().partition(" ")
        if word == "allow":
            return rest
        if word == "deny":
            return None
        raise UnavailableError(f"{path}: expected allow or deny")

    async def find_right(self, user: HttpUser, right: Right, path: str, asked: Mapping[str, str]) -> None:
        """Ask whether the user may, and remember it."""
        is_allowed, believed_ms, outcome = False, self.cache_ms, "refused"
        try:
            async with asyncio.timeout(self.timeout_ms / 1000):
                is_allowed = await self.ask(path, asked) is not None
            outcome = "allowed" if is_allowed else outcome
        except (UnavailableError, TimeoutError) as error:
            text = str(error) or f"{path}: no answer within {self.timeout_ms} ms"
            log.warning("backend http cannot say what '%s' may: %s", user.name, text)
            believed_ms, outcome = FAILED_MS, "unavailable"
        self.outcomes[self.name, outcome] += 1
        if len(user.rights) >= ANSWERS_MAX:
            user.rights.clear()
        user.rights[right] = (is_allowed, self.clock.now_ms + believed_ms)

    def reload(self) -> None:
        """There is no file."""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class HttpUser(OtherUser):
    """A user about whose every right the service is asked."""

    asks_others = True

    def __init__(self, service: HttpService, name: str, tags: Any, peer: str) -> None:
        super().__init__(name, tags)
        self.service = service
        self.peer = peer
        self.judges_topics = "topic_path" in service.paths
        self.rights: dict[Right, tuple[bool, int]] = {}
        """What was said, and until when it is believed."""

    def may_access(self, vhost: str) -> bool:
        """See User. Raises Undecided."""
        return self.decided((vhost,), "vhost_path", {"vhost": vhost, "ip": self.peer.strip("[]")})

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        """See User. Raises Undecided."""
        name = name or DEFAULT_EXCHANGE_NAME
        asked = {"vhost": vhost, "resource": what, "name": name, "permission": verb}
        return self.decided((vhost, verb, name, what), "resource_path", asked)

    def may_topic(self, vhost: str, verb: str, exchange: str, key: str, client_id: str | None) -> bool:
        """See User. Raises Undecided."""
        asked = {"vhost": vhost, "resource": "topic", "name": exchange, "permission": verb, "routing_key": key}
        variables = {"username": self.name, "vhost": vhost}
        if client_id is not None:
            variables["client_id"] = client_id
        asked |= {f"variable_map.{name}": value for name, value in variables.items()}
        return self.decided((vhost, verb, exchange, "topic", key, client_id or ""), "topic_path", asked)

    def decided(self, right: Right, path: str, asked: Mapping[str, str]) -> bool:
        """What was said. Raises Undecided where that has to be asked; too many questions at once are refusals."""
        known = self.rights.get(right)
        service = self.service
        if known is not None and known[1] > service.clock.now_ms:
            return known[0]
        whole = {"username": self.name, **asked, "tags": " ".join(self.tags)}
        question = service.questions.ask((self, right), lambda: service.find_right(self, right, path, whole))
        if question is None:
            return False
        raise Undecided(question)
