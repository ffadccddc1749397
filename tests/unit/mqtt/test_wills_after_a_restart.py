"""A will that waited in the store: since the restart only its user's name is known, and who knows users is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.authentication.backend import OtherUser
from broker.config import Mqtt
from broker.core.access import Permission, User
from broker.core.errors import NotFound
from broker.core.undecided import Question, Undecided
from broker.mqtt.endpoint import Endpoint
from storage.memory_store import MemoryStore
from tests.support.mqtt_codec import V5, Will
from tests.support.mqtt_peer import MqttPeers
from tests.support.peer import Core


class Others:
    """Know one user, when the question is decided."""

    takes_tokens = asks_internal = False

    def __init__(self, user: User | None) -> None:
        self.user = user
        self.question = Question()
        self.asked: list[str] = []

    def authenticate(self, name: str, password: bytes | None, peer_is_loopback: bool, peer: str) -> User:
        assert self.user is not None
        return self.user

    def who(self, name: str, token: bytes | None, peer: str) -> tuple[User, str, str]:
        self.asked.append(name)
        if not self.question.is_decided:
            raise Undecided(self.question)
        if self.user is None:
            raise NotFound("nobody")
        return self.user, "others", "others"


def may_write(pattern: str) -> User:
    return OtherUser("bea", (), {"/": Permission("", pattern, ".*")})


@pytest.fixture
def restarted(core: Core, make_core: Callable[..., Core]) -> Callable[[Others | None], tuple[Core, Endpoint, Any]]:
    def restart(others: Others | None) -> tuple[Core, Endpoint, Any]:
        core.broker.access.others = Others(may_write(".*"))
        peers = MqttPeers(core)
        peer = peers.connect("c", V5, user="bea", password="x", will=Will("last", b"words"),
                             properties={"session_expiry": 100})  # fmt: skip
        assert peer.heard()[0].reason == 0
        core.commit()
        again = make_core(MemoryStore(state=core.stop()))
        again.broker.access.others = others
        again.vhost.declare_queue("wills")
        again.vhost.bind(again.vhost.exchanges["amq.topic"], again.queue("wills"), "queue", b"last")
        endpoint = Endpoint(again.broker, again.limits, Mqtt())
        endpoint.restore()
        return again, endpoint, endpoint.counters

    return restart


def test_others_are_asked_by_the_name_and_the_will_waits_for_their_word(restarted: Any) -> None:
    others = Others(may_write("^amq"))
    again, _, counters = restarted(others)
    assert others.asked == ["bea"]
    assert again.queue("wills").ready_count == 0

    others.question.decide()

    assert again.queue("wills").ready_count == 1
    assert counters.wills_published == 1


@pytest.mark.parametrize("user", [None, may_write("^nothing")], ids=["not known", "may not write"])
def test_the_will_of_who_is_not_known_or_may_not_is_not_said(restarted: Any, user: User | None) -> None:
    others = Others(user)
    again, _, counters = restarted(others)
    others.question.decide()

    assert again.queue("wills").ready_count == 0
    assert counters.wills_refused == 1


def test_a_will_that_still_waits_at_the_next_restart_keeps_its_users_name(restarted: Any) -> None:
    _, endpoint, _ = restarted(Others(may_write(".*")))
    (session,) = endpoint.sessions.by_name.values()

    assert session.will.as_stored()[0] == "bea"


def test_without_others_the_stores_users_count(restarted: Any) -> None:
    again, _, counters = restarted(None)

    assert again.queue("wills").ready_count == 0
    assert counters.wills_refused == 1
