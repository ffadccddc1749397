"""The HTTP backend: what it asks, how it reads answers, and how long it believes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker.authentication.backend import Login, OtherUser, SetupError, UnavailableError
from broker.authentication.http_service import HttpService
from broker.authentication.questions import Questions
from broker.core.clock import ManualClock
from broker.core.undecided import Undecided
from tests.support.authentication_service import AuthenticationService, authentication_service

PETER = Login("peter", b"pan & wendy=?", "10.0.0.7", False)


@pytest.fixture
def web() -> Iterator[AuthenticationService]:
    with authentication_service(lambda path, asked: "allow") as service:
        yield service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(web: AuthenticationService, clock: ManualClock) -> Callable[..., HttpService]:
    def make_service(**changes: Any) -> HttpService:
        questions = Questions(changes.pop("waiting_max", 10), lambda: None)
        settings: dict[str, Any] = {"method": "get", "ca": None, "timeout_ms": 2_000, "cache_s": 15, **changes}
        paths = settings.pop("paths", web.paths())
        return HttpService(paths, clock=clock, questions=questions, **settings)

    return make_service


async def answered(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except Undecided as undecided:
        decided = asyncio.Event()
        undecided.question.when_decided(decided.set)
        await asyncio.wait_for(decided.wait(), 5)
        return ask()


async def user_of(service: HttpService) -> OtherUser:
    identity = await service.authenticate(PETER)
    assert identity is not None
    user = await service.authorize(identity, PETER)
    assert isinstance(user, OtherUser)
    return user


@pytest.mark.parametrize("method", ["get", "post"])
async def test_it_asks_as_rabbitmq_does(web: AuthenticationService, make: Any, method: str) -> None:
    web.answer = lambda path, asked: "allow management  monitoring" if path == "user" else "allow"
    service = make(method=method)

    user = await user_of(service)
    assert await answered(lambda: user.may_access("/"))
    assert await answered(lambda: user.may("/", "write", "", "exchange"))
    await service.close()

    assert user.tags == ("management", "monitoring")
    assert web.asked == [
        (method.upper(), "user", {"username": "peter", "password": "pan & wendy=?"}),
        (
            method.upper(),
            "vhost",
            {"username": "peter", "vhost": "/", "ip": "10.0.0.7", "tags": "management monitoring"},
        ),
        (
            method.upper(),
            "resource",
            {
                "username": "peter",
                "vhost": "/",
                "resource": "exchange",
                "name": "amq.default",
                "permission": "write",
                "tags": "management monitoring",
            },
        ),
    ]


async def test_it_asks_about_topics(web: AuthenticationService, make: Any) -> None:
    user = await user_of(make())

    assert user.judges_topics
    assert await answered(lambda: user.may_topic("/", "write", "amq.topic", "a.b", "device"))
    assert await answered(lambda: user.may_topic("/", "read", "events", "a.*", None))

    common = {"username": "peter", "vhost": "/", "resource": "topic", "tags": ""}
    variables = {"variable_map.username": "peter", "variable_map.vhost": "/"}
    about = {"name": "amq.topic", "permission": "write", "routing_key": "a.b", "variable_map.client_id": "device"}
    assert web.asked[-2:] == [
        ("GET", "topic", {**common, **variables, **about}),
        ("GET", "topic", {**common, **variables, "name": "events", "permission": "read", "routing_key": "a.*"}),
    ]


async def test_without_a_path_it_does_not_ask_about_topics(web: AuthenticationService, make: Any) -> None:
    paths = web.paths()
    del paths["topic_path"]

    assert not (await user_of(make(paths=paths))).judges_topics


@pytest.mark.parametrize("body", ["deny", "DENY", "deny for today", " deny\n"])
async def test_deny_is_no(web: AuthenticationService, make: Any, body: str) -> None:
    service = make()
    user = await user_of(service)
    web.answer = lambda path, asked: body

    assert await service.authenticate(PETER) is None
    assert not await answered(lambda: user.may_access("/"))
    await service.close()


@pytest.mark.parametrize("answer", ["", "yes", "allowed", "<html>", (500, "allow"), (302, "allow"), (401, "deny")])
async def test_whatever_else_is_no_answer(web: AuthenticationService, make: Any, answer: Any) -> None:
    service = make()
    user = await user_of(service)
    web.answer = lambda path, asked: answer

    with pytest.raises(UnavailableError) as error:
        await service.authenticate(PETER)
    assert not await answered(lambda: user.may_access("/"))
    assert service.outcomes["http", "unavailable"] == 1
    assert "wendy" not in str(error.value)
    await service.close()


async def test_a_service_that_is_not_there_is_not_available(make: Any) -> None:
    service = make(paths={"user_path": "http://127.0.0.1:1/user"})

    with pytest.raises(UnavailableError) as error:
        await service.authenticate(PETER)

    assert "wendy" not in str(error.value)
    await service.close()


async def test_a_right_is_believed_for_a_while(web: AuthenticationService, make: Any, clock: ManualClock) -> None:
    service = make(cache_s=10)
    user = await user_of(service)
    assert await answered(lambda: user.may_read("/", "q"))
    web.answer = lambda path, asked: "deny"

    assert user.may_read("/", "q")
    clock.pass_ms(10_001)

    assert not await answered(lambda: user.may_read("/", "q"))
    await service.close()


async def test_a_right_without_an_answer_is_refused_for_a_moment(
    web: AuthenticationService, make: Any, clock: ManualClock
) -> None:
    service = make()
    user = await user_of(service)
    web.answer = lambda path, asked: (503, "")
    assert not await answered(lambda: user.may_read("/", "q"))
    web.answer = lambda path, asked: "allow"

    assert not user.may_read("/", "q")
    clock.pass_ms(1_001)

    assert await answered(lambda: user.may_read("/", "q"))
    await service.close()


async def test_too_many_questions_are_refusals(make: Any) -> None:
    service = make(waiting_max=1)
    user = await user_of(service)

    with pytest.raises(Undecided):
        user.may_read("/", "one")

    assert not user.may_read("/", "two")
    assert service.questions.refused == 1
    await service.questions.close()
    await service.close()


async def test_where_another_knows_who_it_is_the_tags_are_asked_without_a_password(
    web: AuthenticationService, make: Any
) -> None:
    web.answer = lambda path, asked: "allow policymaker"
    service = make()

    identity = await service.authenticate(PETER)
    assert identity is not None
    user = await service.authorize(identity.as_given(), PETER)

    assert user is not None
    assert user.tags == ("policymaker",)
    assert web.asked[-1] == ("GET", "user", {"username": "peter"})
    await service.close()


def test_an_authority_that_is_not_there_is_told_at_the_start(make: Any) -> None:
    with pytest.raises(SetupError, match=r"authentication\.http\.ca: /nowhere\.pem cannot be used"):
        make(ca="/nowhere.pem")
