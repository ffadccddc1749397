"""The optional arguments of declarations and consumers: what is acceptable, and what two declarations must agree on.

Owns the x-arguments' names, their validation with RabbitMQ's own error texts (clients' tests compare them), and their
typed form. Refuses to know queues and exchanges: it sees names, flags and tables.

Integers are told apart as Python can: one that fits into 32 bits is called signedint in a text, else long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.core.errors import NotImplementedHere, PreconditionFailed, ResourceLocked
from broker.core.properties import Long, Timestamp, encode_table

CLASSIC = "classic"
QUORUM = "quorum"
STREAM = "stream"
QUEUE_TYPES = (CLASSIC, QUORUM, STREAM)
OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx", "drop-tail")
"""RabbitMQ's, and `drop-tail`: the newest is dropped and its publisher told "yes", as MQTT brokers do."""
QUORUM_DELIVERY_LIMIT = 20
DELIVERY_LIMIT_MAX = 65_535
"""Deliveries are counted in 16 bits: what is larger is no limit either."""
ROUTING_KEY_BYTES_MAX = 255
"""A routing key is a shortstr wherever it is delivered (AMQP 0-9-1 §4.2.5.3)."""
PRIORITY_MAX = 255
EXPIRY_MS_MAX = 315_360_000_000
"""Ten years: RabbitMQ's limit."""
CONSUMER_PRIORITY_MAX = 2**31 - 1

COMMON_QUEUE_ARGUMENTS = {
    "x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length",
    "x-max-length-bytes", "x-overflow", "x-single-active-consumer", "x-queue-type", "x-queue-leader-locator",
    "x-consumer-timeout",
}  # fmt: skip
QUEUE_ARGUMENTS = {
    CLASSIC: COMMON_QUEUE_ARGUMENTS
    | {"x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator", "x-delivery-limit"},
    QUORUM: COMMON_QUEUE_ARGUMENTS
    | {
        "x-dead-letter-strategy", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-quorum-initial-group-size",
        "x-delivery-limit",
    },
    STREAM: {
        "x-max-length-bytes", "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size",
        "x-queue-leader-locator",
    },
}  # fmt: skip
CONSUME_ARGUMENTS = {
    CLASSIC: {"x-cancel-on-ha-failover", "x-priority", "x-credit"},
    QUORUM: {"x-priority", "x-credit"},
    STREAM: {"x-stream-offset", "x-credit"},
}
EXCHANGE_ARGUMENTS = ("alternate-exchange",)
"""What two declarations of an exchange are compared by, as in RabbitMQ."""


@dataclass(slots=True, frozen=True)
class QueueArguments:
    """A queue's arguments, typed. None: not given, unlimited."""

    queue_type: str = CLASSIC
    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: str | None = None
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int | None = None
    single_active_consumer: bool = False
    delivery_limit: int | None = None
    consumer_timeout_ms: int | None = None


@dataclass(slots=True, frozen=True)
class ConsumeArguments:
    """A consumer's arguments, typed."""

    priority: int = 0


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def type_name(value: object) -> str:
    """RabbitMQ's name of the field type that carries `value`."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Timestamp):
        return "timestamp"
    if isinstance(value, int):
        return "signedint" if -(2**31) <= value < 2**31 and not isinstance(value, Long) else "long"
    if isinstance(value, float):
        return "double"
    if isinstance(value, bytearray):
        return "binary"
    if isinstance(value, str | bytes):
        return "longstr"
    if isinstance(value, Mapping):
        return "table"
    if isinstance(value, list | tuple):
        return "array"
    return "decimal" if isinstance(value, Decimal) else "void"


def type_class(value: object) -> str:
    """Field types that may stand for each other have one class."""
    name = type_name(value)
    return "int" if name in ("signedint", "long", "decimal") else name


def shown(value: object) -> str:
    """A value as RabbitMQ writes it in its texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "undefined" if value is None else str(value)


def queue_text(name: str, vhost: str) -> str:
    """How an error names a queue."""
    return f"queue '{name}' in vhost '{vhost}'"


def exchange_text(name: str, vhost: str) -> str:
    """How an error names an exchange."""
    return f"exchange '{name}' in vhost '{vhost}'"


# ── one argument's value: None, or what is wrong with it ──────────────────────────────────────────────────────────────


def wrong_integer(value: object) -> str | None:
    """Any integer of 64 bits. AMQP has no other; in JSON it may have any size."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return f"{{value_too_large,{value}}}"
    if type_class(value) == "int" and not isinstance(value, Decimal):
        return None
    return f'"expected integer, got {type_name(value)}"'


def wrong_count(value: Any) -> str | None:
    """An integer, 0 or more."""
    return wrong_integer(value) or (f"{{value_negative,{value}}}" if value < 0 else None)


def wrong_size(value: Any) -> str | None:
    """An integer, 1 or more."""
    return wrong_count(value) or ("{value_zero,0}" if value == 0 else None)


def wrong_ttl(value: Any) -> str | None:
    """Milliseconds from 0 to ten years."""
    return wrong_count(value) or (f"{{value_too_large,{value}}}" if value > EXPIRY_MS_MAX else None)


def wrong_expires(value: Any) -> str | None:
    """Milliseconds from 1 to ten years."""
    return wrong_integer(value) or ("{value_zero,0}" if value == 0 else wrong_ttl(value))


def wrong_priority(value: Any) -> str | None:
    """0 to 255."""
    return wrong_count(value) or (f"{{max_value_exceeded,{value}}}" if value > PRIORITY_MAX else None)


def wrong_bool(value: object) -> str | None:
    """A truth value."""
    return None if isinstance(value, bool) else f"{{unacceptable_type,{type_name(value)}}}"


def wrong_text(value: object) -> str | None:
    """Any text."""
    return None if isinstance(value, str | bytes) else f"{{unacceptable_type,{type_name(value)}}}"


def wrong_routing_key(value: Any) -> str | None:
    """Text that fits into a shortstr."""
    if (wrong := wrong_text(value)) is not None:
        return wrong
    size = len(value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape"))
    return f"{{too_long,{size}}}" if size > ROUTING_KEY_BYTES_MAX else None


def wrong_version(value: Any) -> str | None:
    """A version of classic queues: accepted, and without effect here."""
    return wrong_count(value) or (None if value in (1, 2) else f"\"unsupported queue version '{value}'\"")


def one_of(words: tuple[str, ...], otherwise: str) -> Callable[[object], str | None]:
    """One of `words`; `otherwise` may name the {value}."""

    def wrong(value: object) -> str | None:
        return wrong_text(value) or (None if value in words else otherwise.format(value=shown(value)))

    return wrong


wrong_queue_type = one_of(QUEUE_TYPES, "\"unsupported queue type '{value}'\"")

# In RabbitMQ's order: where several arguments are wrong, clients see the first of these.
QUEUE_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "x-expires": wrong_expires,
    "x-message-ttl": wrong_ttl,
    "x-dead-letter-exchange": wrong_text,
    "x-dead-letter-routing-key": wrong_routing_key,
    "x-dead-letter-strategy": one_of(("at-most-once", "at-least-once"), "invalid_dlx_strategy"),
    "x-max-length": wrong_count,
    "x-max-length-bytes": wrong_count,
    "x-max-in-memory-length": wrong_count,
    "x-max-in-memory-bytes": wrong_count,
    "x-max-priority": wrong_priority,
    "x-overflow": one_of(OVERFLOWS, "invalid_overflow"),
    "x-queue-mode": one_of(("default", "lazy"), "\"unsupported queue mode '{value}'\""),
    "x-queue-version": wrong_version,
    "x-single-active-consumer": wrong_bool,
    "x-quorum-initial-group-size": wrong_size,
    "x-queue-leader-locator": one_of(
        ("client-local", "balanced", "random", "least-leaders"), "invalid_queue_locator_arg"
    ),
    "x-delivery-limit": wrong_integer,
    "x-consumer-timeout": wrong_size,
}
CONSUME_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "x-priority": wrong_integer,
    "x-cancel-on-ha-failover": wrong_bool,
}


# ── declarations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def check_values(
    checks: Mapping[str, Callable[[Any], str | None]], known: set[str], arguments: Mapping[str, Any], resource: str
) -> None:
    """Raise PreconditionFailed for the first argument whose value is not acceptable."""
    for name, check in checks.items():
        if name in arguments and name in known:
            wrong = check(arguments[name])
            if wrong is None and name == "x-dead-letter-routing-key" and "x-dead-letter-exchange" not in arguments:
                wrong = "routing_key_but_no_dlx_defined"
            if wrong is not None:
                raise PreconditionFailed(f"invalid arg '{name}' for {resource}: {wrong}")


def check_names(by_type: Mapping[str, set[str]], queue_type: str, arguments: Mapping[str, Any], resource: str) -> None:
    """Raise PreconditionFailed for an argument that only other types of queue know. What none knows is let pass."""
    elsewhere = set().union(*by_type.values()) - by_type[queue_type]
    for name in arguments:
        if name in elsewhere:
            raise PreconditionFailed(f"invalid arg '{name}' for {resource} of queue type rabbit_{queue_type}_queue")


def queue_arguments(
    name: str,
    vhost: str,
    arguments: Mapping[str, Any],
    *,
    durable: bool = True,
    exclusive: bool = False,
    auto_delete: bool = False,
) -> QueueArguments:
    """The typed arguments of a new queue. Raises PreconditionFailed; NotImplementedHere for a stream; TableError."""
    resource = queue_text(name, vhost)
    encode_table(arguments)  # what comes from JSON may be more than a field table can carry
    if "x-dead-letter-exchange" in arguments and wrong_text(arguments["x-dead-letter-exchange"]):
        kind = type_name(arguments["x-dead-letter-exchange"])
        raise PreconditionFailed(f"invalid type '{kind}' for arg 'x-dead-letter-exchange' in {resource}")
    wrong = wrong_queue_type(arguments["x-queue-type"]) if "x-queue-type" in arguments else None
    if wrong is not None:
        raise PreconditionFailed(f"invalid arg 'x-queue-type' for {resource}: {wrong}")
    queue_type = arguments.get("x-queue-type", CLASSIC)
    if queue_type == STREAM:
        raise NotImplementedHere(f"{resource} cannot be declared: queues of type 'stream' are not supported")
    check_values(QUEUE_CHECKS, QUEUE_ARGUMENTS[queue_type], arguments, resource)
    check_names(QUEUE_ARGUMENTS, queue_type, arguments, resource)
    if queue_type == QUORUM:
        check_quorum(resource, durable=durable, exclusive=exclusive, auto_delete=auto_delete)
    return QueueArguments(
        queue_type=queue_type,
        message_ttl_ms=arguments.get("x-message-ttl"),
        expires_ms=arguments.get("x-expires"),
        max_length=arguments.get("x-max-length"),
        max_length_bytes=arguments.get("x-max-length-bytes"),
        overflow=arguments.get("x-overflow"),
        dead_letter_exchange=name_argument(arguments, "x-dead-letter-exchange"),
        dead_letter_routing_key=name_argument(arguments, "x-dead-letter-routing-key"),
        max_priority=arguments.get("x-max-priority"),
        single_active_consumer=arguments.get("x-single-active-consumer", False),
        delivery_limit=delivery_limit(queue_type, arguments),
        consumer_timeout_ms=arguments.get("x-consumer-timeout"),
    )


def wrong_expiration(text: str) -> str:
    """What is wrong with a message's expiration property that is no number of milliseconds, in RabbitMQ's words."""
    digits = re.match(r"[+-]?[0-9]+", text)
    if digits is None:
        return "no_integer"
    if digits.end() < len(text):
        return f'{{leftover_string,"{text[digits.end() :]}"}}'
    return wrong_ttl(int(text)) or "no_integer"


def name_argument(arguments: Mapping[str, Any], name: str) -> str | None:
    """A name as str, whatever its bytes."""
    value = arguments.get(name)
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def delivery_limit(queue_type: str, arguments: Mapping[str, Any]) -> int | None:
    """How often a message may come back; a negative limit means none, as in RabbitMQ 4."""
    limit: int | None = arguments.get("x-delivery-limit", QUORUM_DELIVERY_LIMIT if queue_type == QUORUM else None)
    return min(limit, DELIVERY_LIMIT_MAX) if limit is not None and limit >= 0 else None


def check_quorum(resource: str, *, durable: bool, exclusive: bool, auto_delete: bool) -> None:
    """A quorum queue is durable and belongs to nobody. Raises PreconditionFailed."""
    if auto_delete:
        raise PreconditionFailed(f"invalid property 'auto-delete' for {resource}")
    if exclusive:
        raise PreconditionFailed(f"invalid property 'exclusive-owner' for {resource}")
    if not durable:
        raise PreconditionFailed(f"invalid property 'non-durable' for {resource}")


def check_exchange_arguments(name: str, vhost: str, arguments: Mapping[str, Any]) -> None:
    """Raise PreconditionFailed for an exchange's arguments that are not acceptable."""
    alternate = arguments.get("alternate-exchange", "")
    if wrong_text(alternate):
        resource = exchange_text(name, vhost)
        raise PreconditionFailed(f"invalid type '{type_name(alternate)}' for arg 'alternate-exchange' in {resource}")


def consume_arguments(
    queue_name: str, vhost: str, arguments: Mapping[str, Any], queue_type: str = CLASSIC
) -> ConsumeArguments:
    """The typed arguments of a consumer. Raises PreconditionFailed."""
    resource = queue_text(queue_name, vhost)
    check_values(CONSUME_CHECKS, CONSUME_ARGUMENTS[queue_type], arguments, resource)
    check_names(CONSUME_ARGUMENTS, queue_type, arguments, resource)
    priority = int(arguments.get("x-priority", 0))
    return ConsumeArguments(max(-CONSUMER_PRIORITY_MAX, min(priority, CONSUMER_PRIORITY_MAX)))


# ── equivalence of two declarations (AMQP 0-9-1 §1.6.2.1, §1.7.2.1) ───────────────────────────────────────────────────


def check_field(name: str, resource: str, current: object, received: object) -> None:
    """Raise PreconditionFailed where a plain field differs."""
    if current != received:
        raise PreconditionFailed(
            f"inequivalent arg '{name}' for {resource}: received '{shown(received)}' but current is '{shown(current)}'"
        )


def check_table_field(name: str, resource: str, current: Mapping[str, Any], received: Mapping[str, Any]) -> None:
    """Raise PreconditionFailed where one argument differs; integers of different size may be equal."""
    if name in current and name in received:
        if type_class(current[name]) != type_class(received[name]) or current[name] != received[name]:
            raise PreconditionFailed(
                f"inequivalent arg '{name}' for {resource}: "
                f"received '{shown(received[name])}' but current is '{shown(current[name])}'"
            )
        return
    present = current if name in current else received
    if name not in present or (name == "x-queue-type" and present[name] == CLASSIC):
        return
    raise PreconditionFailed(
        f"inequivalent arg '{name}' for {resource}: "
        f"received {typed_text(received, name)} but current is {typed_text(current, name)}"
    )


def typed_text(arguments: Mapping[str, Any], name: str) -> str:
    """One side of an inequivalence, where the other has nothing."""
    if name not in arguments:
        return "none"
    return f"the value '{shown(arguments[name])}' of type '{type_name(arguments[name])}'"


def check_queue_equivalence(
    existing: Any, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any], vhost: str
) -> None:
    """Raise PreconditionFailed or ResourceLocked where a declaration differs from the queue that exists.

    `existing` has `name`, `durable`, `auto_delete`, `exclusive_owner`, `arguments` and `settings`.
    """
    resource = queue_text(existing.name, vhost)
    if exclusive != (existing.exclusive_owner is not None):
        raise ResourceLocked(
            f"cannot obtain exclusive access to locked {resource}. It could be originally declared on another "
            "connection or the exclusive property value does not match that of the original declaration."
        )
    check_field("durable", resource, existing.durable, durable)
    check_field("auto_delete", resource, existing.auto_delete, auto_delete)
    for name in sorted(QUEUE_ARGUMENTS[existing.settings.queue_type]):
        check_table_field(name, resource, existing.arguments, arguments)


def check_exchange_equivalence(
    existing: Any,
    type_name: str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Mapping[str, Any],
    vhost: str,
) -> None:
    """Raise PreconditionFailed where a declaration differs from the exchange that exists.

    `existing` has `name`, `type`, `durable`, `auto_delete`, `internal` and `arguments`.
    """
    resource = exchange_text(existing.name, vhost)
    check_field("type", resource, existing.type, type_name)
    check_field("durable", resource, existing.durable, durable)
    check_field("auto_delete", resource, existing.auto_delete, auto_delete)
    check_field("internal", resource, existing.internal, internal)
    for name in EXCHANGE_ARGUMENTS:
        check_table_field(name, resource, existing.arguments, arguments)
