"""What a session makes of a message, for people: the same judgement as `session`, without a delivery.

Owns the reasons in MQTT's terms. Refuses to know how the message came to the session (`core.explain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.explain import queue_outcome
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.mqtt.naming import is_topic_key
from broker.mqtt.topics import check_topic_name
from broker.mqtt.translate import swapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.core.binding import Binding
    from broker.mqtt.session import Session

TRANSIENT, PERSISTENT = 1, 2


def message_of(topic: str, qos: int) -> Message:
    """An empty message to a topic. Raises MqttError."""
    key = swapped(check_topic_name(topic.encode()))
    return Message(b"amq.topic", key, encode_properties({"delivery_mode": PERSISTENT if qos else TRANSIENT}), b"")


def subscriber(qos: int | None) -> Callable[..., dict[str, Any]]:
    """What becomes of a message in a session; `qos`: it was published with, None: by its persistence (over AMQP)."""

    def explain(
        session: Session, bindings: list[Binding], key: bytes, message: Message, client_id: str | None
    ) -> dict[str, Any]:
        held = [session.subscriptions[each.key] for each in bindings if each.key in session.subscriptions]
        published = qos if qos is not None else int(message.is_persistent)
        granted = min(published, max((each.qos for each in held), default=0))
        outcome, reason = judged(session, held, key, message, granted, client_id)
        return {
            "kind": "session",
            "name": session.client_id,
            "connected": session.is_connected,
            "topic_filters": [each.topic_filter.decode() for each in held],
            "qos": granted,
            "outcome": outcome,
            "reason": reason,
        }

    return explain


def judged(
    session: Session, held: list[Any], key: bytes, message: Message, qos: int, client_id: str | None
) -> tuple[str, str]:
    """What, and why."""
    if session.rights is not None and not session.rights.may_read(key):
        return "nothing", "its user may not have this topic"
    if not is_topic_key(key):
        return "nothing", "the routing key is no topic name"
    if all(each.no_local for each in held) and client_id is not None and client_id == session.client_id:
        return "nothing", "no local: it is the publisher itself"
    if qos:
        if session.queue is None:
            return "delivered" if session.is_connected else "waits", f"QoS {qos}, by its queue"
        return queue_outcome(session.queue, message, int(session.is_connected))
    if session.is_connected:
        return "delivered", "QoS 0, at once"
    if session.sessions.queues_qos0 and session.queue is not None:
        return "waits", "QoS 0 waits here, too, while its client is away"
    return "nothing", "QoS 0, and its client is away"
