"""May this user publish to, or read, this topic? One user's answers at one exchange, kept while nothing changes.

Owns the judgement of a routing key or a binding key. Two kinds of rule are asked, and both must agree: RabbitMQ's topic
permission (two regular expressions over the key, for a user, vhost and exchange), and on `amq.topic` the ordered rules
of the vhost (MQTT's ACLs: the first that fits decides). Refuses to know where either is kept: `core.topic_access`
makes a TopicRights, and only where there is a rule to ask; where there is none, nothing is asked per message.

    may_write(routing_key)      a publish
    may_read(routing_key)       a message on its way to a subscriber: what an ordered rule denies is left out
    may_subscribe(binding_key)  by whom `may_read` is asked afterwards: a rule must cover the whole key
    may_bind(binding_key)       by whom nobody is asked afterwards: besides, no denied topic may be among its matches

Invariant: answers are remembered for at most ANSWERS_MAX keys; whoever holds one drops it when rights change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from broker.core.errors import AccessRefused
from broker.core.patterns import FOR_NOTHING, InvalidPatternError, Pattern

ANSWERS_MAX = 4096
WILDCARDS = (b"*", b"#")
VARIABLE = re.compile(r"\{(username|vhost|client_id)\}")
SWAP = bytes.maketrans(b"/.+*", b"./*+")
"""MQTT's separators and wildcards are the key's (docs/architecture.md): names are put into keys as topics are."""
TEXT_SWAP = str.maketrans("/.+*", "./*+")


class TopicPermission(NamedTuple):
    """What one user may at one exchange: regular expressions over keys; {username}, {vhost}, {client_id} stand for
    what they say, literally."""

    write: str
    read: str


class TopicRule(NamedTuple):
    """One ordered rule. `key` is a binding key whose `#` is its last word; %c is the client identifier, %u the user."""

    allow: bool
    verb: str
    """write, read, or all."""
    key: bytes
    user: str | None
    """None: it is for everybody."""


class Who(NamedTuple):
    """Whose rights they are. `client_id`: None where the protocol has none."""

    user: str
    vhost: str
    exchange: str
    client_id: str | None


class Fitting(NamedTuple):
    """An ordered rule that concerns somebody, in words."""

    rule: TopicRule
    words: list[bytes]


def check_pattern(pattern: str) -> None:
    """Raises InvalidPatternError."""
    Pattern(VARIABLE.sub("x", pattern))


def compiled(pattern: str, who: Who) -> Pattern:
    """A topic permission's pattern for somebody. What a variable stands for is text, not a pattern."""
    values = {"username": who.user, "vhost": who.vhost, "client_id": who.client_id}

    def value(found: re.Match[str]) -> str:
        text = values[found.group(1)]
        if text is None:
            return re.escape(found.group())
        if who.client_id is not None:
            text = text.translate(TEXT_SWAP)
        return re.escape(text)

    try:
        return Pattern(VARIABLE.sub(value, pattern) or "^$")
    except InvalidPatternError:  # a name that is too long for it
        return Pattern(FOR_NOTHING)


def fitting(rule: TopicRule, who: Who, verb: str) -> Fitting | None:
    """The rule as it is for somebody; None where it does not concern them.

    A name with a separator or a wildcard in it would let its bearer write a rule of its own: nothing is allowed by it.
    """
    if rule.user not in (None, who.user) or rule.verb not in ("all", verb):
        return None
    key = rule.key
    for place, name in ((b"%c", who.client_id), (b"%u", who.user)):
        if place not in key:
            continue
        if name is None:
            return None
        value = name.encode("utf-8", "surrogateescape").translate(SWAP)
        if rule.allow and any(each in value for each in (b".", b"*", b"#")):
            return None
        key = key.replace(place, value)
    return Fitting(rule, key.split(b"."))


def covers(rule: list[bytes], asked: list[bytes]) -> bool:
    """True where every topic that `asked` matches is matched by `rule`, whose `#` is its last word."""
    if asked[0].startswith(b"$") and rule[0] in WILDCARDS:  # [MQTT-4.7.2-1]
        return False
    for at, word in enumerate(rule):
        if word == b"#":
            return True
        if at >= len(asked) or asked[at] == b"#":
            return False
        if word not in (b"*", asked[at]):
            return False
    return len(asked) == len(rule)


def overlaps(rule: list[bytes], asked: list[bytes]) -> bool:
    """True where some topic is matched by both; where `asked` has `#` in its midst it may say so of none."""
    for one, other in ((rule, asked), (asked, rule)):
        if one[0].startswith(b"$") and other[0] in WILDCARDS:  # [MQTT-4.7.2-1]
            return False
    for at in range(max(len(rule), len(asked)) + 1):
        mine = rule[at] if at < len(rule) else None
        theirs = asked[at] if at < len(asked) else None
        if b"#" in (mine, theirs):
            return True
        if mine is None or theirs is None:
            return mine is theirs
        if mine != theirs and b"*" not in (mine, theirs):
            return False
    return True


class TopicRights:
    """Of one user at one topic exchange."""

    __slots__ = ("answers", "default_allow", "ordered", "patterns", "permission", "who")

    def __init__(
        self, who: Who, permission: TopicPermission | None, rules: Iterable[TopicRule], *, default_allow: bool
    ) -> None:
        """`rules`: those of the vhost, in order; `default_allow`: what holds where none of them fits."""
        self.who = who
        self.permission = permission
        self.default_allow = default_allow
        self.patterns: dict[str, Pattern] = {}
        if permission is not None:
            self.patterns = {"write": compiled(permission.write, who), "read": compiled(permission.read, who)}
        rules = tuple(rules)
        self.ordered: dict[str, list[Fitting]] = {
            verb: [found for rule in rules if (found := fitting(rule, who, verb)) is not None]
            for verb in ("write", "read")
        }
        self.answers: dict[tuple[str, bytes], bool] = {}

    @property
    def is_open(self) -> bool:
        """Nothing is refused: nobody need ask."""
        return not self.patterns and self.default_allow and not self.ordered["write"] and not self.ordered["read"]

    def may_write(self, key: bytes) -> bool:
        """May a message with this routing key be published?"""
        return self.answer("write", key)

    def may_read(self, key: bytes) -> bool:
        """May a message with this routing key be delivered to a subscription that was granted?"""
        return self.answer("deliver", key)

    def answer(self, question: str, key: bytes) -> bool:
        """What was answered before, or is found out now."""
        known = self.answers.get((question, key))
        if known is None:
            verb = "write" if question == "write" else "read"
            known = self.first_rule_allows(verb, key) and (question == "deliver" or self.pattern_allows(verb, key))
            if len(self.answers) >= ANSWERS_MAX:
                self.answers.clear()
            self.answers[question, key] = known
        return known

    def may_subscribe(self, key: bytes) -> bool:
        """May all that this binding key matches be subscribed to, where each delivery is asked about?"""
        return self.pattern_allows("read", key) and self.first_rule_allows("read", key)

    def may_bind(self, key: bytes) -> bool:
        """The same, where nobody asks afterwards: a denied topic among the matches refuses all of them."""
        if not self.pattern_allows("read", key):
            return False
        asked = key.split(b".")
        for found in self.ordered["read"]:
            if not found.rule.allow and overlaps(found.words, asked):
                return False
            if covers(found.words, asked):
                return True
        return self.default_allow

    def pattern_allows(self, verb: str, key: bytes) -> bool:
        """What the topic permission says, if there is one. The pattern may match anywhere in the key, as RabbitMQ's."""
        pattern = self.patterns.get(verb)
        return pattern is None or pattern.fits(key.decode("utf-8", "surrogateescape"))

    def first_rule_allows(self, verb: str, key: bytes) -> bool:
        """What the first of the ordered rules says that covers the key."""
        found = self.first_rule(verb, key)
        return self.default_allow if found is None else found.rule.allow

    def first_rule(self, verb: str, key: bytes) -> Fitting | None:
        """The rule that decides; None: the default does."""
        asked = key.split(b".")
        return next((each for each in self.ordered[verb] if covers(each.words, asked)), None)

    def refusal(self, key: bytes) -> AccessRefused:
        """RabbitMQ's words for it."""
        text = key.decode("utf-8", "replace")
        who = self.who
        place = f"exchange '{who.exchange}' in vhost '{who.vhost}'"
        return AccessRefused(f"access to topic '{text}' in {place} refused for user '{who.user}'")

    def check_write(self, key: bytes) -> None:
        """Raises AccessRefused."""
        if not self.may_write(key):
            raise self.refusal(key)

    def check_bind(self, key: bytes) -> None:
        """Raises AccessRefused."""
        if not self.may_bind(key):
            raise self.refusal(key)
