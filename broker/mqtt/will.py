"""Will messages (MQTT 5 §3.1.2.5): published when a client is gone without a word, perhaps some time later.

Owns when a will is due, and its publication. A stored session's will is written down with it: the broker's own end is
also one without a word.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from broker.core.errors import NotFound
from broker.core.message import Message
from broker.core.undecided import Undecided
from broker.mqtt import sparkplug
from broker.mqtt.properties import Properties
from broker.mqtt.publishing import publish_as_client
from broker.mqtt.translate import to_amqp

if TYPE_CHECKING:
    from broker.core.access import User
    from broker.mqtt.connect import Will
    from broker.mqtt.session import Session

log = logging.getLogger("hubbub.mqtt")


class PendingWill:
    """What a session will say, and how long after its client has gone."""

    __slots__ = ("delay_s", "payload", "properties", "qos", "retain", "timer", "topic", "user", "user_name")

    def __init__(
        self,
        user: User | None,
        user_name: str,
        topic: bytes,
        payload: bytes,
        properties: bytes,
        qos: int,
        retain: bool,
        delay_s: int,
    ) -> None:
        """`user`: whose rights count; None: who has this name when it is due. `properties`: an AMQP property list."""
        self.user = user
        self.user_name = user_name
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.qos = qos
        self.retain = retain
        self.delay_s = delay_s
        self.timer: Any = None

    def as_stored(self) -> list[Any]:
        """For the store."""
        return [self.user_name, self.topic, self.payload, self.properties, self.qos, self.retain, self.delay_s]

    def cancel(self) -> None:
        """It is not due any more [MQTT-3.1.3-9]."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def pending(will: Will, user: Any) -> PendingWill:
    """The will of a CONNECT."""
    properties: Properties = will.properties
    raw = to_amqp(properties, will.qos, will.topic)
    delay_s = properties.will_delay_interval or 0
    return PendingWill(user, user.name, will.topic, will.payload, raw, will.qos, will.retain, delay_s)


def schedule(session: Session, since_ms: int) -> None:
    """The client is gone without a word, since then: the will is due after its delay, or with the session's end
    [MQTT-3.1.3-9]."""
    will = session.will
    if will is None:
        return
    if will.delay_s == 0 or session.expiry_interval_s == 0:
        publish(session)
        return
    will.timer = session.sessions.clock.call_at(since_ms + will.delay_s * 1000, lambda: publish(session))


def publish(session: Session) -> None:
    """Say it, once [MQTT-3.1.2-8], [MQTT-3.1.2-10]."""
    will = session.will
    if will is None:
        return
    key = will.topic.translate(SWAP)
    try:
        user = user_of(session, will)
        may = user is not None and may_publish(session, user, key)
    except Undecided as undecided:
        undecided.question.when_decided(lambda: publish(session))
        return
    session.will = None
    will.cancel()
    counters = session.sessions.counters
    if not may:
        counters.wills_refused += 1
        log.warning("the will of '%s' may not be published", session.client_id)
    else:
        payload = will.payload
        if session.sessions.sparkplug and sparkplug.is_node_death(key):
            payload = sparkplug.with_timestamp(payload, session.sessions.clock.now_ms)
        message = Message(b"amq.topic", key, will.properties, payload)
        publish_as_client(session.vhost, message, will.qos, will.retain)
        counters.wills_published += 1
    session.sessions.note_will(session)


def user_of(session: Session, will: PendingWill) -> User | None:
    """Whose rights count. Since a restart only the name is known, and others may have to be asked: raises Undecided."""
    access = session.sessions.broker.access
    if will.user is not None:
        return will.user
    if access.others is None or not will.user_name:
        return access.users.get(will.user_name)
    try:
        user: User = access.others.who(will.user_name, None, "")[0]
    except NotFound:
        return None
    return user


def may_publish(session: Session, user: User, key: bytes) -> bool:
    """By the rights that the user has now."""
    vhost = session.vhost
    if not user.may_write(vhost.name, "amq.topic", "exchange"):
        return False
    topics = session.sessions.broker.access.topics
    rights = topics.rights(user, vhost.name, vhost.exchanges["amq.topic"], session.client_id)
    return rights is None or rights.may_write(key)


SWAP = bytes.maketrans(b"/.+*", b"./*+")
