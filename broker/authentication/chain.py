"""Who a user is, asked of one backend after the other: the first that knows the user decides.

Owns the order, how long one may take, how many logins wait, and for how long an answer is believed. Refuses to know
what a backend is, and who asks: the core's `Access` does, and raises what is raised here.

    authenticate ─┬─ the store's users, where they come first ──▶ User, at once
                  ├─ known since less than cache_s ─────────────▶ User, at once
                  └─ else Undecided; a task asks, remembers, and those who wait ask again

Invariants: nothing here blocks the loop; a password is not kept, only a keyed hash of it; every answer that a backend
did not give is counted, and leaves a line in the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from broker.authentication.backend import Backend, Login, OtherUser, RefusedError, UnavailableError
from broker.authentication.questions import Questions
from broker.core.access import Access, User
from broker.core.errors import AccessRefused, NotFound, TooManyLogins
from broker.core.undecided import Question, Undecided

log = logging.getLogger("hubbub.authentication")

REMEMBERED_MAX = 65_536
"""Logins whose answer holds still."""
REFUSED_MS = 1_000
"""How long it is remembered that a login was refused: until those who wait have asked again."""


class Step(NamedTuple):
    """Who says who the user is, and who says what they may: mostly the same backend."""

    authentication: Backend
    authorization: Backend


class Answer(NamedTuple):
    """To a login; believed `until_ms`."""

    user: User | None
    step: Step | None
    """Who said so, where there is a user."""
    reason: str
    until_ms: int
    is_guess: bool
    """It was refused as a wrong password is: too many of them make the peer wait."""


class Chain:
    """All backends of the broker."""

    def __init__(
        self,
        access: Access,
        steps: Sequence[Step],
        *,
        clock: Any,
        questions: Questions,
        timeout_ms: int,
        cache_s: int,
    ) -> None:
        """`clock`: core.clock.Clock."""
        self.access = access
        self.clock = clock
        self.questions = questions
        self.steps = tuple(steps)
        self.timeout_ms = timeout_ms
        self.cache_ms = cache_s * 1000
        self.answers: OrderedDict[bytes, Answer] = OrderedDict()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often a backend said what: `allowed`, `refused`, `unknown`, `unavailable`."""
        self._is_token = [each.is_token for each in self.backends if hasattr(each, "is_token")]
        self.takes_tokens = bool(self._is_token)
        self.asks_internal = any(step.authentication.name == "internal" for step in self.steps)
        self._key = secrets.token_bytes(32)
        self._by_peer = any(getattr(each, "asks_for_peer", False) for each in self.backends)

    @property
    def backends(self) -> list[Backend]:
        """Each of them once."""
        return list(dict.fromkeys(backend for step in self.steps for backend in step))

    def authenticate(self, name: str, password: bytes | None, peer_is_loopback: bool, peer: str) -> User:
        """See core.access.Access.authenticate and admit_external. Raises AccessRefused, Undecided."""
        access = self.access
        first = self.steps[0]
        is_own = first.authentication.name == first.authorization.name == "internal"
        if is_own and name in access.users:
            if password is None:
                return access.admitted(access.users[name], peer_is_loopback)
            return access.authenticate_own(name, password, peer_is_loopback, peer)
        key = self.key(name, password, peer)
        answer = self.answers.get(key)
        if answer is not None and answer.until_ms <= self.clock.now_ms:
            answer = None
        if answer is not None and answer.user is not None:
            access.failures.forget(name, peer)
            return access.admitted(answer.user, peer_is_loopback)
        is_token = password is not None and any(each(password) for each in self._is_token)
        if not is_token:  # which nobody finds by trying, and whose name may be everybody's
            access.check_wait(name, peer)
        if answer is not None:
            if answer.is_guess and not is_token:
                access.failures.count(name, peer)
            access.logins_refused += 1
            raise AccessRefused(f"user '{name}' was refused: {answer.reason}")
        raise Undecided(self.ask(key, Login(name, password, peer, peer_is_loopback)))

    def who(self, name: str, token: bytes | None, peer: str) -> tuple[User, str, str]:
        """See core.access.Others."""
        if token is not None and not any(each(token) for each in self._is_token):
            raise NotFound("no backend takes such a token")
        first, user = self.steps[0], self.access.users.get(name)
        if token is None and user is not None and first.authentication.name == first.authorization.name == "internal":
            return user, "internal", "internal"
        key = self.key(name, token, peer)
        answer = self.answers.get(key)
        if answer is None or answer.until_ms <= self.clock.now_ms:
            raise Undecided(self.ask(key, Login(name, token, peer, False)))
        if answer.user is None or answer.step is None:
            whom = f"user '{name}'" if token is None else "the token"
            raise NotFound(f"no backend knows {whom}: {answer.reason}")
        return answer.user, answer.step.authentication.name, answer.step.authorization.name

    def key(self, name: str, password: bytes | None, peer: str) -> bytes:
        """A keyed hash: useless outside this process."""
        keyed = hashlib.blake2b(key=self._key)
        for part in (name.encode("utf-8", "surrogateescape"), peer.encode() if self._by_peer else b"", password):
            if part is not None:
                keyed.update(len(part).to_bytes(4, "big") + part)
        return keyed.digest()

    def ask(self, key: bytes, login: Login) -> Question:
        """Raises TooManyLogins."""
        question = self.questions.ask(key, lambda: self.decide(key, login))
        if question is None:
            self.access.logins_refused += 1
            raise TooManyLogins(f"user '{login.name}' was refused: too many logins wait for their backends")
        return question

    async def decide(self, key: bytes, login: Login) -> None:
        """Ask, and remember."""
        user, step, reason, is_guess = None, None, "", False
        try:
            user, step = await self.find(login)
        except RefusedError as refused:
            reason, is_guess = str(refused), True
        except UnavailableError as unavailable:
            reason = str(unavailable)
        except Exception as error:
            # Its text may hold what it was asked: the type says where to look.
            log.error("a login failed by an error of the broker: %s", type(error).__name__)
            reason = "an error of the broker"
        now_ms = self.clock.now_ms
        until_ms = now_ms + (REFUSED_MS if user is None else self.cache_ms)
        if user is not None and user.expires_ms:
            until_ms = min(until_ms, user.expires_ms)
        self.remember(key, Answer(user, step, reason, until_ms, is_guess))

    def remember(self, key: bytes, answer: Answer) -> None:
        """And forget what holds no more, oldest first."""
        answers, now_ms = self.answers, self.clock.now_ms
        answers.pop(key, None)
        answers[key] = answer
        while len(answers) > REMEMBERED_MAX or next(iter(answers.values())).until_ms <= now_ms:
            answers.popitem(last=False)
            if not answers:
                return

    async def find(self, login: Login) -> tuple[User, Step]:
        """Ask one after the other; who it is, and who said so.

        Raises RefusedError, or UnavailableError where one that might know could not say.
        """
        missing = ""
        for step in self.steps:
            backend = step.authentication
            try:
                async with asyncio.timeout(self.timeout_ms / 1000):
                    identity = await backend.authenticate(login)
                if identity is None:
                    self.outcomes[backend.name, "unknown"] += 1
                    continue
                found = backend
                backend = step.authorization
                async with asyncio.timeout(self.timeout_ms / 1000):
                    user = await backend.authorize(identity if backend is found else identity.as_given(), login)
            except (UnavailableError, TimeoutError) as error:
                text = str(error) or f"no answer within {self.timeout_ms} ms"
                self.outcomes[backend.name, "unavailable"] += 1
                log.warning("backend %s cannot say who '%s' is: %s", backend.name, login.name, text)
                missing = backend.name
                continue
            except RefusedError:
                self.outcomes[backend.name, "refused"] += 1
                raise
            if user is None:
                self.outcomes[backend.name, "refused"] += 1
                raise RefusedError(f"backend {backend.name} does not know what '{identity.name}' may")
            self.outcomes[backend.name, "allowed"] += 1
            if isinstance(user, OtherUser):  # of this login alone, as the store's are not
                user.known_by = (found.name, backend.name)
            return user, step
        if missing:
            raise UnavailableError(f"backend {missing} is not available")
        raise RefusedError("invalid credentials")

    def reload(self) -> None:
        """Files are read anew, and nothing is believed any more that was said before."""
        self.answers.clear()
        for each in self.backends:
            each.reload()

    async def close(self) -> None:
        """Nobody is asked any more."""
        await self.questions.close()
        for each in self.backends:
            await each.close()
