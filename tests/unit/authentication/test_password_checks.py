"""Passwords of the store's users, verified in threads: who hears what, what counts, and nobody guesses faster so."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from broker.authentication.password_checks import PasswordChecks
from broker.authentication.questions import Questions
from broker.core.access import Access, User
from broker.core.errors import AccessRefused, TooManyLogins
from broker.core.undecided import Undecided
from tests.support.peer import Core

PEER = "10.0.0.1"


@pytest.fixture
async def checks(core: Core) -> AsyncIterator[PasswordChecks]:
    access = core.broker.access
    access.add_user("alice", b"right")
    made = PasswordChecks(access, core.clock, Questions(3, lambda: None), threads=1)
    access.checks = made
    yield made
    await made.close()


@pytest.fixture
def access(core: Core) -> Access:
    return core.broker.access


async def answered(ask: Callable[[], User]) -> User:
    """As a connection does it: rest, and ask again."""
    for _ in range(5):
        try:
            return ask()
        except Undecided as undecided:
            decided = asyncio.Event()
            undecided.question.when_decided(decided.set)
            await asyncio.wait_for(decided.wait(), 30)
    raise AssertionError("asked for ever")


async def log_in(access: Access, name: str, password: str, peer: str = PEER) -> User:
    return await answered(lambda: access.authenticate(name, password.encode(), False, peer))


async def test_a_password_is_verified_in_a_thread_once_and_then_remembered(
    access: Access, checks: PasswordChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    matches = access.matches

    def noted(algorithm: str, password_hash: str, password: bytes) -> bool:
        threads.append(threading.current_thread())
        return matches(algorithm, password_hash, password)

    monkeypatch.setattr(access, "matches", noted)

    assert (await log_in(access, "alice", "right")).name == "alice"
    assert access.authenticate("alice", b"right", False, PEER).name == "alice"

    assert checks.verified == 1
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_a_wrong_password_and_an_unknown_user_cost_and_say_the_same(
    access: Access, checks: PasswordChecks, name: str
) -> None:
    with pytest.raises(AccessRefused, match=f"user '{name}' was refused: invalid credentials"):
        await log_in(access, name, "wrong")

    assert checks.verified == 1
    assert access.failures.counted == 1
    assert access.logins_refused == 1


async def test_who_waits_for_the_same_answer_hears_it_and_it_counts_once(
    access: Access, checks: PasswordChecks
) -> None:
    both = [log_in(access, "alice", "wrong") for _ in range(2)]

    told = await asyncio.gather(*both, return_exceptions=True)

    assert [str(each) for each in told] == ["user 'alice' was refused: invalid credentials"] * 2
    assert checks.verified == 1
    assert access.failures.counted == 1


async def test_the_same_wrong_password_again_costs_nothing_and_counts(access: Access, checks: PasswordChecks) -> None:
    for _ in range(3):
        with pytest.raises(AccessRefused, match="invalid credentials"):
            await log_in(access, "alice", "wrong")

    assert checks.verified == 1
    assert access.failures.counted == 3


async def test_many_guesses_at_once_are_no_better_than_one_after_the_other(
    core: Core, access: Access, checks: PasswordChecks
) -> None:
    checks.questions.waiting_max = 100

    guesses = [log_in(access, "alice", f"guess {number}") for number in range(20)]
    told = await asyncio.gather(*guesses, return_exceptions=True)

    assert checks.verified == access.failures.rules.per_pair
    assert sum("failed to log in too often" in str(each) for each in told) == 20 - access.failures.rules.per_pair


async def test_a_guess_whose_client_is_gone_counts(access: Access, checks: PasswordChecks) -> None:
    with pytest.raises(Undecided) as asked:
        access.authenticate("alice", b"wrong", False, PEER)
    decided = asyncio.Event()
    asked.value.question.when_decided(decided.set)

    await asyncio.wait_for(decided.wait(), 30)

    assert access.failures.counted == 1


async def test_no_more_wait_than_may(access: Access, checks: PasswordChecks) -> None:
    waiting = []
    for number in range(3):
        with pytest.raises(Undecided) as asked:
            access.authenticate(f"user {number}", b"x", False, PEER)
        waiting.append(asked.value.question)

    with pytest.raises(TooManyLogins, match="too many logins wait"):
        access.authenticate("alice", b"right", False, PEER)

    assert checks.questions.refused == 1


async def test_a_password_that_is_changed_meanwhile_is_not_let_in(access: Access, checks: PasswordChecks) -> None:
    with pytest.raises(Undecided) as asked:
        access.authenticate("alice", b"right", False, PEER)
    access.add_user("alice", b"another")
    decided = asyncio.Event()
    asked.value.question.when_decided(decided.set)
    await asyncio.wait_for(decided.wait(), 30)

    with pytest.raises(AccessRefused, match="invalid credentials"):
        await log_in(access, "alice", "right")
    assert (await log_in(access, "alice", "another")).name == "alice"


async def test_a_refusal_holds_for_a_second_only(core: Core, access: Access, checks: PasswordChecks) -> None:
    with pytest.raises(AccessRefused):
        await log_in(access, "alice", "wrong")
    core.clock.pass_ms(1_001)
    with pytest.raises(AccessRefused):
        await log_in(access, "alice", "wrong")

    assert checks.verified == 2


async def test_the_time_does_not_tell_who_came_with_a_cheap_hash(access: Access, checks: PasswordChecks) -> None:
    salt = b"salt"
    hashed = base64.b64encode(salt + hashlib.sha256(salt + b"right").digest()).decode()
    access.import_user("imported", hashed, "rabbit_password_hashing_sha256")
    costly = []
    verify = access.hasher.verify

    class Hasher:
        def verify(self, of: str, password: bytes) -> bool:
            costly.append(of)
            return verify(of, password)

    access.hasher = Hasher()  # type: ignore[assignment]
    with pytest.raises(AccessRefused):
        await log_in(access, "imported", "wrong")

    assert len(costly) == 1
    assert (await log_in(access, "imported", "right")).name == "imported"
    assert len(costly) == 1
