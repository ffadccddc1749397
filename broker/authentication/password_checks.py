"""Passwords of the store's users, verified in threads: a hash costs tens of milliseconds on purpose.

    authenticate_own ─┬─ right before, and remembered ──▶ User, at once             (core.access)
                      └─ check ─▶ Undecided; a thread verifies; those who wait ask again, and then it is remembered

Owns the threads, how many may wait, and what was refused just now. Refuses to know users and hashes: `core.access`
does.

Invariants: a guess is verified only where, when its turn comes, nobody failed so often that it has to wait, so that
many guesses at once are no better than one after the other; one that was verified counts, though its client be gone; a
password is not kept, only a keyed hash of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from broker.authentication.questions import Questions
from broker.core.access import Access, User
from broker.core.errors import TooManyLogins
from broker.core.undecided import Undecided

THREADS_MAX = 4
REFUSED_MS = 1_000
"""How long it is remembered that a password was wrong: until those who wait have asked again."""
REFUSED_MAX = 4_096


class Refusal:
    """A password that was wrong. `untold`: who waits to hear it."""

    __slots__ = ("until_ms", "untold")

    def __init__(self, until_ms: int, untold: int) -> None:
        self.until_ms = until_ms
        self.untold = untold


class PasswordChecks:
    """Of one broker: a core.access.Checks."""

    def __init__(self, access: Access, clock: Any, questions: Questions, threads: int | None = None) -> None:
        """`threads` None: one less than the machine has processors, which leaves one to the loop."""
        self.access = access
        self.clock = clock
        self.questions = questions
        threads = max(1, min(THREADS_MAX, (os.cpu_count() or 1) - 1)) if threads is None else threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._turns = asyncio.Semaphore(threads)
        self._key = secrets.token_bytes(32)
        self._asked: dict[bytes, int] = {}
        self._refused: OrderedDict[bytes, Refusal] = OrderedDict()
        self.verified = 0
        """Hashes that were computed."""

    def check(self, name: str, password: bytes, peer: str) -> NoReturn:
        """A password that is not remembered: Undecided, or AccessRefused where it was wrong, or must wait."""
        access, key = self.access, self.key(name, password, peer)
        refusal = self._refused.get(key)
        if refusal is not None and refusal.until_ms <= self.clock.now_ms:
            refusal = None
        if refusal is not None and refusal.untold:
            refusal.untold -= 1
            raise access.refusal(name, peer, is_counted=True)
        access.check_wait(name, peer)
        if refusal is not None:
            raise access.refusal(name, peer)
        question = self.questions.ask(key, lambda: self._verify(key, name, password, peer))
        if question is None:
            access.logins_refused += 1
            raise TooManyLogins(f"user '{name}' was refused: too many logins wait")
        self._asked[key] = self._asked.get(key, 0) + 1
        raise Undecided(question)

    def key(self, name: str, password: bytes, peer: str) -> bytes:
        """A keyed hash: useless outside this process."""
        keyed = hashlib.blake2b(key=self._key)
        for part in (name.encode("utf-8", "surrogateescape"), peer.encode(), password):
            keyed.update(len(part).to_bytes(4, "big") + part)
        return keyed.digest()

    async def _verify(self, key: bytes, name: str, password: bytes, peer: str) -> None:
        """Compare in a thread, and remember what came of it."""
        access = self.access
        async with self._turns:
            waiting = self._asked.pop(key)
            if access.failures.wait_ms(name, peer):  # others have failed meanwhile: who waits is told so
                return
            user = access.users.get(name)
            hashed = user.password_hash if user is not None else ""
            if await self.is_right(user, password):
                access.failures.forget(name, peer)
                access.right[name] = (access.remembered_form(password), hashed)
                return
            access.failures.count(name, peer)
            self._refused.pop(key, None)
            self._refused[key] = Refusal(self.clock.now_ms + REFUSED_MS, waiting + self._asked.pop(key, 0))
            while len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)

    async def is_right(self, user: User | None, password: bytes) -> bool:
        """Verify in a thread; for nobody it takes as long."""
        self.verified += 1
        access, loop = self.access, asyncio.get_running_loop()
        judged = user if user is not None else access.nobody
        algorithm, hashed = judged.algorithm, judged.password_hash
        matches = await loop.run_in_executor(self._threads, access.matches, algorithm, hashed, password)
        return matches and user is not None

    async def close(self) -> None:
        """Nobody is asked any more."""
        await self.questions.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
