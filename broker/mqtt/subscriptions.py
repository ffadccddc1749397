"""SUBSCRIBE and UNSUBSCRIBE: topic filters as bindings of `amq.topic`, and what goes with each.

Owns what a session holds of each subscription, limits, and which retained messages a new one gets. Refuses to
know packets' bytes.

    filter                   binding                                destination
    sensors/+/temp           amq.topic, sensors.*.temp              the session
    $share/GROUP/FILTER      amq.topic, FILTER swapped              the group's queue, of which the session consumes
    $queue/NAME              –                                      the AMQP queue NAME, of which the session consumes
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broker.core.binding import SUBSCRIBER
from broker.core.errors import CoreError
from broker.mqtt import rights
from broker.mqtt.fields import encode_varint
from broker.mqtt.naming import is_topic_key
from broker.mqtt.packets import Subscription
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.session_consumer import SessionConsumer
from broker.mqtt.topics import QUEUE
from broker.mqtt.translate import reason_for, swapped

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection
    from broker.mqtt.session import Session

SUBSCRIPTION_IDENTIFIER = b"\x0b"
GRANTED = (Reason.GRANTED_QOS_0, Reason.GRANTED_QOS_1, Reason.GRANTED_QOS_2)


class Held:
    """One subscription of a session."""

    __slots__ = (
        "consumer", "identifier", "no_local", "qos", "retain_as_published", "retain_handling", "share_name",
        "topic_filter",
    )  # fmt: skip

    def __init__(self, asked: Subscription, identifier: bytes | None) -> None:
        """`identifier`: the subscription identifier, encoded as a property."""
        self.topic_filter = asked.plain_filter
        self.share_name = asked.share_name
        self.qos = asked.qos
        self.no_local = asked.no_local
        self.retain_as_published = asked.retain_as_published
        self.retain_handling = asked.retain_handling
        self.identifier = identifier
        self.consumer: Any = None

    @property
    def has_options(self) -> bool:
        """Deliveries differ by it."""
        return self.identifier is not None or self.retain_as_published

    @property
    def key(self) -> Any:
        """By what the session knows it: the binding key, and for a shared one its group as well."""
        key = swapped(self.topic_filter)
        return key if self.share_name is None else (self.share_name, key)

    def as_stored(self) -> list[Any]:
        """For the store."""
        return [self.topic_filter, self.share_name, self.qos, self.no_local, self.retain_as_published,
                self.retain_handling, self.identifier]  # fmt: skip


class Found:
    """The retained messages that one SUBSCRIBE brings: bounded, because each of its filters may match them all."""

    __slots__ = ("left", "messages", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.left = session.sessions.retained_max
        self.messages: list[tuple[Any, Held]] = []

    def gather(self, held: Held, is_new: bool) -> None:
        """What a subscription gets at once [MQTT-3.3.1-9], -10, -11. Raises MqttError where that is too much."""
        if held.share_name is not None or held.retain_handling == 2 or (held.retain_handling == 1 and not is_new):
            return
        session, key = self.session, swapped(held.topic_filter)
        if self.left:
            found = [*session.vhost.retained.matches(key), *session.sessions.sys_topics.matches(key)]
            if len(found) <= self.left:
                self.left -= len(found)
                rights = session.rights
                self.messages += [
                    (each, held) for each in found if rights is None or rights.may_read(each.message.routing_key)
                ]
                return
        self.left = 0  # to look again would cost as much again
        raise MqttError(Reason.QUOTA_EXCEEDED, "more retained messages than one SUBSCRIBE may bring")


def subscribe(
    connection: MqttConnection, asked: Subscription, identifier: int | None, retained: Found
) -> tuple[Reason, str]:
    """One topic filter: the reason code, and what is to be said of a refusal; `retained` gets what goes with it.

    Whoever asks has the session written down when the last filter is done."""
    session = connection.session
    encoded = None if identifier is None else SUBSCRIPTION_IDENTIFIER + encode_varint(identifier)
    held = Held(asked, encoded)
    known = session.subscriptions.get(held.key)
    try:
        check(connection, held, known is None)
        retained.gather(held, known is None)
        add(session, held)
    except (MqttError, CoreError) as error:
        reason = error.reason if isinstance(error, MqttError) else reason_for(error)
        session.sessions.counters.subscriptions_refused += 1
        session.sessions.counters.refuse("SUBSCRIBE", reason)
        return reason, f"{asked.topic_filter.decode()}: {error.text}"
    return GRANTED[held.qos], ""


def ask(connection: MqttConnection, asked: Iterable[Subscription]) -> None:
    """Before any of them is made: raises Undecided where others have not said yet whether the user may."""
    for each in asked:
        with suppress(MqttError):
            check(connection, Held(each, None), False)


def check(connection: MqttConnection, held: Held, is_new: bool) -> None:
    """Rights and limits. Raises MqttError."""
    session = connection.session
    sessions = session.sessions
    if is_new and len(session.subscriptions) >= sessions.subscriptions_max:
        raise MqttError(
            Reason.QUOTA_EXCEEDED, f"the session has its limit of {sessions.subscriptions_max} subscriptions"
        )
    if len(held.topic_filter) > sessions.topic_bytes_max or held.topic_filter.count(b"/") >= sessions.topic_levels_max:
        raise MqttError(Reason.TOPIC_FILTER_INVALID)
    if not rights.may_subscribe(session, held):
        raise MqttError(Reason.NOT_AUTHORIZED)


def add(session: Session, held: Held) -> None:
    """Make it the session's, in place of one with the same filter [MQTT-3.8.4-3]. Raises CoreError."""
    vhost = session.vhost
    key = held.key
    if held.share_name is not None:
        join(session, held)
        return
    if held.qos:
        session.sessions.need_queue(session)
    exchange = vhost.exchanges["amq.topic"]
    known = session.subscriptions.get(key)
    if known is None:
        session.sessions.leaving.make_way(session, key)
        vhost.bind(exchange, session, SUBSCRIBER, key)
    else:
        session.count_subscription(known.qos, known.has_options, -1)
    session.subscriptions[key] = held
    session.count_subscription(held.qos, held.has_options, 1)
    if known is not None:
        vhost.forget_routes(exchange, key)


def key_of_queue(held: Held) -> bytes | None:
    """What a message of `$queue/NAME` is told as, where its own routing key is no topic name: by the queue's."""
    topic = QUEUE + held.topic_filter
    return swapped(topic) if held.share_name == b"" and is_topic_key(swapped(topic)) else None


def join(session: Session, held: Held) -> None:
    """A shared subscription: the session consumes of a queue that others consume of, too. Raises CoreError."""
    sessions, vhost = session.sessions, session.vhost
    known = session.subscriptions.pop(held.key, None)
    if known is not None:
        session.leave_queue(known.consumer)
    assert held.share_name is not None
    if held.share_name == b"":
        queue = vhost.queue(held.topic_filter.decode())
    else:
        queue = vhost.shares.join(
            held.share_name.decode(),
            swapped(held.topic_filter),
            session,
            durable=session.is_stored,
            arguments=sessions.queue_arguments,
            strategy=sessions.share_strategy,
        )
    match = session.make_match(held.qos, False, held.retain_as_published, held.identifier or b"")
    session.subscriptions[held.key] = held
    held.consumer = SessionConsumer(session, queue, match, key_of_queue(held))
    session.join_queue(held.consumer)


def restore(session: Session, stored: list[Any]) -> None:
    """A subscription from the session's record. One that cannot be restored (its queue is gone) is left out."""
    topic_filter, share_name, qos, no_local, retain_as_published, retain_handling, identifier = stored
    asked = Subscription(topic_filter, qos, no_local, retain_as_published, retain_handling, share_name, topic_filter)
    try:
        add(session, Held(asked, identifier))
    except CoreError:
        session.sessions.counters.subscriptions_refused += 1


def send_retained(session: Session, found: Iterable[tuple[Any, Held]]) -> None:
    """Deliver what was found."""
    if not session.is_connected:
        return
    now_ms = session.sessions.clock.now_ms
    for retained, held in found:
        match = session.make_match(held.qos, held.no_local, held.retain_as_published, held.identifier or b"")
        session.send_retained(retained.as_delivered(now_ms), held.qos, match)


def unsubscribe(session: Session, share_name: bytes | None, plain_filter: bytes) -> Reason:
    """One topic filter [MQTT-3.10.4-1]. Whoever asks has the session written down when the last one is done."""
    key: Any = swapped(plain_filter)
    if share_name is not None:
        key = (share_name, key)
    held = session.subscriptions.get(key)
    if held is None:
        return Reason.NO_SUBSCRIPTION_EXISTED
    remove(session, key, held)
    return Reason.SUCCESS


def remove(session: Session, key: Any, held: Held) -> None:
    """Take it out."""
    del session.subscriptions[key]
    vhost = session.vhost
    if held.share_name is None:
        exchange = vhost.exchanges.get("amq.topic")
        if exchange is not None:  # else the vhost is gone, and its bindings with it
            vhost.unbind(exchange, session, SUBSCRIBER, key)
        session.count_subscription(held.qos, held.has_options, -1)
        return
    session.leave_queue(held.consumer)
    if held.share_name != b"":
        vhost.shares.leave(held.share_name.decode(), key[1], session)


def remove_some(session: Session, count: int) -> None:
    """So many of them, where the session ends."""
    for key, held in list(itertools.islice(session.subscriptions.items(), count)):
        remove(session, key, held)
