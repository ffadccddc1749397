"""The native dialect: a broker for ten lines of JavaScript (docs/protocols/websocket.md).

Owns one client's conversation: login, publications, subscriptions, and when it has to wait. Refuses to know frames
(`connection`), how messages are written (`messages`), and what the core calls things (`translate`).

Invariants: nothing but `hello` is done before the login; a publication is `accepted` only when the store has it (law
1); reading stops while the disk is behind, too much waits for it, the client does not read, or one turn has had its
share; deliveries stop while the client does not read (`paced`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from broker.client import (
    COMPLETE,
    DISCARD,
    REQUEUE,
    TOPICS,
    AccessRefused,
    Client,
    CoreError,
    Outcome,
    Received,
    Undecided,
    admit,
    log_in,
)
from broker.version import VERSION
from broker.websocket import messages, translate
from broker.websocket.closing import GOING_AWAY, POLICY_VIOLATION
from broker.websocket.messages import (
    Accepted,
    Ack,
    Cancelled,
    Declare,
    Declared,
    Encoding,
    Error,
    Hello,
    Nack,
    Ping,
    Pong,
    Publish,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from broker.websocket.paced import PER_TURN_MAX, PacedConnection

if TYPE_CHECKING:
    pass

SUBPROTOCOLS = {"": "json", "hubbub.json": "json", "hubbub.msgpack": "msgpack"}
DIALECT_VERSION = 1

log = logging.getLogger("hubbub.websocket")


class NativeEndpoint:
    """What all native connections of a broker share."""

    def __init__(self, broker: Any, limits: Any, *, anonymous_user: str = "") -> None:
        """`broker`: core.broker.Broker; `anonymous_user`: as whom a hello without a user acts; "" for nobody."""
        self.broker = broker
        self.clock = broker.clock
        self.use(limits, anonymous_user)
        self.encodings = {name: Encoding(name) for name in ("json", "msgpack")}
        self.errors: Counter[str] = Counter()
        """By code."""

    def use(self, limits: Any, anonymous_user: str) -> None:
        """What counts from now on."""
        self.anonymous_user = anonymous_user
        self.handshake_timeout_ms: int = limits.handshake_timeout_ms
        self.subscriptions_max: int = limits.websocket_subscriptions_max
        self.credit_max: int = limits.websocket_credit_max
        self.awaited_max: int = limits.websocket_awaited_max

    def make(self, _listener: object, subprotocol: str) -> NativeConnection:
        """A connection for a listener."""
        return NativeConnection(self, self.encodings[SUBPROTOCOLS[subprotocol]])


class Subscription:
    """What a client subscribed to."""

    __slots__ = ("ack", "consumer_tag", "id", "key", "octets", "own_queue", "queue", "skips_dollar")

    def __init__(self, request: Subscribe, queue: str) -> None:
        """`queue`: that it consumes from."""
        self.id = request.id
        self.ack = request.ack
        self.octets = request.octets
        self.queue = queue
        self.own_queue = "" if request.topic is None else queue
        """The name of the queue that was made for it, or ""."""
        self.key = None if request.topic is None else translate.filter_key(request.topic)
        self.consumer_tag = ""
        # A wildcard in the first level does not match topics that begin with $ [MQTT-4.7.2-1].
        self.skips_dollar = request.topic is not None and request.topic[0] in "+#"


class NativeConnection(PacedConnection):
    """One client."""

    def __init__(self, endpoint: NativeEndpoint, encoding: Encoding) -> None:
        super().__init__(endpoint.clock, encoding, self._deliver_retained)
        self.endpoint = endpoint
        self.subscriptions: dict[str | int, Subscription] = {}
        self.is_lost = False
        self.login_timer: Any = None
        self.meter: Any = None
        self.published = 0

    # ── what management shows ─────────────────────────────────────────────────────────────────────────────────────

    protocol = "Hubbub WebSocket"

    @property
    def user(self) -> Any:
        """Who is logged in; None before the login, and for the operator's own code."""
        return self.client.user if self.client is not None else None

    @property
    def vhost(self) -> Any:
        """Where; None before the login."""
        return self.client.vhost if self.client is not None else None

    @property
    def observed(self) -> dict[str, Any]:
        """What it has besides of every connection's."""
        return {"subscriptions": len(self.subscriptions)}

    # ── from the edge ─────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self) -> None:
        """The client has a moment for its hello."""
        due_ms = self.endpoint.clock.now_ms + self.endpoint.handshake_timeout_ms
        self.login_timer = self.endpoint.clock.call_at(due_ms, self._on_late)

    def on_received(self, data: bytes) -> int:
        """One message."""
        try:
            request = self.encoding.decode(data)
        except ValueError as error:
            self._fail(None, "malformed", str(error))
        else:
            self._on_request(request)
        if self.meter is not None:
            self.meter.charge(self.published, self.bytes_received)
        self.requests_in_turn += 1
        if self.requests_in_turn >= PER_TURN_MAX:
            self.wait("turn")
            self.end_turn_later()
        if self.output.is_full:
            self.wait("reader")
        return len(data)

    def shut_down(self, text: str) -> None:
        """The broker stops."""
        self.output.close_with(GOING_AWAY, "the broker stops")

    def lost(self, reason: str) -> None:
        """The client is gone: what it had not dealt with is somebody else's."""
        self.is_lost = True
        self._stop_login_timer()
        client, self.client = self.client, None
        self.subscriptions.clear()
        if client is not None:
            if client.user is not None:
                self.endpoint.broker.publish_rates.leave(self)
                self.endpoint.broker.presence.leave(client.user.name, client.vhost.name, self)
            client.close()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_request(self, request: messages.AnyRequest) -> None:
        client = self.client
        try:
            if isinstance(request, Ping):
                self.say(Pong(id=request.id))
            elif client is None:
                if not isinstance(request, Hello):
                    raise AccessRefused("expected hello first")
                self._on_hello(request)
            elif isinstance(request, Publish):
                self._on_publish(client, request)
            elif isinstance(request, Ack | Nack):
                self._on_settle(client, request)
            elif isinstance(request, Subscribe):
                self._on_subscribe(client, request)
            elif isinstance(request, Unsubscribe):
                self._on_unsubscribe(client, request)
            elif isinstance(request, Declare):
                self._on_declare(client, request)
            else:
                self._fail(request.id, "invalid", "hello was said before")
        except CoreError as error:
            self._fail(request.id, translate.error_code(error), error.text)
        except ValueError as error:
            self._fail(request.id, "invalid", str(error))
        except Undecided as undecided:
            self.wait("decision")
            undecided.question.when_decided(lambda: self._on_decided(request))

    def _on_decided(self, request: messages.AnyRequest) -> None:
        """Others have said who the user is, or what they may."""
        if not self.is_lost:
            self.waits.discard("decision")
            self._on_request(request)
            if not self.waits:
                self.output.resume_reading()

    def _on_hello(self, request: Hello) -> None:
        if request.version != DIALECT_VERSION:
            raise AccessRefused(f"expected version {DIALECT_VERSION} of the dialect")
        broker, name = self.endpoint.broker, request.user
        if name is not None:
            password = request.password.encode()
            self.client = log_in(broker, name, password, vhost=request.vhost, peer=self.peer, number=self.number)
        elif self.endpoint.anonymous_user:
            anonymous = self.endpoint.anonymous_user
            self.client = admit(broker, anonymous, vhost=request.vhost, peer=self.peer, number=self.number)
        else:
            raise AccessRefused("expected a user and a password")
        assert self.client.user is not None
        name = self.client.user.name
        self._enter(self.client)
        self._stop_login_timer()
        if self.client.user.expires_ms:
            self.login_timer = self.endpoint.clock.call_at(self.client.user.expires_ms, self._on_expired)
        self.say(
            Welcome(id=request.id, server=f"Hubbub {VERSION}", user=name, vhost=request.vhost, version=DIALECT_VERSION)
        )

    def _on_expired(self) -> None:
        """The token that named the user says no longer so."""
        self.login_timer = None
        self.output.close_with(POLICY_VIOLATION, "the credentials have expired")

    def _enter(self, client: Client) -> None:
        """Count the client in. Raises LimitExceeded: then it is nobody."""
        if client.user is None:
            return
        try:
            self.endpoint.broker.presence.enter(client.user.name, client.vhost.name, self)
        except CoreError:
            self.client = None
            client.close()
            raise
        self._be_metered()

    def _be_metered(self) -> None:
        self.endpoint.broker.publish_rates.renew(self, lambda: self.wait("rate"), lambda: self.go_on("rate"))

    @property
    def bytes_received(self) -> int:
        """Since the connection was opened."""
        return int(self.output.bytes_received)

    def on_rights_changed(self) -> None:
        """See core.presence.Present: whoever may not be here is told so and cut; what may not be read is cancelled."""
        client = self.client
        if client is None or client.user is None:
            return
        name, vhost = client.user.name, client.vhost.name
        if client.user.is_deleted:
            self.expel(f"user '{name}' is deleted")
        elif not client.user.asks_others and not client.user.may_access(vhost):
            self.expel(f"access to vhost '{vhost}' refused for user '{name}'")
        else:
            client.topics.forget()
            self._be_metered()
            for id_, subscription in list(self.subscriptions.items()):
                if not self._may_go_on(client, subscription):
                    self._revoke(client, id_, subscription)

    def _may_go_on(self, client: Client, subscription: Subscription) -> bool:
        try:
            client.check("read", "queue", subscription.queue)
            if subscription.key is not None:
                client.topics.check_bind(TOPICS, subscription.key)
        except CoreError:
            return False
        except Undecided:
            return True  # granted before; others are not asked anew
        return True

    def _revoke(self, client: Client, id_: str | int, subscription: Subscription) -> None:
        if subscription.own_queue:
            client.vhost.remove_queue(client.vhost.queues[subscription.own_queue])  # which cancels it
            return
        client.cancel(subscription.consumer_tag)
        self._on_cancelled(id_)

    def expel(self, text: str) -> None:
        """It may not be here any more, or an administrator ends it."""
        self.say(Error(id=None, code="refused", text=text))
        self.output.close_with(POLICY_VIOLATION, text)

    def _on_publish(self, client: Client, request: Publish) -> None:
        self.published += 1
        exchange, key = translate.destination(request)
        body = translate.body_of(request)
        wants_answer = request.id is not None
        persistent = request.persistent if request.persistent is not None else wants_answer
        if request.retain and request.topic is None:
            raise ValueError("only what is published to a topic can be retained")

        def told(outcome: Outcome) -> None:
            if outcome == "accepted":
                self.say(Accepted(id=request.id))
            elif outcome == "unroutable":
                self._fail(request.id, "unroutable", "nobody would get it")
            else:
                self._fail(request.id, "not_accepted", "a queue is full, or the disk has failed")
            if "acceptance" in self.waits and client.awaited_count <= self.endpoint.awaited_max // 2:
                self.go_on("acceptance")

        client.publish(
            exchange,
            key,
            body,
            translate.core_properties(request.properties, persistent=persistent),
            told=told if wants_answer or request.mandatory else None,
            mandatory=request.mandatory,
            retain=request.retain,
        )
        if client.awaited_count >= self.endpoint.awaited_max:
            self.wait("acceptance")
        if client.is_ahead and "disk" not in self.waits:
            self.wait("disk")
            client.when_stored(self._on_disk, self._on_disk)
        fan_out = self.endpoint.broker.fan_out
        if fan_out.left < 0:
            self.wait("fan_out")
            fan_out.rest(lambda: self.go_on("fan_out"))

    def _on_subscribe(self, client: Client, request: Subscribe) -> None:
        if request.id in self.subscriptions:
            raise ValueError(f"subscription {request.id!r} is there")
        if len(self.subscriptions) >= self.endpoint.subscriptions_max:
            self._fail(request.id, "limit", f"a client has at most {self.endpoint.subscriptions_max} subscriptions")
            return
        if (request.topic is None) == (request.queue is None):
            raise ValueError("expected one of topic, queue")
        retained: Iterator[Any] = iter(())
        queue = request.queue or ""
        if request.topic is not None:
            key = translate.filter_key(request.topic)
            client.topics.check_bind(TOPICS, key)
            retained = client.retained(key)
            queue = client.declare_queue(durable=False, exclusive=True)
            try:
                client.bind(queue, TOPICS, key)
            except (CoreError, Undecided):
                client.delete_queue(queue)
                raise
        subscription = Subscription(request, queue)
        self.subscriptions[request.id] = subscription

        def started() -> None:
            self.say(Subscribed(id=request.id))
            self.retained.append(subscription, retained)
            if not self.retained.send():
                self.keep_retained(client)

        try:
            subscription.consumer_tag = client.consume(
                queue,
                lambda received: self._deliver(client, request.id, subscription, received),
                credit=min(request.credit, self.endpoint.credit_max),
                no_ack=not request.ack,
                on_started=started,
                on_cancelled=lambda: self._on_cancelled(request.id),
            )
        except (CoreError, Undecided):
            del self.subscriptions[request.id]
            if subscription.own_queue:
                client.delete_queue(subscription.own_queue)
            raise

    def _on_unsubscribe(self, client: Client, request: Unsubscribe) -> None:
        subscription = self.subscriptions.pop(request.id, None)
        if subscription is None:
            self._fail(request.id, "not_found", f"no subscription {request.id!r}")
            return
        client.cancel(subscription.consumer_tag)
        if subscription.own_queue:
            client.delete_queue(subscription.own_queue)
        self.say(Unsubscribed(id=request.id))

    def _on_settle(self, client: Client, request: Ack | Nack) -> None:
        outcome = COMPLETE
        if isinstance(request, Nack):
            outcome = REQUEUE if request.requeue else DISCARD
        client.settle(request.tag, outcome, multiple=request.multiple)

    def _on_declare(self, client: Client, request: Declare) -> None:
        name = client.declare_queue(request.queue, durable=request.durable, arguments=request.arguments)
        client.when_stored(
            lambda: self.say(Declared(id=request.id, queue=name)),
            lambda: self._fail(request.id, "not_accepted", "the disk has failed"),
        )

    # ── deliveries ────────────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, client: Client, id_: str | int, subscription: Subscription, received: Received) -> None:
        message = received.message
        if subscription.skips_dollar and message.routing_key.startswith(b"$"):
            if subscription.ack:
                client.settle(received.tag)
            return
        tag = received.tag if subscription.ack else None
        self.say(translate.delivered(received, subscription=id_, tag=tag, octets=subscription.octets))
        self.deliveries_in_turn += 1
        if self.deliveries_in_turn >= PER_TURN_MAX:
            client.hold()
            self.end_turn_later()
        elif self.output.is_full:
            client.hold()

    def _deliver_retained(self, subscription: Subscription, message: Any) -> None:
        """What was retained before the subscription has nothing to be settled."""
        id_ = subscription.id
        self.deliveries_in_turn += 1
        if (subscription.skips_dollar and message.routing_key.startswith(b"$")) or self.subscriptions.get(
            id_
        ) is not subscription:
            return
        received = Received(0, "", message, redelivered=False)
        self.say(translate.delivered(received, subscription=id_, tag=None, octets=subscription.octets, retained=True))

    def _on_cancelled(self, id_: str | int) -> None:
        if self.subscriptions.pop(id_, None) is not None:
            self.say(Cancelled(id=id_))

    # ── when something has happened ───────────────────────────────────────────────────────────────────────────────────

    def _on_disk(self) -> None:
        self.go_on("disk")

    def _on_late(self) -> None:
        self.login_timer = None
        self._fail(None, "refused", "no hello in time")

    def _stop_login_timer(self) -> None:
        if self.login_timer is not None:
            self.login_timer.cancel()
            self.login_timer = None

    # ── saying ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fail(self, id_: str | int | None, code: str, text: str) -> None:
        """A request was not met. Before the login that is the end."""
        self.endpoint.errors[code] += 1
        self.say(Error(id=id_, code=code, text=text))
        if self.client is None:
            log.info("%s: %s: %s", self.peer, code, text)
            self.output.close_with(POLICY_VIOLATION, text)
