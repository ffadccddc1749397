# cython: annotation_typing=False
"""The cold half of sessions: who there is by name, how long they live, and what of them is in the store.

    open ──▶ connected ──▶ close ──▶ away ──▶ end         expiry interval 0: close is the end
               ▲                        │
               └─────── open ───────────┘

Owns the registry by (vhost, client identifier), expiry, the session's queue, and its record: subscriptions, will and
expiry in one part, QoS 2's packet identifiers in another, each written once per batch in which it changed.

Invariants: a client identifier has one session, and a session at most one connection; what a stored session's record
says is what a restart brings back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.session_records import SessionRecords
from broker.mqtt import review, subscriptions, will
from broker.mqtt.leaving import Leaving
from broker.mqtt.packet_cache import PacketCache
from broker.mqtt.session import Session
from broker.mqtt.session_consumer import SessionConsumer
from broker.mqtt.waiting import queue_arguments

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.vhost import VirtualHost
    from broker.mqtt.counters import Counters
    from broker.mqtt.sys_topics import SysTopics

SESSION, STATE = "session", "qos 2"
SESSION_BYTES, SUBSCRIPTION_BYTES = 1_600, 800
"""About what one takes in memory, as measured with 5,000 sessions of none and of ten filters."""


class Sessions:
    """All sessions of the broker."""

    def __init__(self, broker: Broker, counters: Counters, settings: Any, limits: Any, sys_topics: SysTopics) -> None:
        """`settings`: config.Mqtt."""
        self.sys_topics = sys_topics
        self.sparkplug: bool = settings.sparkplug
        self.broker = broker
        self.clock = broker.clock
        self.store = broker.store
        self.counters = counters
        self.records = SessionRecords(broker.store)
        self.cache = PacketCache()
        self.by_name: dict[tuple[str, str], Session] = {}
        self.changed: set[Session] = set()
        self.leaving = Leaving(broker.clock)
        self.use(settings, limits)

    def use(self, settings: Any, limits: Any) -> None:
        """What counts for sessions and shares from now on; a session's queue follows when it is next asked for."""
        self.queues_qos0: bool = settings.queue_qos0
        self.expiry_max_s: int | None = settings.session_expiry_max_s
        self.share_strategy: str = settings.share_strategy
        self.subscriptions_max: int = limits.mqtt_subscriptions_per_session_max
        self.topic_levels_max: int = limits.mqtt_topic_levels_max
        self.retained_max: int = limits.mqtt_retained_per_subscribe_max
        self.topic_bytes_max: int = limits.mqtt_topic_bytes_max
        self.queue_arguments = queue_arguments(
            messages_max=settings.session_messages_max or 0,
            bytes_max=settings.session_bytes_max or 0,
            overflow=settings.session_overflow,
            dead_letter_exchange=settings.dead_letter_exchange,
        )

    def __len__(self) -> int:
        """How many there are, connected or not."""
        return len(self.by_name)

    def memory_bytes(self) -> int:
        """About what they take, without their messages; a binding of `amq.topic` is mostly a subscription."""
        topics = (vhost.exchanges.get("amq.topic") for vhost in self.broker.vhosts.values())
        bindings = sum(len(exchange.bindings) for exchange in topics if exchange is not None)
        return len(self.by_name) * SESSION_BYTES + bindings * SUBSCRIPTION_BYTES

    def find(self, vhost: VirtualHost, client_id: str) -> Session | None:
        """The session of that name, or None."""
        return self.by_name.get((vhost.name, client_id))

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(
        self, vhost: VirtualHost, client_id: str, clean_start: bool, expiry_interval_s: int | None
    ) -> tuple[Session, bool]:
        """The session that a client goes on with, or a new one; and whether it was there (session present).

        Nobody is connected to it: who was has been told. `expiry_interval_s` None: never.
        """
        session = self.find(vhost, client_id)
        if session is not None and (clean_start or session.expiry_interval_s == 0):  # [MQTT-3.1.2-4]
            self.end(session)
            session = None
        present = session is not None
        if session is None:
            session = Session(self, vhost, client_id)
            self.by_name[vhost.name, client_id] = session
            if self.broker.events.listeners:
                self.broker.events.tell("mqtt.session.created", client_id=client_id, vhost=vhost.name)
        if session.expiry_timer is not None:
            session.expiry_timer.cancel()
            session.expiry_timer = None
        if session.will is not None:  # [MQTT-3.1.3-9] it is back in time
            session.will.cancel()
            session.will = None
        self.set_expiry(session, expiry_interval_s)
        return session, present

    def limited(self, expiry_interval_s: int | None) -> int | None:
        """An expiry interval within the operator's maximum. None: never."""
        if self.expiry_max_s is None:
            return expiry_interval_s
        return self.expiry_max_s if expiry_interval_s is None else min(expiry_interval_s, self.expiry_max_s)

    def set_expiry(self, session: Session, expiry_interval_s: int | None) -> None:
        """How long the session outlives its connection from now on."""
        session.expiry_interval_s = self.limited(expiry_interval_s)
        if session.expiry_interval_s != 0:
            session.is_stored = True
            self.write(session)

    def close(self, session: Session) -> None:
        """The connection has ended, and with it the session, or it waits for its client."""
        session.detach()
        if session.expiry_interval_s == 0:
            self.end(session)
            return
        self.write(session)
        self.watch_expiry(session, self.clock.now_ms)

    def watch_expiry(self, session: Session, since_ms: int) -> None:
        """Nobody is connected since then: it ends when its time is up."""
        if session.expiry_interval_s is not None:
            due_ms = since_ms + session.expiry_interval_s * 1000
            session.expiry_timer = self.clock.call_at(due_ms, lambda: self.on_expired(session))

    def on_expired(self, session: Session) -> None:
        """Its client did not come back in time."""
        session.expiry_timer = None
        if not session.ended and session.connection is None:
            self.counters.sessions_expired += 1
            self.end(session)

    def end(self, session: Session) -> None:
        """The session is gone, with all that waited for its client."""
        if session.ended:
            return
        session.end()
        if self.broker.events.listeners:
            self.broker.events.tell("mqtt.session.deleted", client_id=session.client_id, vhost=session.vhost.name)
        if session.will is not None:
            if "amq.topic" not in session.vhost.exchanges:  # the vhost is gone: nobody hears it
                session.will.cancel()
                session.will = None
            will.publish(session)  # [MQTT-3.1.3-9] not later than the session's end
        if session.expiry_timer is not None:
            session.expiry_timer.cancel()
            session.expiry_timer = None
        self.by_name.pop((session.vhost.name, session.client_id), None)
        if session.subscriptions:
            self.leaving.begin(session)
        if session.queue is not None:
            session.vhost.remove_queue(session.queue)
        if session.is_stored:
            self.changed.discard(session)
            for part in (SESSION, STATE):
                self.records.delete(session.vhost.name, session.client_id, part)

    # ── the session's own queue ───────────────────────────────────────────────────────────────────────────────────

    def need_queue(self, session: Session) -> None:
        """A subscription with QoS 1 or 2 comes, or one is used: the queue has RabbitMQ's name. Raises CoreError."""
        if session.queue is not None or session.ended:
            return
        vhost, name = session.vhost, queue_name(session.client_id)
        queue = vhost.queues.get(name)
        if queue is None:
            queue = vhost.create_queue(
                name,
                durable=session.is_stored,
                exclusive=False,
                auto_delete=False,
                owner=None,
                arguments=self.queue_arguments,
            )
        elif queue.arguments != self.queue_arguments:
            vhost.redeclare_queue(queue, self.queue_arguments)
        if session.is_stored and not queue.durable:
            vhost.make_queue_durable(queue)
        queue.serves_sessions = True
        session.set_queue(queue, SessionConsumer(session, queue))

    def on_queue_gone(self, session: Session) -> None:
        """An operator has deleted a session's queue: what waited is lost, what comes finds another."""
        if any(held.qos for held in session.subscriptions.values()):
            self.need_queue(session)

    # ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, session: Session) -> None:
        """The session's record has changed: the open batch gets it, once."""
        if session.is_stored and not session.ended:
            self.changed.add(session)
            session.keep_state()

    def note_will(self, session: Session) -> None:
        """A will was said: it must not be said again."""
        self.write(session)

    def write_state(self, session: Session) -> None:
        """The open batch is about to be sealed: what has changed of the session."""
        if session.ended:
            return
        vhost, client_id = session.vhost.name, session.client_id
        if session in self.changed:
            self.changed.discard(session)
            self.records.put(vhost, client_id, SESSION, self.record(session))
        state = {
            "received": session.received_ids(),
            "released": session.released_ids(),
            "position_ceiling": session.position_ceiling,
        }
        self.records.put(vhost, client_id, STATE, state)

    def record(self, session: Session) -> dict[str, Any]:
        """What a restart needs to know of the session."""
        return {
            "expiry_interval_s": session.expiry_interval_s,
            "away_since_ms": None if session.connection is not None else self.clock.now_ms,
            "subscriptions": [held.as_stored() for held in session.subscriptions.values()],
            "user": session.user.name if session.user is not None else None,
            "will": session.will.as_stored() if session.will is not None else None,
        }

    def restore(self) -> int:
        """Bring back every stored session; how many. A session that was connected is away from now on."""
        states: dict[tuple[str, str], dict[str, Any]] = {}
        values = []
        for value in self.records.all():
            if value["part"] == STATE:
                states[value["vhost"], value["client_id"]] = value
            else:
                values.append(value)
        for value in values:
            vhost = self.broker.vhosts.get(value["vhost"])
            if vhost is not None:
                self.restore_session(vhost, value, states.get((value["vhost"], value["client_id"])))
        for value in values:  # when everybody is there who may have subscribed to the wills
            session = self.by_name.get((value["vhost"], value["client_id"]))
            if session is not None:
                away_since_ms = value["away_since_ms"]
                since_ms = self.clock.now_ms if away_since_ms is None else away_since_ms
                will.schedule(session, since_ms)
                self.watch_expiry(session, since_ms)
        for vhost in self.broker.vhosts.values():
            vhost.shares.drop_unclaimed()
        return len(self.by_name)

    def restore_session(self, vhost: VirtualHost, value: dict[str, Any], state: dict[str, Any] | None) -> None:
        """One session from its record; its will and its expiry are for later."""
        session = Session(self, vhost, value["client_id"])
        self.by_name[vhost.name, session.client_id] = session
        session.expiry_interval_s = self.limited(value["expiry_interval_s"])
        session.is_stored = True
        if queue_name(session.client_id) in vhost.queues:
            self.need_queue(session)
        for stored in value["subscriptions"]:
            subscriptions.restore(session, stored)
        if state is not None:
            session.restore_state(state["received"], state["released"])
            session.position_ceiling = state.get("position_ceiling", 0)
            if session.queue is not None:
                session.queue.next_position = max(session.queue.next_position, session.position_ceiling)
        session.keep_state()
        session.user = self.broker.access.users.get(value.get("user") or "")
        review.review_unless_judged(session)
        if value["will"] is not None:
            session.will = will.PendingWill(None, *value["will"])


def queue_name(client_id: str) -> str:
    """RabbitMQ's name for it, which its users' permissions are written for."""
    return f"mqtt-subscription-{client_id}qos1"
