"""SUBSCRIBE and UNSUBSCRIBE as packets: one may hold tens of thousands of topic filters, so they are worked off some at
a time, and others are served in between.

    packet ─▶ decoded, all of it ─┬─ short: done at once ────────────────────────────────────────┬─▶ SUBACK, UNSUBACK
                                  └─ long: in turn with others' long ones, a slice per turn ─────┘
                                     of the loop; reading rests, so that answers keep their order

Owns the slices, and what is answered when all is done. Refuses to know what a subscription is (`subscriptions`).

Invariants: a packet that cannot be read changes nothing; nothing is answered before the last filter is done; what a
stored session holds is on disk before that (law 1). Where the connection ends meanwhile, the rest is not done: the
client was told nothing, and asks again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from broker.core.undecided import Undecided
from broker.mqtt import ending, subscriptions
from broker.mqtt.packets import Subscribe, Unsubscribe, decode_subscribe, decode_unsubscribe
from broker.mqtt.properties import Packet
from broker.mqtt.replies import encode_suback, encode_unsuback
from broker.mqtt.topics import split_share

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection
    from broker.mqtt.reasons import Reason

PER_TURN_MAX = 250
"""Topic filters, of one packet: some three milliseconds."""
REASON_CHARACTERS_MAX = 1000
"""Of what SUBACK says in words; what is beyond is cut off."""
RESTS_FOR_SLICES = 64
"""As in client.pxd."""


def on_subscribe(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """SUBSCRIBE: SUBACK, and the retained messages behind it. Raises MqttError, Undecided."""
    asked = decode_subscribe(connection.version, body)
    if connection.user.asks_others:
        subscriptions.ask(connection, asked.subscriptions)
    Subscribing(connection, asked).begin()


def on_unsubscribe(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """UNSUBSCRIBE: UNSUBACK. Raises MqttError."""
    Unsubscribing(connection, decode_unsubscribe(connection.version, body)).begin()


class LongPackets:
    """Those of the broker that are not done: one slice of one of them per turn, however many there are."""

    def __init__(self, clock: Any, per_turn_max: int = PER_TURN_MAX) -> None:
        """`clock`: core.clock.Clock; `per_turn_max`: topic filters."""
        self.clock = clock
        self.per_turn_max = per_turn_max
        self.waiting: deque[Slices] = deque()
        self.timer: Any = None

    def append(self, packet: Slices) -> None:
        """Its next slice is due when those before it have had theirs."""
        self.waiting.append(packet)
        if self.timer is None:
            self.timer = self.clock.call_at(self.clock.now_ms, self.on_turn)

    def on_turn(self) -> None:
        """The loop has gone round."""
        self.timer = None
        packet = self.waiting.popleft()
        try:
            packet.on_turn()
        finally:
            if self.waiting and self.timer is None:
                self.timer = self.clock.call_at(self.clock.now_ms, self.on_turn)


class Slices:
    """One packet that is being worked off."""

    def __init__(self, connection: MqttConnection, filters: list[Any]) -> None:
        self.connection = connection
        self.session = connection.session
        self.filters = filters
        self.done = 0
        self.reasons: list[Reason] = []
        self.long = connection.endpoint.long_packets

    def begin(self) -> None:
        """At once where it is short. Raises Undecided."""
        if len(self.filters) > self.long.per_turn_max:
            self.connection.rest(RESTS_FOR_SLICES)
            self.long.append(self)
        else:
            self.go_on()

    def go_on(self) -> None:
        """The next slice, and the answer behind the last one. Raises Undecided."""
        for each in self.filters[self.done : self.done + self.long.per_turn_max]:
            self.reasons.append(self.do(each))
            self.done += 1
        if self.done < len(self.filters):
            self.long.append(self)
            return
        connection = self.connection
        if self.session.is_stored:
            self.session.sessions.write(self.session)
            connection.when_stored(self.answer)
        else:
            self.answer()
        connection.go_on(RESTS_FOR_SLICES)

    def on_turn(self) -> None:
        """Others were served: go on in the user's name, unless the connection has ended."""
        connection = self.connection
        if connection.session is not self.session:
            return
        try:
            connection.broker.events.act_as(connection.user.name, self.go_on)
        except Undecided as undecided:  # what others had said holds no more: the same filter again
            undecided.question.when_decided(lambda: self.long.append(self))
        except Exception as error:
            ending.on_internal_error(connection, error)

    def do(self, each: Any) -> Reason:
        """One topic filter. Raises Undecided, having changed nothing."""
        raise NotImplementedError("a packet says what is done with its filters")

    def answer(self) -> None:
        """Everything is done, and on disk where it must be."""
        raise NotImplementedError("a packet says how it is answered")


class Subscribing(Slices):
    """SUBSCRIBE."""

    def __init__(self, connection: MqttConnection, asked: Subscribe) -> None:
        super().__init__(connection, asked.subscriptions)
        self.asked = asked
        self.refusals: list[str] = []
        self.retained = subscriptions.Found(self.session)

    def do(self, each: Any) -> Reason:
        """See Slices."""
        identifier = self.asked.subscription_identifier
        reason, refusal = subscriptions.subscribe(self.connection, each, identifier, self.retained)
        if refusal:
            self.refusals.append(refusal)
        return reason

    def answer(self) -> None:
        """SUBACK first: what the subscriptions bring at once comes behind it."""
        connection = self.connection
        text = "; ".join(self.refusals) if connection.wants_reasons else ""
        answer = encode_suback(
            connection.version,
            self.asked.packet_id,
            self.reasons,
            reason_string=text[:REASON_CHARACTERS_MAX] or None,
            packet_bytes_max=connection.packet_bytes_max,
        )
        connection.write(answer)
        subscriptions.send_retained(self.session, self.retained.messages)


class Unsubscribing(Slices):
    """UNSUBSCRIBE."""

    def __init__(self, connection: MqttConnection, asked: Unsubscribe) -> None:
        super().__init__(connection, asked.topic_filters)
        self.asked = asked

    def do(self, each: bytes) -> Reason:
        """See Slices."""
        return subscriptions.unsubscribe(self.session, *split_share(each))

    def answer(self) -> None:
        """UNSUBACK."""
        connection = self.connection
        connection.write(
            encode_unsuback(
                connection.version,
                self.asked.packet_id,
                self.reasons,
                packet_bytes_max=connection.packet_bytes_max,
            )
        )
