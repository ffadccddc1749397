"""What explain says of users whom others know: they are asked, as at a publish, and named."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.access import User
from broker.core.explain import explain_publish
from broker.core.message import Message
from broker.core.undecided import Question, Undecided
from tests.support.peer import Core


class Scoped(User):
    """A user by a token, which grants what begins with `mine`, and keys that begin with `a`."""

    judges_topics = True

    def may_access(self, vhost: str) -> bool:
        return True

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        return name.startswith(("mine", "amq"))

    def may_topic(self, vhost: str, verb: str, exchange: str, key: str, client_id: str | None) -> bool:
        return key.startswith("a")


class Asked(User):
    """One whose rights another service says each time, when it has been asked."""

    asks_others = True
    said: bool | None = None

    def may_access(self, vhost: str) -> bool:
        return self.may(vhost, "enter", "")

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        if self.said is None:
            raise Undecided(Question())
        return self.said or verb == "enter"


def explained(core: Core, user: User, exchange: str, key: bytes = b"a") -> dict[str, Any]:
    message = Message(exchange.encode(), key, b"\0\0", b"")
    return explain_publish(
        core.vhost,
        user,
        exchange,
        message,
        backend="elsewhere",
        describe_rule=lambda rule: {},
        describe_subscriber=lambda *_: {},
    )


def verdicts(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["verdict"], row.get("backend")) for row in found["rules"]]


def test_a_token_says_itself_what_it_grants(core: Core) -> None:
    core.vhost.declare_exchange("mine", "direct")
    core.vhost.declare_exchange("yours", "direct")
    user = Scoped("ann", "", "", (), False)
    entered = ("vhost", "allows", "elsewhere")
    assert verdicts(explained(core, user, "mine")) == [entered, ("permission", "allows", "elsewhere")]
    assert verdicts(explained(core, user, "yours")) == [entered, ("permission", "refuses", "elsewhere")]
    assert not explained(core, user, "yours")["allowed"]


@pytest.mark.parametrize(("key", "verdict"), [(b"a.b", "allows"), (b"b.a", "refuses")])
def test_who_judges_topics_is_asked_about_this_one(core: Core, key: bytes, verdict: str) -> None:
    found = explained(core, Scoped("ann", "", "", (), False), "amq.topic", key)
    assert ("topic", verdict, "elsewhere") in verdicts(found)
    assert found["rules"][-1]["kind"] == "topic permission"
    assert found["allowed"] == (verdict == "allows")


@pytest.mark.parametrize("allows", [True, False])
def test_who_has_to_be_asked_is_asked(core: Core, allows: bool) -> None:
    user = Asked("ann", "", "", (), False)
    with pytest.raises(Undecided):
        explained(core, user, "amq.direct")
    user.said = allows
    found = explained(core, user, "amq.direct")
    assert verdicts(found)[-1] == ("permission", "allows" if allows else "refuses", "elsewhere")
    assert found["allowed"] == allows
