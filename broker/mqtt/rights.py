"""May this client subscribe to this, and keep it?

Owns rights in MQTT's terms: `amq.topic` written to and read from, the session's queue, and each topic
(`core.topic_rights`). Refuses to know where rules are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.undecided import Undecided
from broker.mqtt.reasons import MqttError, Reason

if TYPE_CHECKING:
    from broker.mqtt.session import Session
    from broker.mqtt.subscriptions import Held


def may_subscribe(session: Session, held: Held) -> bool:
    """May the session's user have this subscription? Raises Undecided where others have to say it."""
    user, vhost = session.user, session.vhost
    if held.share_name == b"":
        return bool(user.may_read(vhost.name, held.topic_filter.decode()))
    if not user.may_read(vhost.name, "amq.topic", "exchange"):
        return False
    if held.share_name is None:
        if held.qos:  # as RabbitMQ: the queue is declared, bound and consumed
            name = f"mqtt-subscription-{session.client_id}qos1"
            if not all(user.may(vhost.name, verb, name) for verb in ("configure", "write", "read")):
                return False
        return session.rights is None or session.rights.may_subscribe(held.key)
    return session.rights is None or session.rights.may_bind(held.key[1])


def may_keep(session: Session, held: Held) -> bool:
    """The same of one that was granted. What others have to be asked anew about stays granted."""
    try:
        return may_subscribe(session, held)
    except Undecided:
        return True


def check_client_id(client_id: str, user: str, rule: str) -> None:
    """May the user have this client identifier? `rule`: of config.Mqtt.client_id. Raises MqttError."""
    if rule == "any" or client_id == user:
        return
    if rule == "user-prefix" and client_id.startswith(tuple(user + mark for mark in "-_.:/")):
        return
    raise MqttError(Reason.CLIENT_IDENTIFIER_NOT_VALID, f"user '{user}' may not have this client identifier")
