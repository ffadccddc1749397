"""Policies: queue and exchange arguments that an administrator sets by pattern, and changes while they are in use.

Owns which policy applies to what (RabbitMQ's rules: of those whose pattern matches, the one of the highest priority;
operator policies apart, and on top), what a definition may hold, and how it combines with declared arguments. Refuses
to know queues and exchanges beyond their name, kind and settings.

    declared arguments ─┐
    policy ─────────────┼─▶ settings in force: limits combine to the stricter one; of words the first named here wins
    operator policy ────┘   (an operator's word wins over both)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from broker.core import arguments as rules
from broker.core import policy_words as words
from broker.core.arguments import QueueArguments
from broker.core.errors import NotFound, PreconditionFailed
from broker.core.patterns import InvalidPatternError, Pattern

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import VirtualHost

QUEUES = "queues"
EXCHANGES = "exchanges"
APPLY_TO = ("all", QUEUES, "classic_queues", "quorum_queues", "streams", EXCHANGES)


@dataclass(frozen=True, slots=True)
class Key:
    """One word of a definition: the setting that it becomes, and what is wrong with a value."""

    setting: str
    wrong: Callable[[Any], str | None]
    is_limit: bool = False
    for_operators: bool = False


KEYS: dict[str, Key] = {
    "message-ttl": Key("message_ttl_ms", rules.wrong_ttl, True, True),
    "expires": Key("expires_ms", rules.wrong_expires, True, True),
    "max-length": Key("max_length", rules.wrong_count, True, True),
    "max-length-bytes": Key("max_length_bytes", rules.wrong_count, True, True),
    "delivery-limit": Key("delivery_limit", rules.wrong_integer, True, True),
    "consumer-timeout": Key("consumer_timeout_ms", rules.wrong_size, True),
    "overflow": Key("overflow", rules.QUEUE_CHECKS["x-overflow"], False, True),
    "dead-letter-exchange": Key("dead_letter_exchange", rules.wrong_text),
    "dead-letter-routing-key": Key("dead_letter_routing_key", rules.wrong_routing_key),
    "alternate-exchange": Key("alternate_exchange", rules.wrong_text),
}
WITHOUT_EFFECT = {
    "ha-mode", "ha-params", "ha-sync-mode", "ha-sync-batch-size", "ha-promote-on-shutdown", "ha-promote-on-failure",
    "queue-mode", "queue-version", "queue-master-locator", "queue-leader-locator", "dead-letter-strategy",
    "max-in-memory-length", "max-in-memory-bytes", "target-group-size", "federation-upstream-set",
    "federation-upstream", "initial-cluster-size", "max-age", "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
}  # fmt: skip
"""Words that RabbitMQ's definitions carry and that mean nothing for one node: accepted, kept, shown, not obeyed."""
WITHOUT_EFFECT_FOR_OPERATORS = {
    "ha-mode", "ha-params", "ha-sync-mode", "max-in-memory-length", "max-in-memory-bytes", "target-group-size",
    "queue-version", "queue-master-locator",
}  # fmt: skip
EXCHANGE_KEYS = {"alternate-exchange"}


class Policy:
    """One rule. `definition`: as it was given, by RabbitMQ's words."""

    __slots__ = ("apply_to", "definition", "matching", "name", "operator", "pattern", "priority")

    def __init__(
        self, name: str, pattern: str, definition: Mapping[str, Any], *, apply_to: str, priority: int, operator: bool
    ) -> None:
        """Raises PreconditionFailed, in words for whoever set it."""
        self.name = name
        self.pattern = pattern
        self.definition = dict(definition)
        self.apply_to = apply_to
        self.priority = priority
        self.operator = operator
        try:
            self.matching = Pattern(pattern)
        except InvalidPatternError as error:
            sentence = f"pattern should be regular expression but is invalid: {error.reason}"
            raise PreconditionFailed(words.failed(sentence)) from None
        if apply_to not in APPLY_TO:
            sentence = f"apply-to '{apply_to}' unrecognised; should be one of {', '.join(APPLY_TO)}"
            raise PreconditionFailed(words.failed(sentence))
        if abs(priority) >= 1 << 63:
            raise PreconditionFailed("Validation failed\n\npriority should be an integer of 64 bits")
        check_definition(self.definition, operator)

    def applies_to_queue(self, name: str, queue_type: str) -> bool:
        """Whether it concerns a queue."""
        return (
            self.apply_to in ("all", QUEUES, f"{queue_type}_queues")
            and bool(self.definition.keys() - EXCHANGE_KEYS)
            and self.matching.fits(name)
        )

    def applies_to_exchange(self, name: str) -> bool:
        """Whether it concerns an exchange."""
        return self.apply_to in ("all", EXCHANGES) and self.matching.fits(name)

    def value(self) -> dict[str, Any]:
        """What the store keeps."""
        return {
            "name": self.name,
            "pattern": self.pattern,
            "definition": self.definition,
            "apply_to": self.apply_to,
            "priority": self.priority,
            "operator": self.operator,
        }


def check_definition(definition: Mapping[str, Any], operator: bool) -> None:
    """Raises PreconditionFailed where a word is not known, or its value not acceptable."""
    if not definition:
        raise PreconditionFailed(words.failed("no policy provided"))
    known = {word for word, key in KEYS.items() if key.for_operators or not operator}
    unknown = sorted(definition.keys() - known - (WITHOUT_EFFECT_FOR_OPERATORS if operator else WITHOUT_EFFECT))
    if unknown:
        raise PreconditionFailed(words.failed(f"[{', '.join(unknown)}] are not recognised policy settings"))
    for word, value in definition.items():
        if word in KEYS and KEYS[word].wrong(value) is not None:
            raise PreconditionFailed(words.not_valid(word, value))


class Policies:
    """The policies and operator policies of one vhost. A change takes effect on what is there already."""

    def __init__(self, vhost: VirtualHost) -> None:
        self.vhost = vhost
        self.by_name: dict[str, Policy] = {}
        self.operator_by_name: dict[str, Policy] = {}

    def of_kind(self, operator: bool) -> dict[str, Policy]:
        """Operator policies or the others, by name."""
        return self.operator_by_name if operator else self.by_name

    def put(self, policy: Policy) -> None:
        """Add a policy, or replace the one of its name, and apply it at once, to however many queues."""
        deque(self.putting(policy), maxlen=0)

    def putting(self, policy: Policy) -> Iterator[None]:
        """The same in small steps, between which others may go on. It is kept with the open batch from the first."""
        known = self.of_kind(policy.operator).get(policy.name)
        self.of_kind(policy.operator)[policy.name] = policy
        self.vhost.put_definition(definition_kind(policy.operator), policy.name, policy.value())
        self.vhost.broker.events.tell("policy.set", vhost=self.vhost.name, **policy.value())
        return self.applying() if known is None or known.value() != policy.value() else iter(())

    def remove(self, name: str, operator: bool = False) -> None:
        """Forget a policy at once. Raises NotFound."""
        deque(self.removing(name, operator), maxlen=0)

    def removing(self, name: str, operator: bool = False) -> Iterator[None]:
        """The same in small steps. Raises NotFound."""
        self.forget(name, operator)
        return self.applying()

    def forget(self, name: str, operator: bool) -> None:
        """Without a look at what it was in force for. Raises NotFound."""
        if self.of_kind(operator).pop(name, None) is None:
            raise NotFound(f"no {definition_kind(operator)} '{name}' in vhost '{self.vhost.name}'")
        self.vhost.delete_definition(definition_kind(operator), name)
        self.vhost.broker.events.tell("policy.cleared", vhost=self.vhost.name, name=name, operator=operator)

    def clear(self) -> None:
        """The vhost goes: forget all of them."""
        for operator in (False, True):
            for name in list(self.of_kind(operator)):
                self.forget(name, operator)

    def restore(self, value: Mapping[str, Any]) -> None:
        """Take back what the store kept, before queues and exchanges come."""
        policy = Policy(
            value["name"], value["pattern"], value["definition"],
            apply_to=value["apply_to"], priority=value["priority"], operator=value["operator"],
        )  # fmt: skip
        self.of_kind(policy.operator)[policy.name] = policy

    def applying(self) -> Iterator[None]:
        """Policies have changed: every queue and exchange gets what is in force for it by then, one with each step.

        What is declared between the steps has it already; when two changes are under way, each step asks for all that
        is in force, so that the last look at a queue is a look at both.
        """
        for queue in list(self.vhost.queues.values()):
            if not queue.deleted:
                settings = self.settings(queue.name, declared_settings(queue))
                if settings != queue.settings:
                    queue.change(settings)
            yield
        for exchange in list(self.vhost.exchanges.values()):
            if not exchange.deleted:
                declared = rules.name_argument(exchange.arguments, "alternate-exchange")
                self.vhost.set_alternate(exchange, declared or self.alternate(exchange.name))
            yield

    def for_queue(self, name: str, queue_type: str, operator: bool = False) -> Policy | None:
        """The one that applies to a queue."""
        return strongest(each for each in self.of_kind(operator).values() if each.applies_to_queue(name, queue_type))

    def for_exchange(self, name: str) -> Policy | None:
        """The one that applies to an exchange."""
        return strongest(each for each in self.by_name.values() if each.applies_to_exchange(name))

    def settings(self, name: str, declared: QueueArguments) -> QueueArguments:
        """What is in force for a queue: its declared arguments and what policies add."""
        if not self.by_name and not self.operator_by_name:
            return declared
        policy = self.for_queue(name, declared.queue_type)
        operator = self.for_queue(name, declared.queue_type, operator=True)
        changes: dict[str, Any] = {}
        for each in (policy, operator):
            if each is None:
                continue
            for word, value in each.definition.items():
                key = KEYS.get(word)
                if key is None or word in EXCHANGE_KEYS:
                    continue
                current = changes.get(key.setting, getattr(declared, key.setting))
                if current is None or (each.operator and not key.is_limit):
                    changes[key.setting] = value
                elif key.is_limit:
                    changes[key.setting] = min(current, value)
        return replace(declared, **changes) if changes else declared

    def alternate(self, name: str) -> str | None:
        """The alternate exchange that a policy gives an exchange."""
        policy = self.for_exchange(name)
        return policy.definition.get("alternate-exchange") if policy is not None else None


def declared_settings(queue: Queue) -> QueueArguments:
    """A queue's arguments as they were declared, without policies."""
    return rules.queue_arguments(
        queue.name,
        queue.vhost.name,
        queue.arguments,
        durable=queue.durable,
        exclusive=queue.exclusive_owner is not None,
        auto_delete=queue.auto_delete,
    )


def definition_kind(operator: bool) -> str:
    """By what kind the store keeps it."""
    return "operator_policy" if operator else "policy"


def strongest(matching: Iterable[Policy]) -> Policy | None:
    """The one of the highest priority; of equals the first by name."""
    return min(matching, key=lambda each: (-each.priority, each.name), default=None)
