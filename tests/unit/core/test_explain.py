"""What explain says of users whom others know: nobody is asked, and nothing is made up."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.access import User
from broker.core.explain import explain_publish
from broker.core.message import Message
from tests.support.peer import Core


class Scoped(User):
    """A user by a token, which grants what begins with `mine`."""

    judges_topics = True

    def may_access(self, vhost: str) -> bool:
        return True

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        return name.startswith(("mine", "amq"))


class Asked(User):
    """One whose rights another service says each time."""

    asks_others = True

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        raise AssertionError("nobody is to be asked")


def explained(core: Core, user: User, exchange: str) -> dict[str, Any]:
    message = Message(exchange.encode(), b"a", b"\0\0", b"")
    return explain_publish(
        core.vhost, user, exchange, message, describe_rule=lambda rule: {}, describe_subscriber=lambda *_: {}
    )


def verdicts(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["kind"], row["verdict"]) for row in found["rules"]]


def test_a_token_says_itself_what_it_grants(core: Core) -> None:
    core.vhost.declare_exchange("mine", "direct")
    core.vhost.declare_exchange("yours", "direct")
    user = Scoped("ann", "", "", (), False)
    assert verdicts(explained(core, user, "mine")) == [("backend", "allows")]
    assert verdicts(explained(core, user, "yours")) == [("backend", "refuses")]
    assert not explained(core, user, "yours")["allowed"]


@pytest.mark.parametrize("kind", [Scoped, Asked])
def test_what_would_have_to_be_asked_of_others_is_said_to_be_unasked(core: Core, kind: type[User]) -> None:
    found = verdicts(explained(core, kind("ann", "", "", (), False), "amq.topic"))
    assert ("backend", "not asked") in found
    assert found[-1] == ("topic permission", "does not apply")
