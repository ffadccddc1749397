"""What an operator may see and end of MQTT: sessions, subscriptions, retained messages, in MQTT's words.

Owns the facts, by name. Refuses to know who asks, and what is made of it: rights, pages and JSON are management's,
which may not know this dialect and is handed this by the composition root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from broker.mqtt import acl, ending, explained
from broker.mqtt.fields import Reader
from broker.mqtt.publishing import published_qos
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.topics import check_topic_filter
from broker.mqtt.traffic import PROTOCOLS, Traffic
from broker.mqtt.translate import swapped

if TYPE_CHECKING:
    from broker.core.message import Message
    from broker.core.retained import Retained
    from broker.core.topic_rights import TopicRule
    from broker.core.vhost import VirtualHost
    from broker.mqtt.endpoint import Endpoint
    from broker.mqtt.session import Session
    from broker.mqtt.subscriptions import Held


class Observed:
    """Of one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    # ── counts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def counts(self) -> dict[str, int]:
        """What has happened since the start, by name (`counters.pxd` says what each counts)."""
        return self.endpoint.counters.as_dict()

    def refusals(self) -> Iterator[tuple[str, str, int]]:
        """What clients were refused: the packet (DISCONNECT: the connection itself), the reason in words, how often."""
        for (asked, reason), count in list(self.endpoint.counters.refusals.items()):
            yield asked, reason.text, count

    def traffic(self) -> list[Traffic]:
        """Messages both ways, by the version that clients speak."""
        return self.endpoint.counters.traffic

    def ends(self) -> dict[str, tuple[int, int]]:
        """By protocol: connections that have published, and connections with subscriptions."""
        counted = {protocol: [0, 0] for protocol in PROTOCOLS.values()}
        for each in self.endpoint.connections:
            if each.publishes:
                counted[PROTOCOLS[each.version]][0] += 1
            if each.session is not None and each.session.subscriptions:
                counted[PROTOCOLS[each.version]][1] += 1
        return {protocol: (publishers, consumers) for protocol, (publishers, consumers) in counted.items()}

    def figures(self) -> dict[str, int]:
        """What there is now. Cheap, whatever there is."""
        return {"connections": len(self.endpoint.connections), "sessions": len(self.endpoint.sessions)}

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self) -> Iterator[dict[str, Any]]:
        """Every session, connected or not. Safe while they come and go."""
        for session in list(self.endpoint.sessions.by_name.values()):
            if not session.ended:
                yield self.session_facts(session)

    def session(self, vhost_name: str, client_id: str) -> dict[str, Any] | None:
        """One session with its subscriptions; None where there is none of that name."""
        session = self.endpoint.sessions.by_name.get((vhost_name, client_id))
        if session is None:
            return None
        return {**self.session_facts(session), "subscriptions": list(subscriptions_of(session))}

    def session_facts(self, session: Session) -> dict[str, Any]:
        """What is so now. Intervals in seconds, None: never; times in milliseconds since 1970."""
        connection, queue = session.connection, session.queue
        timer = session.expiry_timer
        expires_in_s = None if timer is None else max(0, timer.due_ms - self.endpoint.broker.clock.now_ms) // 1000
        return {
            "client_id": session.client_id,
            "vhost": session.vhost.name,
            "connected": session.is_connected,
            "stored": session.is_stored,
            "user": connection.user.name if connection is not None else None,
            "peer": connection.peer if connection is not None else None,
            "listener": connection.listener if connection is not None else None,
            "protocol": connection.protocol if connection is not None else None,
            "connected_at": connection.connected_ms if connection is not None else None,
            "keep_alive_s": connection.keep_alive_s if connection is not None else None,
            "expiry_interval_s": session.expiry_interval_s,
            "expires_in_s": expires_in_s,
            "subscription_count": len(session.subscriptions),
            "queue": queue.name if queue is not None else None,
            "queued": queue.ready_count if queue is not None else 0,
            "queued_bytes": queue.ready_bytes if queue is not None else 0,
            "inflight": session.inflight_count,
            "awaiting_release": len(session.received_ids()),
            "delivered": session.delivered,
            "will": session.will is not None,
        }

    def end_session(self, vhost_name: str, client_id: str) -> bool:
        """The session goes, with all that waits in it; its client is told first. False where there is none."""
        sessions = self.endpoint.sessions
        session = sessions.by_name.get((vhost_name, client_id))
        if session is None:
            return False
        if session.connection is not None:
            ending.disconnect(session.connection, Reason.ADMINISTRATIVE_ACTION, "the session was ended by an operator")
        sessions.end(session)
        return True

    # ── subscriptions ─────────────────────────────────────────────────────────────────────────────────────────────

    def subscriptions(self) -> Iterator[dict[str, Any]]:
        """Every subscription of every session."""
        for session in list(self.endpoint.sessions.by_name.values()):
            yield from subscriptions_of(session)

    # ── access rules ──────────────────────────────────────────────────────────────────────────────────────────────

    def acls(self, vhost_name: str) -> Iterator[dict[str, Any]]:
        """The rules of a vhost in order, those of the configuration first."""
        return acl.rows(self.endpoint.broker.access.topics, vhost_name)

    def set_acls(self, vhost_name: str, rows: list[dict[str, Any]]) -> None:
        """Replace those that are not the configuration's. Raises ValueError, CoreError."""
        self.endpoint.broker.access.topics.set_rules(vhost_name, [acl.rule_of(row) for row in rows])

    # ── explaining ────────────────────────────────────────────────────────────────────────────────────────────────

    def explained_message(self, topic: str, qos: int) -> Message:
        """An empty message to a topic, as a client would publish it. Raises ValueError."""
        try:
            self.endpoint.check_topic(topic.encode())
            return explained.message_of(topic, qos)
        except MqttError as error:
            raise ValueError(error.text) from None

    def explained_subscriber(self, qos: int | None) -> Callable[..., dict[str, Any]]:
        """See explained.subscriber."""
        return explained.subscriber(qos)

    def explained_rule(self, rule: TopicRule) -> dict[str, Any]:
        """An access rule in words."""
        return acl.row_of(rule)

    # ── retained messages ─────────────────────────────────────────────────────────────────────────────────────────

    def retained(self, vhost: VirtualHost, topic_filter: str) -> list[Retained]:
        """What a filter matches. Raises ValueError with a text for people."""
        return vhost.retained.matches(swapped(checked(topic_filter)))

    def binding_key(self, topic_filter: str) -> bytes:
        """A topic filter as a binding key of `amq.topic`. Raises ValueError with a text for people."""
        return swapped(checked(topic_filter))

    def retained_facts(self, retained: Retained) -> dict[str, Any]:
        """One retained message, without its payload."""
        message, expires_at_ms = retained.message, retained.expires_at_ms
        left_ms = expires_at_ms - self.endpoint.broker.clock.now_ms
        return {
            "topic": topic_of(message),
            "qos": published_qos(message),
            "payload_bytes": message.body_size,
            "expires_in_s": max(0, left_ms) // 1000 if expires_at_ms else None,
        }

    def retained_message(self, vhost: VirtualHost, topic: str) -> tuple[dict[str, Any], Message] | None:
        """The facts of one topic's retained message, and the message."""
        found = vhost.retained.get(swapped(topic.encode()))
        return None if found is None else (self.retained_facts(found), found.message)

    def remove_retained(self, vhost: VirtualHost, topic: str) -> bool:
        """Forget what a topic retains; False where that is nothing. Raises CoreError."""
        return vhost.retained.remove(swapped(topic.encode()))


def subscriptions_of(session: Session) -> Iterator[dict[str, Any]]:
    """The subscriptions of one session."""
    for held in list(session.subscriptions.values()):
        yield {
            "client_id": session.client_id,
            "vhost": session.vhost.name,
            "topic_filter": full_filter(held),
            "share_name": held.share_name.decode() if held.share_name else None,
            "qos": held.qos,
            "no_local": held.no_local,
            "retain_as_published": held.retain_as_published,
            "retain_handling": held.retain_handling,
            "identifier": Reader(held.identifier, 1).varint() if held.identifier is not None else None,
        }


def full_filter(held: Held) -> str:
    """As the client named it, `$share/…` included."""
    plain: str = held.topic_filter.decode()
    if held.share_name is None:
        return plain
    return f"$share/{held.share_name.decode()}/{plain}" if held.share_name else f"$queue/{plain}"


def checked(topic_filter: str) -> bytes:
    """A topic filter's octets. Raises ValueError."""
    try:
        return check_topic_filter(topic_filter.encode())
    except MqttError as error:
        raise ValueError(error.text) from None


def topic_of(message: Message) -> str:
    """What it was published to."""
    return swapped(message.routing_key).decode(errors="replace")
