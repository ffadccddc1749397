"""MQTT's connections, fuzzed: a script (`script`) with clients A and B of different versions, a stranger, and AMQP.

Owns what must hold whatever they say: nothing breaks inside; every packet can be read and may be sent; a connection
that fails says why, in MQTT 5; somebody else is served afterwards; and of clients that are gone nothing is left.
"""

from __future__ import annotations

import copy
from contextlib import suppress

from broker.config import Mqtt
from broker.mqtt.endpoint import Endpoint
from broker.mqtt.reasons import CONNACK_REASONS, DISCONNECT_REASONS
from storage.memory_store import MemoryStore
from tests.fuzz import script
from tests.fuzz.visitor import AmqpVisitor
from tests.support import mqtt_codec as codec
from tests.support.in_process import BrokenBrokerError, watched
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_in_process import MqttClient, MqttInProcess

Seen = set[str]
CONVERSATIONS_PER_BROKER = 500
LIMITS = {"mqtt_subscriptions_per_session_max": 24, "mqtt_topic_levels_max": 16, "retained_messages_max": 6}
SETTINGS = [
    Mqtt(),
    Mqtt(session_messages_max=8, session_overflow="reject", queue_qos0=True),
    Mqtt(session_messages_max=8, session_bytes_max=10_000, share_strategy="sticky"),
    Mqtt(session_expiry_max_s=30, keep_alive_max_s=10, session_messages_max=4, session_overflow="drop-tail"),
]
SMALLEST_CONNACK = 5
"""Who takes no packet as large as that is closed without a word."""
BYSTANDER_TOPIC = "$bystander/own"
"""What no wildcard matches, so that no full queue refuses it."""
RESTARTS_ONE_IN = 16
DEFAULTS = {"session_expiry": 100, "receive_maximum": 5, "topic_alias_maximum": 2}


def require(truth: object, text: str) -> None:
    if not truth:
        raise BrokenBrokerError(text)


class Heard:
    """One client, and what the broker has told it so far: refuses what no broker may say."""

    def __init__(self, client: MqttClient, name: str) -> None:
        self.client = client
        self.name = name
        self.greeted = False
        self.last: codec.Packet | None = None

    def listen(self, *, has_failed: bool) -> Seen:
        """Everything that was said since; `has_failed`: it is over, and not because it wanted to."""
        connection = self.client.connection
        self.client.version = connection.version or self.client.version
        said = self.client.talk()
        for packet in said:
            self.check(packet)
        if has_failed and connection.version == V5 and connection.packet_bytes_max >= SMALLEST_CONNACK:
            require(self.last is not None and self.last.reason >= 0x80, f"closed without a reason after {self.last}")
        if self.client.is_over:
            require(not self.client.unread, "half a packet at the end")
        return {f"{self.client.version} {each.name} {each.reason:x}" for each in said}

    def check(self, packet: codec.Packet) -> None:
        connection, version = self.client.connection, self.client.version
        over = self.last is not None and (
            self.last.kind == codec.DISCONNECT or (self.last.kind == codec.CONNACK and self.last.reason)
        )
        require(not over, f"{packet} after {self.last}")
        if not self.greeted:
            require(packet.kind in (codec.CONNACK, codec.AUTH), f"{packet} before CONNACK")
        if packet.kind == codec.CONNACK:
            require(not self.greeted, "a second CONNACK")
            self.greeted = True
            require(packet.reason in (CONNACK_REASONS if version == V5 else range(6)), f"{packet}")
        elif packet.kind == codec.DISCONNECT:
            require(version == V5 and packet.reason in DISCONNECT_REASONS, f"{packet} in version {version}")
        elif packet.kind == codec.AUTH:
            require(version == V5, "AUTH before MQTT 5")
        elif packet.kind == codec.PUBLISH:
            self.check_publish(packet)
        require(packet.size <= connection.packet_bytes_max, f"{packet.size} bytes of at most "
                f"{connection.packet_bytes_max}: {packet.name}")  # fmt: skip
        self.last = packet

    def check_publish(self, packet: codec.Packet) -> None:
        alias = packet.properties.get("topic_alias")
        require(packet.topic or alias, "a PUBLISH without a topic")
        require(not set(packet.topic) & {"+", "#", "\0"}, f"a topic that nobody can publish to: {packet.topic!r}")
        require(not (packet.dup and packet.qos == 0), "DUP with QoS 0")
        require(packet.packet_id != 0, "packet identifier 0")


class Stage:
    """The brokers that are kept from one conversation to the next, one for each of SETTINGS."""

    def __init__(self) -> None:
        self.inside: dict[int, MqttInProcess] = {}
        self.used: dict[int, int] = {}
        self.bindings: dict[int, int] = {}

    def broker(self, number: int) -> MqttInProcess:
        if self.used.get(number, 0) >= CONVERSATIONS_PER_BROKER:
            self.inside.pop(number).close()
        if number not in self.inside:
            self.inside[number] = MqttInProcess(SETTINGS[number], None, **LIMITS)
            self.inside[number].mqtt.sessions.leaving.per_turn_max = 2
            bystander(self.inside[number])
            self.inside[number].clear()
            self.used[number] = 0
            self.bindings[number] = binding_count(self.inside[number])
        self.used[number] += 1
        return self.inside[number]

    def drop(self, number: int) -> None:
        """What broke once is not to be trusted."""
        inside = self.inside.pop(number, None)
        if inside is not None:
            with suppress(Exception):
                inside.close()


STAGE = Stage()


def binding_count(inside: MqttInProcess) -> int:
    return len(inside.broker.vhosts["/"].exchanges["amq.topic"].bindings)


def mqtt(version: int, raw: bytes) -> Seen:
    """No script makes the broker fail, say what it may not, or hold on to what its clients left."""
    number = sum(raw[3:40]) % len(SETTINGS)
    inside = STAGE.broker(number)
    seen: Seen = set()
    try:
        with watched():
            play = Play(inside, version)
            for kind, content in script.read(raw):
                seen |= play.step(kind, content)
            bystander(inside)
            play.end()
            if sum(raw[-8:]) % RESTARTS_ONE_IN == 0:
                check_restart(inside, SETTINGS[number])
            check_empty(inside, STAGE.bindings[number])
    except BaseException:
        STAGE.drop(number)
        raise
    return seen


class Play:
    """One script on one broker."""

    def __init__(self, inside: MqttInProcess, version: int) -> None:
        self.inside = inside
        self.versions = {script.CLIENT_A: version, script.CLIENT_B: V311 if version == V5 else V5, script.STRANGER: V5}
        self.clients: dict[int, Heard] = {}
        self.visitor = AmqpVisitor(inside)

    def step(self, kind: int, content: bytes) -> Seen:
        failed_before = self.inside.mqtt.counters.connections_failed
        running = {who for who, heard in self.clients.items() if heard.greeted and not heard.client.is_over}
        if kind == script.WAIT:
            self.inside.pass_ms(min(int.from_bytes(content[:4], "big"), script.WAIT_MS_MAX))
        elif kind == script.LOSE:
            lost = self.clients.pop(content[0] if content else 0, None)
            if lost is not None:
                lost.client.lose()
        elif kind == script.OTHER:
            self.visitor.hear(content)
        else:
            self.client(kind, content).client.hear(content)
        failed = self.inside.mqtt.counters.connections_failed > failed_before
        seen = set()
        for who, heard in self.clients.items():
            is_speaker = who == kind
            over = heard.client.is_over and not heard.client.is_lost
            seen |= heard.listen(has_failed=over and (failed if is_speaker else who in running))
        return seen

    def client(self, kind: int, content: bytes) -> Heard:
        """The client of that name, connected anew where it is gone: in its own words if it begins with CONNECT."""
        heard = self.clients.get(kind)
        if heard is not None and not heard.client.is_over:
            return heard
        if heard is not None:
            heard.client.lose()
        heard = self.clients[kind] = Heard(self.inside.arrive(self.versions[kind]), str(kind))
        if kind != script.STRANGER and content[:1] != b"\x10":
            version = self.versions[kind]
            properties = DEFAULTS if version == V5 else {}
            heard.client.hear(codec.connect(version, "ab"[kind], clean=False, properties=properties))
        return heard

    def end(self) -> None:
        """Everybody is gone without a word."""
        for heard in self.clients.values():
            heard.client.lose()
        self.visitor.leave()


def bystander(inside: MqttInProcess) -> None:
    """Somebody who behaves is served."""
    client = inside.arrive(V311, "127.0.0.1:6000")
    client.hear(codec.connect(V311, "bystander") + codec.subscribe(V311, 1, [Filter(BYSTANDER_TOPIC, 1)]))
    client.hear(codec.publish(V311, BYSTANDER_TOPIC, b"m", qos=1, packet_id=2))
    kinds = [(each.kind, each.payload) for each in client.talk()]
    wanted = [(codec.CONNACK, b""), (codec.SUBACK, b""), (codec.PUBACK, b""), (codec.PUBLISH, b"m")]
    require(sorted(kinds) == sorted(wanted), f"a bystander gets {kinds}")
    client.hear(codec.disconnect(V311))
    client.lose()


def check_restart(inside: MqttInProcess, settings: Mqtt) -> None:
    """Another broker on a copy of what is on disk has the same sessions, with all that is owed in them."""
    inside.commit()
    before = sessions_of(inside.mqtt)
    assert inside.store.state is not None
    again = MqttInProcess(settings, MemoryStore(state=copy.deepcopy(inside.store.state)), **LIMITS)
    try:
        after = sessions_of(again.mqtt)
        require(set(before) == set(after), f"sessions {sorted(after)} instead of {sorted(before)}")
        for name, facts in before.items():
            require(facts == after[name], f"session {name}: {after[name]} instead of {facts}")
    finally:
        again.close()


def sessions_of(endpoint: Endpoint) -> dict[str, tuple[object, ...]]:
    """What of each stored session must be the same after a restart."""
    found: dict[str, tuple[object, ...]] = {}
    for session in endpoint.sessions.by_name.values():
        if session.is_stored:
            held = sorted(  # a subscription to an AMQP queue lasts no longer than that does
                repr((key, each.as_stored())) for key, each in session.subscriptions.items() if each.share_name != b""
            )
            numbers = session.received_ids(), sorted(session.released_ids())
            found[session.client_id] = (session.expiry_interval_s, held, *numbers)
    return found


def check_empty(inside: MqttInProcess, bindings: int) -> None:
    """With everybody gone and every session ended nothing is held, and everything is accounted for."""
    mqtt = inside.mqtt
    require(not mqtt.connections, "a connection that is gone is still listed")
    require(not mqtt.keep_alives.place_of, "somebody waits to hear from a connection that is gone")
    require(not inside.broker.intake.holders and not inside.broker.intake.bytes, "a payload is still being taken")
    inside.commit()
    for session in list(mqtt.sessions.by_name.values()):
        require(session.expiry_interval_s != 0, "a session that should have ended with its connection")
        require(session.queue is None or not session.queue.counts["unaccounted"], "a session's queue has lost count")
        require(session.queue is None or not session.queue.unacked_count, "something is in flight to nobody")
        mqtt.sessions.end(session)
    while mqtt.sessions.leaving.by_name:
        inside.pass_ms(1)
    inside.check_account()
    vhost = inside.broker.vhosts["/"]
    require(not len(mqtt.sessions), "a session that ended is still there")
    require(not len(vhost.shares), "a group without members")
    inside.clear()
    vhost.retained.remove_all()
    inside.commit()
    require(len(vhost.retained) == 0, "a retained message that was removed")
    require(binding_count(inside) == bindings, "a binding of a session that is gone")
    for word, count in inside.broker.deleted_counts.items():
        require(word != "unaccounted" or count == 0, f"{count} messages unaccounted for")
