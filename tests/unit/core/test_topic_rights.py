"""Topic permissions and ordered rules: which keys they match, who they are for, and what survives a restart."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from broker.core.access import Access, User
from broker.core.errors import AccessRefused, LimitExceeded, NotFound, PreconditionFailed
from broker.core.topic_access import RULES_MAX
from broker.core.topic_rights import ANSWERS_MAX, TopicRights, TopicRule, covers, overlaps
from tests.support.fake_store import FakeStore

TOPICS: Any = SimpleNamespace(name="amq.topic", type="topic")
EVENTS: Any = SimpleNamespace(name="events", type="topic")
DIRECT: Any = SimpleNamespace(name="amq.direct", type="direct")


class Clock:
    now_ms = 0


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def access(store: FakeStore) -> Access:
    access = Access(store, Clock())
    access.restore()
    access.add_user("ann", b"secret")
    return access


def named(user: str) -> User:
    return User(user, "", "", (), False)


def rights(access: Access, exchange: Any = TOPICS, client_id: str | None = None, user: str = "ann") -> TopicRights:
    found = access.topics.rights(named(user), "/", exchange, client_id)
    assert found is not None
    return found


def allow(key: bytes, verb: str = "all", user: str | None = None) -> TopicRule:
    return TopicRule(True, verb, key, user)


def deny(key: bytes, verb: str = "all", user: str | None = None) -> TopicRule:
    return TopicRule(False, verb, key, user)


# ── topic permissions ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_permission_nobody_has_to_ask(access):
    assert access.topics.rights(named("ann"), "/", EVENTS) is None
    access.set_topic_permission("/", "ann", "events", "^a", "^b")
    assert access.topics.rights(named("ann"), "/", TOPICS) is None
    assert access.topics.rights(named("ann"), "other", EVENTS) is None
    assert access.topics.rights(named("guest"), "/", EVENTS) is None
    assert access.topics.rights(named("ann"), "/", DIRECT) is None


def test_write_is_for_routing_keys_and_read_for_binding_keys(access):
    access.set_topic_permission("/", "ann", "events", r"^a\.", r"^b\.")
    found = rights(access, EVENTS)
    assert found.may_write(b"a.1")
    assert not found.may_write(b"b.1")
    assert found.may_bind(b"b.#")
    assert not found.may_bind(b"a.#")
    assert not found.may_bind(b"#")
    with pytest.raises(AccessRefused) as error:
        found.check_write(b"b.1")
    assert error.value.text == "access to topic 'b.1' in exchange 'events' in vhost '/' refused for user 'ann'"


def test_variables_are_text_and_no_pattern(access):
    access.add_user("a.c", b"")
    access.set_topic_permission("/", "a.c", "events", "^{username}-{vhost}$", "^x{client_id}$")
    found = rights(access, EVENTS, user="a.c")
    assert found.may_write(b"a.c-/")
    assert not found.may_write(b"abc-/")
    assert not found.may_bind(b"xanything")
    # A client identifier is MQTT's: what is a dot in a topic is a slash in its key.
    found = rights(access, EVENTS, "1.2", user="a.c")
    assert found.may_bind(b"x1/2")
    assert not found.may_bind(b"x1.2")


def test_an_empty_pattern_matches_the_empty_topic_only(access):
    access.set_topic_permission("/", "ann", "events", "", "")
    assert rights(access, EVENTS).may_write(b"")
    assert not rights(access, EVENTS).may_write(b"a")


@pytest.mark.parametrize("pattern", ["(", "{username}("])
def test_what_is_no_regular_expression_is_not_taken(access, pattern):
    with pytest.raises(PreconditionFailed):
        access.set_topic_permission("/", "ann", "events", ".*", pattern)
    assert access.topics.rights(named("ann"), "/", EVENTS) is None
    with pytest.raises(NotFound):
        access.set_topic_permission("/", "nobody", "events", ".*", ".*")


def test_they_survive_a_restart_and_go_with_their_user_and_vhost(access, store):
    access.set_topic_permission("/", "ann", "events", "^a", "^b")
    access.set_topic_permission("v", "ann", "events", "^a", "^b")
    access.topics.set_rules("/", [deny(b"a.#", "read", "ann"), allow(b"#")])
    store.commit()
    again = Access(store, Clock())
    again.restore()
    assert list(again.topics.of_user("ann")) == [("/", "events", ("^a", "^b")), ("v", "events", ("^a", "^b"))]
    assert again.topics.rules == {"/": [deny(b"a.#", "read", "ann"), allow(b"#")]}

    again.delete_vhost("v")
    assert [vhost for vhost, *_ in again.topics.of_user("ann")] == ["/"]
    again.delete_user("ann")
    assert again.topics.permissions == {}
    assert again.topics.rules == {"/": [allow(b"#")]}
    again.delete_vhost("/")
    store.commit()
    last = Access(store, Clock())
    last.restore()
    assert (last.topics.permissions, last.topics.rules) == ({}, {})


def test_whoever_listens_hears_whose_rights_have_changed(access):
    heard: list[str | None] = []
    access.listen(heard.append)
    access.set_topic_permission("/", "ann", "events", "", "")
    access.clear_topic_permission("/", "ann")
    access.topics.set_rules("/", [allow(b"#")])
    access.set_permission("/", "ann", "", "", "")
    assert heard == ["ann", "ann", None, "ann"]


def test_answers_are_remembered_within_a_bound(access):
    access.set_topic_permission("/", "ann", "events", "^a", "")
    found = rights(access, EVENTS)
    for number in range(ANSWERS_MAX + 10):
        assert found.may_write(b"a%d" % number)
    assert len(found.answers) <= ANSWERS_MAX


# ── ordered rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_rule_that_fits_decides(access):
    access.topics.set_rules("/", [deny(b"a.secret"), allow(b"a.#"), deny(b"#")])
    found = rights(access)
    assert [found.may_write(key) for key in (b"a.1", b"a.secret", b"a", b"b")] == [True, False, True, False]
    assert [found.may_subscribe(key) for key in (b"a.#", b"a.*", b"a.secret", b"#", b"b.*")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_a_filter_must_be_covered_whole_by_what_allows_it(access):
    access.topics.fix([], default_allow=False)
    access.topics.set_rules("/", [allow(b"sensors.*")])
    found = rights(access)
    assert found.may_subscribe(b"sensors.*")
    assert found.may_subscribe(b"sensors.1")
    assert not found.may_subscribe(b"sensors.#")
    assert not found.may_subscribe(b"#")


def test_what_is_denied_within_a_granted_filter_is_not_delivered_and_cannot_be_bound(access):
    access.topics.set_rules("/", [deny(b"a.secret"), deny(b"a.*.x", "write")])
    found = rights(access)
    assert found.may_subscribe(b"a.#")
    assert found.may_read(b"a.1")
    assert not found.may_read(b"a.secret")
    assert not found.may_bind(b"a.#")
    assert not found.may_bind(b"#.secret")
    assert found.may_bind(b"b.#")
    assert found.may_read(b"a.b.x")
    assert not found.may_write(b"a.b.x")


def test_rules_are_of_one_user_or_of_everybody(access):
    access.topics.set_rules("/", [deny(b"a", "all", "ann")])
    assert not rights(access).may_write(b"a")
    assert access.topics.rights(named("guest"), "/", TOPICS) is None


def test_rules_with_the_client_identifier_are_for_who_has_one(access):
    access.topics.fix([], default_allow=False)
    access.topics.set_rules("/", [allow(b"dev.%c.#"), allow(b"home.%u")])
    assert rights(access, client_id="7").may_write(b"dev.7.t")
    assert not rights(access, client_id="7").may_write(b"dev.8.t")
    assert not rights(access).may_write(b"dev.7.t")
    assert rights(access).may_write(b"home.ann")


@pytest.mark.parametrize("client_id", ["+", "#", "a/b"])
def test_an_identifier_that_is_a_filter_allows_nothing_and_is_still_denied(access, client_id):
    access.topics.fix([], default_allow=False)
    access.topics.set_rules("/", [deny(b"no.%c"), allow(b"dev.%c.t"), allow(b"no.#")])
    found = rights(access, client_id=client_id)
    assert not found.may_write(b"dev.x.t")
    assert not found.may_write(b"dev.a.b.t")
    assert not found.may_write(b"no.a.b" if "/" in client_id else b"no.x")


def test_topics_of_the_broker_are_not_matched_by_a_leading_wildcard(access):
    access.topics.fix([], default_allow=False)
    access.topics.set_rules("/", [allow(b"#")])
    assert rights(access).may_subscribe(b"#")
    assert not rights(access).may_subscribe(b"$SYS.#")
    assert not rights(access).may_read(b"$SYS.uptime")


def test_rules_of_the_configuration_come_first_and_the_default_last(access):
    access.topics.set_rules("/", [allow(b"a")])
    access.topics.fix([(None, deny(b"a")), ("other", allow(b"b"))], default_allow=True)
    assert not rights(access).may_write(b"a")
    assert access.topics.rules_of("/") == [deny(b"a"), allow(b"a")]
    assert access.topics.rules_of("other") == [deny(b"a"), allow(b"b")]
    assert (access.topics.fixed_count("/"), access.topics.fixed_count("other")) == (1, 2)


def test_permission_and_rules_must_both_agree(access):
    access.set_topic_permission("/", "ann", "amq.topic", "^a", "^a")
    access.topics.set_rules("/", [deny(b"a.secret")])
    found = rights(access)
    assert [found.may_write(key) for key in (b"a.1", b"a.secret", b"b")] == [True, False, False]


def test_rules_are_bounded(access):
    with pytest.raises(LimitExceeded):
        access.topics.set_rules("/", [allow(b"#")] * (RULES_MAX + 1))
    with pytest.raises(PreconditionFailed):
        access.topics.set_rules("/", [allow(b"")])
    assert access.topics.rules == {}


WORDS = (b"a", b"b")
TOPIC_NAMES = [list(words) for size in (1, 2, 3) for words in product(WORDS, repeat=size)]


def filters() -> list[list[bytes]]:
    found = [list(words) for size in (1, 2) for words in product((*WORDS, b"*"), repeat=size)]
    return [*found, [b"#"], *([*words, b"#"] for words in found)]


def matched(pattern: list[bytes]) -> set[tuple[bytes, ...]]:
    """By the slow and obvious way, of TOPIC_NAMES."""

    def matches(pattern: list[bytes], topic: list[bytes]) -> bool:
        if not pattern:
            return not topic
        if pattern[0] == b"#":
            return True
        return bool(topic) and pattern[0] in (b"*", topic[0]) and matches(pattern[1:], topic[1:])

    return {tuple(topic) for topic in TOPIC_NAMES if matches(pattern, topic)}


def test_covering_and_overlapping_are_what_matching_every_topic_says() -> None:
    # Topics are a finite sample: `*.#` matches all of it as `#` does, and is not said to.
    for rule, asked in product(filters(), filters()):
        both = matched(rule) & matched(asked)
        assert overlaps(rule, asked) == bool(both), (rule, asked)
        if covers(rule, asked):
            assert matched(asked) <= matched(rule), (rule, asked)
        elif asked != [b"#"]:
            assert not matched(asked) <= matched(rule), (rule, asked)


# ── users whom others judge ───────────────────────────────────────────────────────────────────────────────────────────


class Judged(User):
    """Others say what this user may by topic."""

    judges_topics = True

    def __init__(self, name: str, *allowed: tuple[str, str]) -> None:
        super().__init__(name, "", "", (), False)
        self.allowed = allowed
        self.asked: list[tuple[Any, ...]] = []

    def may_topic(self, *asked: Any) -> bool:
        self.asked.append(asked)
        return (asked[1], asked[3]) in self.allowed


def test_others_and_our_rules_must_agree(access):
    access.topics.set_rules("/", [deny(b"b"), allow(b"#")])
    user = Judged("zoe", ("write", "a"), ("write", "b"), ("read", "a"), ("read", "b"))
    found = access.topics.rights(user, "/", TOPICS, "device")

    assert [found.may_write(key) for key in (b"a", b"b", b"c")] == [True, False, False]
    assert [found.may_subscribe(key) for key in (b"a", b"b", b"c")] == [True, False, False]
    assert [found.may_bind(key) for key in (b"a", b"b", b"c")] == [True, False, False]
    assert ("/", "write", "amq.topic", "a", "device") in user.asked


def test_others_are_asked_at_every_topic_exchange_and_nowhere_else(access):
    user = Judged("zoe")

    assert not access.topics.rights(user, "/", EVENTS).may_write(b"a")
    assert access.topics.rights(user, "/", DIRECT) is None


def test_others_are_not_asked_about_each_delivery(access):
    user = Judged("zoe")

    assert access.topics.rights(user, "/", TOPICS).may_read(b"a")
    assert user.asked == []


@pytest.mark.parametrize(("asks_others", "count"), [(False, 1), (True, 3)])
def test_an_answer_is_remembered_unless_others_remember_it_themselves(access, asks_others, count):
    user = Judged("zoe", ("write", "a"))
    user.asks_others = asks_others
    found = access.topics.rights(user, "/", TOPICS)

    assert all(found.may_write(b"a") for _ in range(3))
    assert len(user.asked) == count
