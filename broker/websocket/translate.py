"""Between the native dialect's words and the core's: topics, properties, errors. The only file that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.client import (
    TOPICS,
    AccessRefused,
    BlockedError,
    CoreError,
    InvalidPath,
    LimitExceeded,
    NotAccepted,
    NotFound,
    NotImplementedHere,
    PreconditionFailed,
    Received,
    ResourceLocked,
    TableError,
)
from broker.websocket.messages import Message, Properties, Publish

CODES: dict[type[CoreError], str] = {
    NotFound: "not_found",
    InvalidPath: "not_found",
    AccessRefused: "refused",
    PreconditionFailed: "conflict",
    ResourceLocked: "locked",
    NotImplementedHere: "not_implemented",
    TableError: "invalid",
    BlockedError: "unavailable",
    LimitExceeded: "limit",
    NotAccepted: "not_accepted",
}

SWAP = bytes.maketrans(b"/.+*", b"./*+")
"""MQTT's separators and wildcards are AMQP's, and AMQP's are letters to MQTT: reversible (docs/architecture.md)."""
TOPIC_BYTES_MAX = 65_535
PERSISTENT = 2


def error_code(error: CoreError) -> str:
    """The dialect's word for a refusal of the core."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), "failed")


def topic_key(topic: str) -> bytes:
    """The routing key of a topic name (MQTT 5.0 §4.7). ValueError."""
    octets = _octets(topic, "topic")
    if "+" in topic or "#" in topic:
        raise ValueError("a topic to publish to has no wildcards")
    return octets.translate(SWAP)


def filter_key(topic: str) -> bytes:
    """The binding key of a topic filter (MQTT 5.0 §4.7.1). ValueError."""
    octets = _octets(topic, "topic filter")
    levels = topic.split("/")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        raise ValueError("the wildcard # is a level of its own, and the last one")
    if any("+" in level and level != "+" for level in levels):
        raise ValueError("the wildcard + is a level of its own")
    return octets.translate(SWAP)


def topic_of(routing_key: bytes) -> str:
    """The topic name of a routing key."""
    return routing_key.translate(SWAP).decode(errors="replace")


def _octets(topic: str, what: str) -> bytes:
    octets = topic.encode()
    if not octets or len(octets) > TOPIC_BYTES_MAX or b"\0" in octets:
        raise ValueError(f"a {what} has 1 to {TOPIC_BYTES_MAX} octets, and none of them is 0")
    return octets


def destination(request: Publish) -> tuple[str, bytes]:
    """Exchange and routing key of a publication. ValueError."""
    named = [each for each in (request.topic, request.queue, request.exchange) if each is not None]
    if len(named) != 1:
        raise ValueError("expected one of topic, queue, exchange")
    if request.topic is not None:
        return TOPICS, topic_key(request.topic)
    if request.queue is not None:
        return "", request.queue.encode()
    assert request.exchange is not None
    return request.exchange, request.routing_key.encode()


def body_of(request: Publish) -> bytes:
    """The octets of a publication's body. ValueError."""
    if request.body is not None and request.octets is not None:
        raise ValueError("expected one of body, octets")
    return request.octets if request.octets is not None else (request.body or "").encode()


def core_properties(properties: Properties | None, *, persistent: bool) -> dict[str, object]:
    """A publication's properties in the core's words, which are AMQP's."""
    found: dict[str, object] = {"delivery_mode": PERSISTENT} if persistent else {}
    if properties is None:
        return found
    for name in properties.__struct_fields__:
        value = getattr(properties, name)
        if value is None:
            continue
        if name == "expiration_ms":
            found["expiration"] = str(value)
        else:
            found[name] = value
    return found


def delivered(
    received: Received, *, subscription: str | int, tag: int | None, octets: bool, retained: bool = False
) -> Message:
    """A delivery as the subscriber reads it."""
    message = received.message
    exchange, key, body = message.exchange.decode(), message.routing_key, message.body
    answer = Message(
        id=subscription,
        tag=tag,
        properties=_native_properties(message.properties) or None,
        persistent=message.is_persistent,
        redelivered=received.redelivered,
        retained=retained,
    )
    if exchange == TOPICS:
        answer.topic = topic_of(key)
    else:
        answer.exchange = exchange
        answer.routing_key = key.decode(errors="replace")
    if octets:
        answer.octets = body
    else:
        try:
            answer.body = body.decode()
        except UnicodeDecodeError:
            answer.octets = body
    return answer


def _native_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in properties.items() if name not in ("delivery_mode", "expiration")}
    if "expiration" in properties:
        found["expiration_ms"] = int(properties["expiration"])
    return found
