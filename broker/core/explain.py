"""What would become of a message, and why: every rule that is asked, every binding, who would get it and who would not.

Owns the account, in plain values that become JSON as they are. Refuses to publish: it reads, and changes neither a
counter nor whose turn it is. What a subscriber without a queue (an MQTT session) makes of a message its dialect says.

    rules     permission to write, topic permission, ordered rules: each with its verdict
    route     every exchange that the message comes to, in order, with the bindings that match and those that do not
    targets   who would get it, with what becomes of it there; and `others`, who would not, with the reason

Invariant: at most BINDINGS_MAX bindings are told of each exchange; what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from broker.core.access import DEFAULT_EXCHANGE_NAME, User
from broker.core.binding import EXCHANGE, QUEUE, SUBSCRIBER, Binding
from broker.core.exchange_types import DELAYED_TYPE, spares_dollar
from broker.core.shares import SHARE_PREFIX
from broker.core.topic_access import TOPICS
from broker.core.topic_rights import Fitting, TopicRights, Who, covers, fitting

if TYPE_CHECKING:
    from broker.core.exchange import Exchange
    from broker.core.message import Message
    from broker.core.queue import Queue
    from broker.core.topic_access import TopicAccess
    from broker.core.vhost import VirtualHost

REJECTING = ("reject-publish", "reject-publish-dlx")
REPLY_KEY = b"$reply-to."
"""How a key of `amq.topic` begins that is an AMQP reply address (core.exchange)."""
BINDINGS_MAX = 1_000
CONSUMERS_MAX = 100
EXCHANGES_MAX = 1_000
ALLOWS, REFUSES, SILENT, UNASKED = "allows", "refuses", "does not apply", "not asked"

Row = dict[str, Any]
Subscribers = Callable[[Any, list[Binding], bytes, "Message", str | None], Row]
"""(subscriber, its bindings that match, routing key, message, publisher's client identifier): what becomes of it."""


def explain_publish(
    vhost: VirtualHost,
    user: User,
    exchange_name: str,
    message: Message,
    *,
    client_id: str | None = None,
    backend: str = "internal",
    describe_rule: Callable[[Any], Row],
    describe_subscriber: Subscribers,
) -> Row:
    """The account of one publish. Raises NotFound for an exchange that is not there; Undecided as User.may does.

    `backend`: who says what the user may; `describe_rule`: an ordered rule (topic_rights.TopicRule) in words;
    `describe_subscriber`: see Subscribers.
    """
    exchange = vhost.exchange(exchange_name)
    rules = Rules(vhost.broker.access.topics, user, exchange, client_id, describe_rule, backend)
    asked = rules.ask(message.routing_key)
    route = Route(vhost, message, client_id, describe_subscriber)
    route.walk(exchange)
    allowed = all(row["verdict"] != REFUSES for row in asked)
    return {
        "user": user.name,
        "vhost": vhost.name,
        "exchange": exchange.name,
        "routing_key": message.routing_key.decode("utf-8", "replace"),
        "client_id": client_id,
        "allowed": allowed,
        "routed": allowed and bool(route.targets),
        "rules": asked,
        "route": route.exchanges,
        "targets": route.targets if allowed else [],
        "others": route.others if allowed else [*refused_for_all(route.targets), *route.others],
    }


def refused_for_all(targets: Iterable[Row]) -> list[Row]:
    """Who would get it, if it might be published."""
    return [{**row, "outcome": "nothing", "reason": "the message may not be published"} for row in targets]


class Rules:
    """What is asked of a publisher."""

    def __init__(
        self,
        topics: TopicAccess,
        user: User,
        exchange: Exchange,
        client_id: str | None,
        describe_rule: Callable[[Any], Row],
        backend: str,
    ) -> None:
        self.topics = topics
        self.backend = backend
        self.user = user
        self.exchange = exchange
        self.who = Who(user.name, exchange.vhost.name, exchange.name, client_id)
        self.describe_rule = describe_rule

    def ask(self, key: bytes) -> list[Row]:
        """Every rule, in the order in which they are asked."""
        vhost, name = self.who.vhost, self.exchange.name
        if not self.user.may_access(vhost):
            return [self.said("vhost", REFUSES, f"user '{self.user.name}' has no permission in vhost '{vhost}'")]
        shown = name or DEFAULT_EXCHANGE_NAME
        verdict = ALLOWS if self.user.may_write(vhost, name, "exchange") else REFUSES
        has = self.user.permissions.get(vhost)
        if has is None or self.user.asks_others:
            found = [
                self.said("vhost", ALLOWS, f"user '{self.user.name}' may enter vhost '{vhost}'"),
                self.said("permission", verdict, f"write to the exchange '{shown}'"),
            ]
        else:
            matches = "matches" if verdict == ALLOWS else "does not match"
            reason = f"write '{has.write}' {matches} the exchange '{shown}'"
            found = [self.said("permission", verdict, reason, pattern=has.write)]
        if self.exchange.internal:
            found.append(row("exchange", REFUSES, f"nobody publishes to the internal exchange '{name}'"))
        return found + self.of_topic(key)

    def said(self, kind: str, verdict: str, reason: str, **more: Any) -> Row:
        """A rule that is the backend's, which is named unless it is the store."""
        if self.backend == "internal":
            return row(kind, verdict, reason, **more)
        return row(kind, verdict, f"{reason}, says the backend {self.backend}", backend=self.backend, **more)

    def of_topic(self, key: bytes) -> list[Row]:
        """What is asked besides at a topic exchange."""
        if self.exchange.type != "topic":
            return []
        return [
            *self.others_topic(key),
            self.topic_permission(key),
            *(self.ordered(key) if self.exchange.name == TOPICS else ()),
        ]

    def others_topic(self, key: bytes) -> list[Row]:
        """What a backend says of the routing key."""
        if not self.user.judges_topics:
            return []
        text, who = key.decode("utf-8", "surrogateescape"), self.who
        allows = self.user.may_topic(who.vhost, "write", who.exchange, text, who.client_id)
        shown = key.decode("utf-8", "replace")
        return [self.said("topic", ALLOWS if allows else REFUSES, f"write with the routing key '{shown}'")]

    def topic_permission(self, key: bytes) -> Row:
        """RabbitMQ's."""
        kind = "topic permission"
        permission = self.topics.permissions.get((self.who.user, self.who.vhost), {}).get(self.exchange.name)
        if permission is None:
            return row(kind, SILENT, "the user has none at this exchange: every topic is allowed")
        rights = TopicRights(self.who, permission, (), default_allow=True)
        verdict = ALLOWS if rights.pattern_allows("write", key) else REFUSES
        matches = "matches" if verdict == ALLOWS else "does not match"
        return row(kind, verdict, f"write '{permission.write}' {matches} the routing key", pattern=permission.write)

    def ordered(self, key: bytes) -> list[Row]:
        """Each of the vhost's rules, up to the one that decides, and behind it; then the default."""
        words, decided, found = key.split(b"."), False, []
        rules = self.topics.rules_of(self.who.vhost)
        for number, rule in enumerate(rules, 1):
            mine: Fitting | None = fitting(rule, self.who, "write")
            if decided:
                verdict, reason = UNASKED, "a rule before it has decided"
            elif mine is None:
                verdict, reason = SILENT, self.why_not(rule)
            elif not covers(mine.words, words):
                verdict, reason = SILENT, "its topic filter does not match"
            else:
                decided = True
                verdict, reason = (ALLOWS if rule.allow else REFUSES), "the first rule that fits"
            found.append(row("rule", verdict, reason, number=number, rule=self.describe_rule(rule)))
        if rules or not self.topics.default_allow:
            verdict = UNASKED if decided else ALLOWS if self.topics.default_allow else REFUSES
            reason = "a rule has decided" if decided else "no rule fits: the default holds"
            found.append(row("default", verdict, reason))
        return found

    def why_not(self, rule: Any) -> str:
        """Why an ordered rule does not concern who asks."""
        if rule.user not in (None, self.who.user):
            return f"it is for user '{rule.user}'"
        if rule.verb not in ("all", "write"):
            return "it is about subscribing"
        if b"%c" in rule.key and self.who.client_id is None:
            return "it is for a client identifier, and there is none"
        return "a name with a separator or a wildcard allows nothing"


class Route:
    """Where the message comes to."""

    def __init__(
        self, vhost: VirtualHost, message: Message, client_id: str | None, describe_subscriber: Subscribers
    ) -> None:
        self.vhost = vhost
        self.message = message
        self.key: bytes = message.routing_key
        self.client_id = client_id
        self.describe_subscriber = describe_subscriber
        self.exchanges: list[Row] = []
        self.targets: list[Row] = []
        self.others: list[Row] = []
        self.reached: set[Any] = set()

    def walk(self, exchange: Exchange) -> None:
        """As Exchange.resolve does: through bindings of exchanges and alternates, each once."""
        seen, waiting = {exchange}, [(exchange, "published", "")]
        missed: dict[Any, Row] = {}
        while waiting and len(self.exchanges) < EXCHANGES_MAX:
            at, way, of = waiting.pop()
            found, bindings = self.at(at, missed)
            told: Row = {"exchange": at.name, "type": at.type, "way": way, "from": of, **bindings}
            following: list[tuple[Exchange, str]] = [
                (each, "binding") for each in found if getattr(each, "upstreams", None) is not None
            ]
            if not found and at.alternate is not None:
                alternate = self.vhost.exchanges.get(at.alternate)
                told["alternate"] = {"exchange": at.alternate, "exists": alternate is not None}
                following = [(alternate, "alternate")] if alternate is not None else []
            if at.type == DELAYED_TYPE:
                told["delays"] = True
            self.exchanges.append(told)
            for each, by in following:
                if each not in seen:
                    seen.add(each)
                    waiting.append((each, by, at.name))
        self.others.extend(told for destination, told in missed.items() if destination not in self.reached)

    def at(self, exchange: Exchange, missed: dict[Any, Row]) -> tuple[list[Any], Row]:
        """The destinations that one exchange finds, and what is told of its bindings."""
        if exchange.name == TOPICS and self.key.startswith(REPLY_KEY):
            found = self.vhost.reply_targets_of(self.key[len(REPLY_KEY) :])
            for each in found:
                self.reach(each, [])
            return found, {"bindings": [], "left_out": 0, "by_reply_address": bool(found)}
        found = list(exchange.find(self.key, self.message))
        if exchange.name == "" and exchange is self.vhost.default_exchange:
            for each in found:
                self.reach(each, [])
            return found, {"bindings": [], "left_out": 0, "by_queue_name": bool(found)}
        matching = set(exchange.trie.matches(self.key)) if hasattr(exchange, "trie") else None
        selected: dict[Any, list[Binding]] = {}
        rows: list[Row] = []
        for binding in list(exchange.bindings.values()):
            reason = self.why_not(exchange, binding, matching, found)
            if reason is None:
                selected.setdefault(binding.destination, []).append(binding)
            elif len(missed) < BINDINGS_MAX:
                missed.setdefault(binding.destination, {**named(binding), "outcome": "nothing", "reason": reason})
            if len(rows) < BINDINGS_MAX:
                rows.append(told_of(binding, reason))
        for destination, bindings in selected.items():
            if bindings[0].destination_kind != EXCHANGE:
                self.reach(destination, bindings)
        return found, {"bindings": rows, "left_out": max(0, len(exchange.bindings) - len(rows))}

    def why_not(self, exchange: Exchange, binding: Binding, matching: set[Any] | None, found: list[Any]) -> str | None:
        """None: the binding matches."""
        key = binding.key.decode("utf-8", "replace")
        if matching is not None:
            if binding not in matching:
                return f"the binding key '{key}' does not match"
            return "a leading wildcard matches no topic that begins with $" if self.spares(binding) else None
        if any(each is binding.destination for each in found):
            exact = not hasattr(exchange, "by_key") or binding.key == self.key
            return None if exact else f"the binding key '{key}' is another"
        if hasattr(exchange, "by_headers"):
            return "the headers do not match its arguments"
        if hasattr(exchange, "ring"):
            return "the hash names another destination"
        return f"the binding key '{key}' is another"

    def spares(self, binding: Binding) -> bool:
        """[MQTT-4.7.2-1]."""
        if not self.key.startswith(b"$"):
            return False
        if binding.destination_kind == SUBSCRIBER:
            return binding.key[:1] in (b"*", b"#")
        return spares_dollar(binding)

    def reach(self, destination: Any, bindings: list[Binding]) -> None:
        """Who gets it, once, however many ways lead there."""
        if destination in self.reached:
            return
        self.reached.add(destination)
        if bindings and bindings[0].destination_kind == SUBSCRIBER:
            told = self.describe_subscriber(destination, bindings, self.key, self.message, self.client_id)
        elif hasattr(destination, "consumers"):
            told = queue_row(destination, self.message)
        else:
            told = {"kind": "reply", "name": destination.name, "outcome": "delivered", "reason": "a direct reply"}
        (self.others if told["outcome"] == "nothing" else self.targets).append(told)


def row(kind: str, verdict: str, reason: str, **more: Any) -> Row:
    """One rule."""
    return {"kind": kind, "verdict": verdict, "reason": reason, **more}


def named(binding: Binding) -> Row:
    """A binding's destination."""
    kind = binding.destination_kind
    name: str = binding.destination.name
    if kind == QUEUE and name.startswith(SHARE_PREFIX):
        kind = "shared subscription"
    return {"kind": "session" if kind == SUBSCRIBER else kind, "name": name}


def told_of(binding: Binding, reason: str | None) -> Row:
    """One binding, and whether it matches."""
    return {
        "destination": named(binding),
        "binding_key": binding.key.decode("utf-8", "replace"),
        "arguments": {name: str(value) for name, value in binding.arguments.items()},
        "matches": reason is None,
        "reason": reason,
    }


def queue_row(queue: Queue, message: Message) -> Row:
    """What becomes of the message in a queue."""
    consumers = list(queue.consumers)
    outcome, reason = queue_outcome(queue, message, len(consumers))
    is_share = queue.name.startswith(SHARE_PREFIX)
    return {
        "kind": "shared subscription" if is_share else "queue",
        "name": queue.name,
        "outcome": outcome,
        "reason": reason,
        "ready": queue.ready_count,
        "consumers": len(consumers),
        "competing": [consumer_row(each) for each in consumers[:CONSUMERS_MAX]],
    }


def consumer_row(consumer: Any) -> Row:
    """One of those of whom one gets it: a consumer's tag; a session's is its client identifier."""
    return {"tag": consumer.tag, "priority": consumer.priority, "unacked": consumer.unacked}


def queue_outcome(queue: Queue, message: Message, consumers: int) -> tuple[str, str]:
    """What, and why."""
    settings = queue.settings
    full = is_full(queue, message)
    if full and settings.overflow in REJECTING:
        return "nothing", f"the queue is full ({full}), and refuses what comes"
    if full and settings.overflow == "drop-tail":
        return "nothing", f"the queue is full ({full}), and drops what comes"
    rest = f"; the queue is full ({full}), and drops its oldest" if full else ""
    if queue.drops_transient_offline and not message.is_persistent and not consumers:
        return "nothing", "QoS 0 does not wait, and no member is there"
    if consumers == 0:
        return "waits", f"behind {queue.ready_count} others, as there is no consumer{rest}"
    who = "its consumer" if consumers == 1 else f"one of its {consumers} consumers"
    if queue.ready_count:
        return "waits", f"behind {queue.ready_count} others, for {who}{rest}"
    return "delivered", f"to {who}, as soon as one has credit{rest}"


def is_full(queue: Queue, message: Message) -> str:
    """Which limit one more message would pass; empty: none."""
    settings = queue.settings
    if settings.max_length is not None and queue.ready_count + 1 > settings.max_length:
        return f"max-length {settings.max_length}"
    if settings.max_length_bytes is not None and queue.ready_bytes + len(message.body) > settings.max_length_bytes:
        return f"max-length-bytes {settings.max_length_bytes}"
    return ""
