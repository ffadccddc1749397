"""Rules about topics, kept: RabbitMQ's topic permissions of each user, and the ordered rules of each vhost.

Owns where they are in the store, their order, and who hears that they have changed. Refuses to know how a key is judged
(`core.topic_rights`) and in whose words rules are written: keys are binding keys here.

Invariants: fixed rules (the configuration's) come before those that are set while the broker runs, and do not change;
a user or a vhost that goes takes its rules with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgpack

from broker.core.carbon_copies import routing_keys
from broker.core.errors import LimitExceeded, PreconditionFailed
from broker.core.events import Events
from broker.core.other_topic_rights import OtherTopicRights
from broker.core.topic_rights import TopicPermission, TopicRights, TopicRule, Who, check_pattern
from storage.layout import Database, definition_key

if TYPE_CHECKING:
    from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.access import User

RULES_MAX = 10_000
"""Of one vhost."""
PERMISSIONS_MAX = 1_000
"""Of one user in one vhost: exchanges that have one."""
TOPICS = "amq.topic"
"""The exchange of MQTT's topics, about which the ordered rules are."""

Changed = Callable[[str | None], None]
"""Told whose rights have changed; None: anybody's may have."""


class TopicAccess:
    """Of the whole broker."""

    def __init__(self, store: Any, events: Events, on_changed: Changed) -> None:
        """Empty until `restore`."""
        self.store = store
        self.events = events
        self.on_changed = on_changed
        self.permissions: dict[tuple[str, str], dict[str, TopicPermission]] = {}
        self.rules: dict[str, list[TopicRule]] = {}
        self.fixed: list[tuple[str | None, TopicRule]] = []
        self.default_allow = True

    def restore(self, scan: Callable[[str], Iterator[dict[str, Any]]]) -> None:
        """Read everything. `scan`: all definitions of a kind."""
        for value in scan("topic_permission"):
            permission = TopicPermission(value["write"], value["read"])
            self.permissions.setdefault((value["user"], value["vhost"]), {})[value["exchange"]] = permission
        for value in scan("topic_rules"):
            self.rules[value["vhost"]] = [TopicRule(*each) for each in value["rules"]]

    def fix(self, rules: Iterable[tuple[str | None, TopicRule]], *, default_allow: bool) -> None:
        """What the configuration says: rules with their vhost (None: all), and what holds where no rule fits."""
        fixed = list(rules)
        if (fixed, default_allow) != (self.fixed, self.default_allow):
            self.fixed, self.default_allow = fixed, default_allow
            self.on_changed(None)

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rights(self, user: User, vhost: str, exchange: Any, client_id: str | None = None) -> TopicRights | None:
        """The user's rights at an exchange (core.exchange.Exchange); None where nothing is refused there."""
        if exchange.type != "topic":
            return None
        permission = self.permissions.get((user.name, vhost), {}).get(exchange.name)
        is_topics = exchange.name == TOPICS
        if (
            not user.judges_topics
            and permission is None
            and not (is_topics and (self.fixed or self.rules.get(vhost) or not self.default_allow))
        ):
            return None
        rules = self.rules_of(vhost) if is_topics else []
        who = Who(user.name, vhost, exchange.name, client_id)
        if user.judges_topics:
            return OtherTopicRights(user, who, permission, rules, default_allow=self.default_allow or not is_topics)
        found = TopicRights(who, permission, rules, default_allow=self.default_allow or not is_topics)
        return None if found.is_open else found

    def rules_of(self, vhost: str) -> list[TopicRule]:
        """All that hold in a vhost, in order."""
        return [*(rule for of, rule in self.fixed if of in (None, vhost)), *self.rules.get(vhost, ())]

    def fixed_count(self, vhost: str) -> int:
        """How many of these are the configuration's."""
        return sum(of in (None, vhost) for of, _ in self.fixed)

    # ── topic permissions ─────────────────────────────────────────────────────────────────────────────────────────────

    def set_permission(self, vhost: str, user: str, exchange: str, write: str, read: str) -> None:
        """Replace what a user may at an exchange, with the open batch. Raises PreconditionFailed, LimitExceeded."""
        check_pattern(write)
        check_pattern(read)
        found = self.permissions.setdefault((user, vhost), {})
        if exchange not in found and len(found) >= PERMISSIONS_MAX:
            raise LimitExceeded(f"user '{user}' has {PERMISSIONS_MAX} topic permissions in vhost '{vhost}' already")
        found[exchange] = TopicPermission(write, read)
        value = {"vhost": vhost, "user": user, "exchange": exchange, "write": write, "read": read}
        key = definition_key("topic_permission", vhost, user, exchange)
        self.store.put(Database.DEFINITIONS, key, msgpack.packb(value))
        self.events.tell("topic.permission.created", **value)
        self.on_changed(user)

    def clear_permission(self, vhost: str, user: str, exchange: str | None = None) -> None:
        """Forget what a user may at an exchange, or at all of the vhost's."""
        found = self.permissions.get((user, vhost), {})
        for name in [each for each in found if exchange in (None, each)]:
            del found[name]
            self.store.delete(Database.DEFINITIONS, definition_key("topic_permission", vhost, user, name))
            self.events.tell("topic.permission.deleted", vhost=vhost, user=user, exchange=name)
        if not found:
            self.permissions.pop((user, vhost), None)
        self.on_changed(user)

    def of_user(self, user: str, vhost: str | None = None) -> Iterator[tuple[str, str, TopicPermission]]:
        """(vhost, exchange, permission) of one user, in one vhost or in all."""
        for (name, of), found in list(self.permissions.items()):
            if name == user and vhost in (None, of):
                for exchange, permission in list(found.items()):
                    yield of, exchange, permission

    # ── ordered rules ─────────────────────────────────────────────────────────────────────────────────────────────────

    def set_rules(self, vhost: str, rules: Iterable[TopicRule]) -> None:
        """Replace a vhost's rules, with the open batch. Raises PreconditionFailed, LimitExceeded."""
        rules = list(rules)
        if len(rules) > RULES_MAX:
            raise LimitExceeded(f"a vhost has at most {RULES_MAX} ordered rules, got {len(rules)}")
        if any(rule.key == b"" for rule in rules):
            raise PreconditionFailed("a rule's topic filter cannot be empty")
        key = definition_key("topic_rules", vhost)
        if rules:
            self.rules[vhost] = rules
            value = {"vhost": vhost, "rules": [list(rule) for rule in rules]}
            self.store.put(Database.DEFINITIONS, key, msgpack.packb(value))
        else:
            self.rules.pop(vhost, None)
            self.store.delete(Database.DEFINITIONS, key)
        self.events.tell("topic.rules.set", vhost=vhost, count=len(rules))
        self.on_changed(None)

    # ── what goes takes its rules along ───────────────────────────────────────────────────────────────────────────────

    def forget_user(self, user: str) -> None:
        """The user is gone."""
        for name, vhost in list(self.permissions):
            if name == user:
                self.clear_permission(vhost, user)
        for vhost, rules in list(self.rules.items()):
            if any(rule.user == user for rule in rules):
                self.set_rules(vhost, [rule for rule in rules if rule.user != user])

    def forget_vhost(self, vhost: str) -> None:
        """The vhost is gone."""
        for user, of in list(self.permissions):
            if of == vhost:
                self.clear_permission(vhost, user)
        if vhost in self.rules:
            self.set_rules(vhost, [])


class TopicRightsOf:
    """One user's rights at each exchange of a vhost, found out when they are asked for."""

    __slots__ = ("found", "topics", "user", "vhost")

    def __init__(self, topics: TopicAccess, user: User | None, vhost: Any) -> None:
        """`user` None: a part of the broker, which may do everything; `vhost`: core.vhost.VirtualHost."""
        self.topics = topics
        self.user = user
        self.vhost = vhost
        self.found: dict[str, TopicRights | None] = {}

    def forget(self) -> None:
        """Something has changed."""
        self.found.clear()

    def at(self, exchange: str) -> TopicRights | None:
        """The rights at an exchange; None: every topic is allowed. Raises NotFound."""
        if self.user is None:
            return None
        if exchange not in self.found:
            if len(self.found) >= PERMISSIONS_MAX:
                self.found.clear()
            self.found[exchange] = self.topics.rights(self.user, self.vhost.name, self.vhost.exchange(exchange))
        return self.found[exchange]

    def check_publish(self, exchange: str, message: Message) -> None:
        """Raises AccessRefused unless the user may publish with its routing key, and with those of its copies."""
        rights = self.at(exchange)
        if rights is not None:
            for key in routing_keys(message):
                rights.check_write(key)

    def check_bind(self, exchange: str, key: bytes) -> None:
        """Raises AccessRefused unless the user may have all that a binding key matches."""
        rights = self.at(exchange)
        if rights is not None:
            rights.check_bind(key)
