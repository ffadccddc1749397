"""The measured paths of MQTT: PUBLISH in and out, and connections, without sockets, over a store in memory.

Owns packets that clients send and the check of what they must get. The packets are MQTT 3.1.1's, written out here.
"""

from __future__ import annotations

import struct

from broker.config import Mqtt
from broker.limits import Limits
from broker.mqtt.connection import MqttConnection
from broker.mqtt.endpoint import Endpoint
from broker.wire.output import Output

from .paths import Path, Work

TOPIC = b"micro/topic"
BODY = b"0123456789abcdef"
TURN_MESSAGES = 512
"""QoS above 0: what is published between two reads of the subscriber. Below `limits.mqtt_inflight_max`."""
SUBSCRIBERS = 100
DISCONNECT = b"\xe0\0"
OWN_IDS = 32_767
"""The session's packet identifiers follow from its queue's positions: 1 + position % 32767."""


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """A control packet of less than 128 bytes."""
    return bytes((kind << 4 | flags, len(body))) + body


def text(value: bytes) -> bytes:
    """A string behind its length."""
    return struct.pack(">H", len(value)) + value


def publish(qos: int, packet_id: int) -> bytes:
    """PUBLISH."""
    return packet(3, qos << 1, text(TOPIC) + (struct.pack(">H", packet_id) if qos else b"") + BODY)


def ack(kind: int, packet_id: int) -> bytes:
    """PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7)."""
    return packet(kind, 2 if kind == 6 else 0, struct.pack(">H", packet_id))


class Client:
    """One connection of the broker, and what was taken out of it."""

    def __init__(self, work: MqttWork, name: bytes, qos: int | None = None) -> None:
        """Connected, with a clean session; subscribed where `qos` says with which."""
        self.connection = MqttConnection(work.house.broker, work.endpoint)
        self.connection.peer = "127.0.0.1:50000"
        self.output = Output(work.house.pool)
        self.connection.attach(self.output)
        self.connection.opened()
        self.feed = self.connection.feed
        self.take = self.output.take
        self.feed(packet(1, 0, text(b"MQTT") + b"\x04\x02\0\0" + text(name)))
        if qos is not None:
            self.feed(packet(8, 2, b"\0\1" + text(TOPIC) + bytes((qos,))))
        work.house.store.sync()
        self.take()


class MqttWork(Work):
    """One publisher and its subscribers."""

    qos = 0
    subscribers = 1

    def __init__(self) -> None:
        """Everybody is connected."""
        super().__init__()
        self.endpoint = Endpoint(self.house.broker, Limits(), Mqtt(sys_interval_s=0))
        self.endpoint.restore()
        self.publisher = Client(self, b"publisher")
        self.clients = [Client(self, b"subscriber%d" % number, self.qos) for number in range(self.subscribers)]
        self.turns: list[tuple[bytes, bytes, bytes]] = []
        self.messages = self.position = 0
        self.delivered = self.answered = b""

    def prepare(self, messages: int) -> int:
        """Per turn: what the publisher sends, what it sends then (PUBREL), what each subscriber answers."""
        count = -(-messages // TURN_MESSAGES)
        self.messages = count * TURN_MESSAGES
        self.turns = []
        for _ in range(count):
            ours = range(1, TURN_MESSAGES + 1)
            theirs = range(self.position + 1, self.position + TURN_MESSAGES + 1)
            self.position += TURN_MESSAGES
            sent = b"".join(publish(self.qos, number) for number in ours)
            released = b"".join(ack(6, number) for number in ours) if self.qos == 2 else b""
            ids = [1 + position % OWN_IDS for position in theirs]
            answers = b"".join(ack(4 if self.qos == 1 else 5, each) for each in ids) if self.qos else b""
            if self.qos == 2:
                answers += b"".join(ack(7, each) for each in ids)
            self.turns.append((sent, released, answers))
        return self.messages

    def run(self) -> None:
        """See Work."""
        publisher, clients = self.publisher, self.clients
        for sent, released, answers in self.turns:
            publisher.feed(sent)
            if released:
                publisher.feed(released)
            self.answered = publisher.take()
            for client in clients:
                self.delivered = client.take()
                if answers:
                    client.feed(answers)
                    client.take()

    def check(self) -> None:
        """The last turn came whole, in order, and was answered; nothing is left anywhere."""
        first = self.position - TURN_MESSAGES + 1
        ids = [1 + (first + index) % OWN_IDS for index in range(TURN_MESSAGES)]
        assert self.delivered == b"".join(publish(self.qos, each if self.qos else 0) for each in ids)
        kinds = {0: (), 1: (4,), 2: (5, 7)}[self.qos]
        said = b"".join(ack(kind, number) for kind in kinds for number in range(1, TURN_MESSAGES + 1))
        assert self.answered == said
        for vhost in self.house.broker.vhosts.values():
            assert all(queue.ready_count + queue.unacked_count == 0 for queue in vhost.queues.values())


class Qos1(MqttWork):
    """QoS 1 both ways, clean sessions: PUBLISH, PUBACK, PUBLISH, PUBACK."""

    qos = 1


class Qos2(MqttWork):
    """QoS 2 both ways, clean sessions: eight packets a message."""

    qos = 2


class Fanout(MqttWork):
    """QoS 0 to a hundred subscribers."""

    subscribers = SUBSCRIBERS


class Connects(Work):
    """CONNECT, CONNACK, DISCONNECT: nobody's name, a clean session, a client identifier of its own each time."""

    version = 4

    def __init__(self) -> None:
        """Nobody is connected."""
        super().__init__()
        self.endpoint = Endpoint(self.house.broker, Limits(), Mqtt(sys_interval_s=0))
        self.endpoint.restore()
        self.greetings: list[bytes] = []
        self.answer = b""

    def prepare(self, messages: int) -> int:
        """See Work. A message is a connection here."""
        begun = self.endpoint.opened
        properties = b"\0" if self.version == 5 else b""
        head = text(b"MQTT") + bytes((self.version, 2, 0, 0)) + properties
        self.greetings = [packet(1, 0, head + text(b"load-%d" % (begun + index))) for index in range(messages)]
        return messages

    def run(self) -> None:
        """See Work. What an edge does for each connection, without sockets."""
        broker, endpoint, pool = self.house.broker, self.endpoint, self.house.pool
        for greeting in self.greetings:
            connection = MqttConnection(broker, endpoint)
            connection.peer = "127.0.0.1:50000"
            output = Output(pool)
            connection.attach(output)
            connection.opened()
            connection.feed(greeting)
            self.answer = output.take()
            connection.feed(DISCONNECT)
            connection.lost("closed by peer")

    def check(self) -> None:
        """See Work."""
        assert self.answer[0] == 2 << 4
        assert self.answer[2:4] == b"\0\0"
        counters = self.endpoint.counters
        assert counters.connections_opened == counters.connections_closed == self.endpoint.opened
        assert not self.endpoint.connections
        assert not self.endpoint.sessions.by_name


class Connects5(Connects):
    """The same in MQTT 5."""

    version = 5


MQTT_PATHS = {
    "mqtt-qos0-16": Path(MqttWork, 80 * TURN_MESSAGES, "message"),
    "mqtt-qos1-16": Path(Qos1, 40 * TURN_MESSAGES, "message"),
    "mqtt-qos2-16": Path(Qos2, 40 * TURN_MESSAGES, "message"),
    "mqtt-fanout-100": Path(Fanout, 2 * TURN_MESSAGES, "message"),
    "mqtt-connect": Path(Connects, 1_000, "connect"),
    "mqtt5-connect": Path(Connects5, 1_000, "connect"),
}
