"""The chain: who is asked, in which order, how long an answer holds, and how many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.authentication.backend import Identity, Login, OtherUser, RefusedError, UnavailableError
from broker.authentication.chain import Chain, Step
from broker.authentication.internal import Internal
from broker.authentication.password_checks import PasswordChecks
from broker.authentication.questions import Questions
from broker.core.access import User
from broker.core.errors import AccessRefused, NotFound
from broker.core.undecided import Undecided
from tests.support.peer import Core


class Directory:
    """A backend that knows some users."""

    def __init__(self, name: str, **passwords: str) -> None:
        self.name = name
        self.passwords = passwords
        self.asked: list[Login] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: Exception | None = None
        self.knows_rights = True

    async def authenticate(self, login: Login) -> Identity | None:
        self.asked.append(login)
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        if login.name not in self.passwords:
            return None
        if login.password is not None and self.passwords[login.name].encode() != login.password:
            raise RefusedError("invalid credentials")
        return Identity(login.name, details="mine")

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        return OtherUser(identity.name, (str(identity.details),)) if self.knows_rights else None

    def reload(self) -> None:
        self.passwords = {}

    async def close(self) -> None:
        pass


def internal(core: Core) -> Internal:
    access = core.broker.access
    return Internal(access, PasswordChecks(access, core.clock, Questions(10, lambda: None)))


def chain_of(core: Core, *steps: Any, **changes: Any) -> Chain:
    pairs = [step if isinstance(step, tuple) else (step, step) for step in steps]
    questions = Questions(changes.pop("waiting_max", 10), lambda: None)
    settings: dict[str, Any] = {"timeout_ms": 50, "cache_s": 15, **changes}
    asked = [Step(*pair) for pair in pairs]
    chain = Chain(core.broker.access, asked, clock=core.clock, questions=questions, **settings)
    core.broker.access.others = chain
    return chain


async def answered(ask: Callable[[], User]) -> User:
    """As a connection does it: rest, and ask again."""
    for _ in range(5):
        try:
            return ask()
        except Undecided as undecided:
            decided = asyncio.Event()
            undecided.question.when_decided(decided.set)
            await asyncio.wait_for(decided.wait(), 5)
    raise AssertionError("asked for ever")


async def log_in(core: Core, name: str, password: str | None, peer: str = "10.0.0.1") -> User:
    access = core.broker.access
    if password is None:
        return await answered(lambda: access.admit_external(name, False))
    return await answered(lambda: access.authenticate(name, password.encode(), False, peer))


async def test_the_first_that_knows_the_user_decides(core: Core) -> None:
    first, second = Directory("first", alice="one"), Directory("second", alice="two", bob="three")
    chain_of(core, first, second)

    assert (await log_in(core, "alice", "one")).name == "alice"
    with pytest.raises(AccessRefused, match="invalid credentials"):
        await log_in(core, "alice", "two")
    assert (await log_in(core, "bob", "three")).name == "bob"
    with pytest.raises(AccessRefused):
        await log_in(core, "nobody", "x")

    assert [login.name for login in second.asked] == ["bob", "nobody"]


async def test_users_of_the_store_come_in_at_once_where_they_are_first(core: Core) -> None:
    core.broker.access.add_user("carol", b"hers")
    chain_of(core, internal(core), Directory("other", dave="his"))

    assert core.broker.access.authenticate("carol", b"hers", False, "10.0.0.1").name == "carol"
    assert core.broker.access.admit_external("carol", False).name == "carol"
    with pytest.raises(AccessRefused, match="only connect via localhost"):
        core.broker.access.admit_external("guest", False)
    assert (await log_in(core, "dave", "his")).name == "dave"


async def test_users_of_the_store_come_after_others_where_they_are_last(core: Core) -> None:
    core.broker.access.add_user("carol", b"hers")
    chain_of(core, Directory("other", carol="the other's"), internal(core))

    assert (await log_in(core, "carol", "the other's")).tags == ("mine",)
    with pytest.raises(AccessRefused):
        await log_in(core, "carol", "hers")
    core.broker.access.add_user("erin", b"hers")
    assert await log_in(core, "erin", "hers") is core.broker.access.users["erin"]


async def test_one_may_say_who_it_is_and_another_what_they_may(core: Core) -> None:
    core.broker.access.add_user("carol", b"unknown to her", tags=("monitoring",))
    chain_of(core, (Directory("names", carol="hers", frank="his"), internal(core)))

    assert (await log_in(core, "carol", "hers")).tags == ("monitoring",)
    with pytest.raises(AccessRefused, match="internal does not know what 'frank' may"):
        await log_in(core, "frank", "his")


async def test_details_are_for_the_backend_that_found_them(core: Core) -> None:
    names, rights = Directory("names", carol="hers"), Directory("rights")
    chain_of(core, (names, rights))

    assert (await log_in(core, "carol", "hers")).tags == ("None",)


async def test_an_answer_is_believed_for_a_while(core: Core) -> None:
    directory = Directory("one", alice="s")
    chain_of(core, directory, cache_s=15)

    await log_in(core, "alice", "s")
    core.clock.pass_ms(14_000)
    await log_in(core, "alice", "s")
    assert len(directory.asked) == 1
    core.clock.pass_ms(2_000)
    await log_in(core, "alice", "s")
    assert len(directory.asked) == 2


async def test_what_holds_no_more_is_forgotten(core: Core) -> None:
    chain = chain_of(core, Directory("one", alice="s", bob="t"), cache_s=15)
    await log_in(core, "alice", "s")
    core.clock.pass_ms(16_000)

    await log_in(core, "bob", "t")

    assert len(chain.answers) == 1


async def test_another_password_is_another_question(core: Core) -> None:
    chain_of(core, Directory("one", alice="s"))

    await log_in(core, "alice", "s")

    with pytest.raises(AccessRefused):
        await log_in(core, "alice", "t")


async def test_the_same_login_is_asked_for_once(core: Core) -> None:
    directory = Directory("one", alice="s")
    directory.answers.clear()
    chain_of(core, directory, timeout_ms=5_000)

    waiting = [asyncio.create_task(log_in(core, "alice", "s")) for _ in range(5)]
    await asyncio.sleep(0)
    directory.answers.set()

    assert {(await each).name for each in waiting} == {"alice"}
    assert len(directory.asked) == 1


async def test_a_silent_backend_is_passed_over(core: Core) -> None:
    silent, other = Directory("silent", alice="s"), Directory("other", alice="s")
    silent.answers.clear()
    chain = chain_of(core, silent, other, timeout_ms=10)

    assert (await log_in(core, "alice", "s")).name == "alice"
    assert chain.outcomes["silent", "unavailable"] == 1
    assert chain.outcomes["other", "allowed"] == 1


async def test_where_the_only_one_is_not_available_the_operator_reads_so(core: Core) -> None:
    directory = Directory("one", alice="s")
    directory.error = UnavailableError("no route")
    chain_of(core, directory)

    with pytest.raises(AccessRefused, match="backend one is not available"):
        await log_in(core, "alice", "s")


async def test_an_error_of_ours_is_a_refusal_without_its_text(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    directory = Directory("one", alice="s")
    directory.error = ValueError("p4ssword in here")
    chain_of(core, directory)

    with pytest.raises(AccessRefused) as refused:
        await log_in(core, "alice", "s")

    assert "p4ssword" not in str(refused.value) + caplog.text
    assert "ValueError" in caplog.text


async def test_no_more_wait_than_may(core: Core) -> None:
    directory = Directory("one", alice="s")
    directory.answers.clear()
    chain = chain_of(core, directory, waiting_max=2, timeout_ms=5_000)
    access = core.broker.access

    for name in ("a", "b"):
        with pytest.raises(Undecided):
            access.authenticate(name, b"x", False, "10.0.0.1")

    with pytest.raises(AccessRefused, match="too many logins wait"):
        access.authenticate("c", b"x", False, "10.0.0.1")
    assert chain.questions.refused == 1
    await chain.close()


async def test_failed_logins_are_throttled_as_those_of_the_store(core: Core) -> None:
    directory = Directory("one", alice="s")
    chain_of(core, directory)

    for number in range(20):
        with pytest.raises(AccessRefused) as refused:
            await log_in(core, "alice", f"wrong {number}")
        if "too often" in str(refused.value):
            break

    assert "too often" in str(refused.value)
    assert len(directory.asked) < 20


async def test_while_a_backend_is_away_nobody_is_throttled(core: Core) -> None:
    directory = Directory("one", alice="s")
    directory.error = UnavailableError("no route")
    chain_of(core, directory)
    for number in range(100):
        with pytest.raises(AccessRefused, match="not available"):
            await log_in(core, "alice", f"wrong {number}")

    directory.error = None

    assert (await log_in(core, "alice", "s")).name == "alice"


async def test_refused_tokens_make_nobody_else_wait(core: Core) -> None:
    directory: Any = Directory("one", alice="t-right")
    directory.is_token = lambda password: password.startswith(b"t-")
    chain = chain_of(core, directory)
    assert chain.takes_tokens
    for number in range(100):
        with pytest.raises(AccessRefused, match="invalid credentials"):
            await log_in(core, "alice", f"t-{number}")

    assert (await log_in(core, "alice", "t-right")).name == "alice"


async def test_without_a_password_the_name_is_proven(core: Core) -> None:
    directory = Directory("one", alice="s")
    chain_of(core, directory)

    assert (await log_in(core, "alice", None)).name == "alice"
    assert directory.asked[0].password is None
    with pytest.raises(AccessRefused):
        await log_in(core, "bob", None)


async def test_reloading_forgets_what_was_said(core: Core) -> None:
    chain = chain_of(core, Directory("one", alice="s"))
    await log_in(core, "alice", "s")

    chain.reload()

    with pytest.raises(AccessRefused):
        await log_in(core, "alice", "s")


def test_a_login_does_not_show_its_password() -> None:
    assert "s3cret" not in repr(Login("alice", b"s3cret", "", False)) + repr(Identity("alice", "s3cret"))


async def known(chain: Chain, name: str, token: bytes | None = None) -> tuple[str, str, str]:
    for _ in range(3):
        try:
            user, by, says = chain.who(name, token, "10.0.0.1")
            return user.name, by, says
        except Undecided as undecided:
            decided = asyncio.Event()
            undecided.question.when_decided(decided.set)
            await asyncio.wait_for(decided.wait(), 5)
    raise AssertionError("asked for ever")


async def test_who_knows_a_user_is_found_without_a_password_and_counts_as_no_login(core: Core) -> None:
    core.broker.access.add_user("carol", b"hers")
    names, rights = Directory("names", bob="x", carol="y"), Directory("rights")
    chain = chain_of(core, internal(core), (names, rights))

    assert await known(chain, "carol") == ("carol", "internal", "internal")
    assert await known(chain, "bob") == ("bob", "names", "rights")
    with pytest.raises(NotFound, match="no backend knows user 'eve'"):
        await known(chain, "eve")
    with pytest.raises(NotFound, match="takes such a token"):
        await known(chain, "", b"no token")

    access = core.broker.access
    assert (access.logins, access.logins_refused, access.failures.counted) == (0, 0, 0)
    assert [login.password for login in names.asked] == [None, None]
