"""SIGKILL under MQTT load, with persistent sessions: what was acknowledged is there, and QoS 2 comes exactly once;
retained messages are the last that were acknowledged; wills of who was connected, or about to be given up, are said.

HUBBUB_KILL_ROUNDS_MQTT and HUBBUB_KILL_SEED change how often and how; the seed is told when it fails.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Will
from tests.support.mqtt_raw import MqttRaw, PeerClosedError
from tests.support.mqtt_server import MqttHubbub

ROUNDS = int(os.environ.get("HUBBUB_KILL_ROUNDS_MQTT", "3"))
SEED = int(os.environ.get("HUBBUB_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
TOPIC = "kill"
GONE = (PeerClosedError, OSError)


class Client:
    """A persistent session, and what it remembers between connections, as a client of the standard must."""

    def __init__(self, name: str, version: int, qos: int) -> None:
        self.name = name
        self.version = version
        self.qos = qos

    def connect(self, address: tuple[str, int]) -> MqttRaw:
        peer = MqttRaw(address, self.version)
        properties = {"session_expiry": 3600} if self.version == V5 else None
        peer.connect(self.name, clean=False, properties=properties)
        return peer


class Publisher(Client):
    """Publishes numbers one by one, and repeats with DUP what it has no answer to."""

    def __init__(self, name: str, version: int, qos: int) -> None:
        super().__init__(name, version, qos)
        self.number = 0
        self.phase = 0  # 0: PUBLISH is next; 1: PUBLISH was sent; 2: PUBREC came, PUBREL is owed
        self.done: list[bytes] = []

    def work(self, peer: MqttRaw) -> None:
        packet_id = self.number % 65535 + 1
        payload = f"{self.name} {self.number}".encode()
        if self.phase < 2:
            peer.publish(TOPIC, payload, qos=self.qos, packet_id=packet_id, dup=self.phase == 1)
            self.phase = 1
            peer.expect(codec.PUBACK if self.qos == 1 else codec.PUBREC)
            self.phase = 2
        if self.qos == 2:
            peer.send(codec.ack(codec.PUBREL, packet_id))
            peer.expect(codec.PUBCOMP)
        self.done.append(payload)
        self.number += 1
        self.phase = 0


class Subscriber(Client):
    """Takes messages as the standard says: with QoS 2 a packet identifier counts once until it is released."""

    def __init__(self, name: str, version: int, qos: int) -> None:
        super().__init__(name, version, qos)
        self.got: Counter[bytes] = Counter()
        self.held: set[int] = set()

    def work(self, peer: MqttRaw) -> None:
        packet = peer.waiting.pop(0) if peer.waiting else peer.receive()
        assert packet.packet_id is not None
        if packet.kind == codec.PUBREL:
            self.held.discard(packet.packet_id)
            peer.send(codec.ack(codec.PUBCOMP, packet.packet_id))
        elif packet.kind == codec.PUBLISH and packet.qos == 2:
            if packet.packet_id not in self.held:
                self.held.add(packet.packet_id)
                self.got[packet.payload] += 1
            peer.send(codec.ack(codec.PUBREC, packet.packet_id))
        elif packet.kind == codec.PUBLISH:
            self.got[packet.payload] += 1
            peer.send(codec.ack(codec.PUBACK, packet.packet_id))


class Retainer(Client):
    """Retains numbers on a few topics in turn, and now and then nothing; remembers the last that was acknowledged."""

    TOPICS = 5

    def __init__(self, name: str, version: int, qos: int) -> None:
        super().__init__(name, version, qos)
        self.number = 0
        self.acknowledged: dict[str, int] = {}
        self.cleared: set[int] = set()

    def work(self, peer: MqttRaw) -> None:
        self.number += 1
        topic = f"retained/{self.name}/{self.number % self.TOPICS}"
        payload = b"" if self.number % 7 == 0 else b"%d" % self.number
        if not payload:
            self.cleared.add(self.number)
        peer.deliver(topic, payload, qos=self.qos, retain=True)
        self.acknowledged[topic] = self.number

    def check(self, found: dict[str, int]) -> None:
        """`found`: what is retained. The last that was acknowledged, or one that was on its way after it."""
        assert self.acknowledged
        for topic, number in self.acknowledged.items():
            later = {each for each in range(number, self.number + 1) if each % self.TOPICS == number % self.TOPICS}
            if topic in found:
                assert found[topic] in later - self.cleared, f"{topic}: {found[topic]} instead of {sorted(later)}"
            else:
                assert later & self.cleared, f"{topic}: nothing instead of {sorted(later)}"


def retained(peer: MqttRaw, text: str) -> dict[str, int]:
    """What is retained, by topic."""
    peer.subscribe(text, qos=0)
    peer.ping()
    found = {each.topic: int(each.payload) for each in peer.waiting}
    assert all(each.retain for each in peer.waiting)
    return found


def run(client: Publisher | Subscriber | Retainer, address: tuple[str, int], faults: list[BaseException]) -> None:
    """Work until the server is gone."""
    try:
        peer = client.connect(address)
        try:
            while True:
                client.work(peer)
        finally:
            peer.socket.close()
    except GONE:
        pass
    except BaseException as fault:
        faults.append(fault)


def life(server: MqttHubbub, clients: Sequence[Publisher | Subscriber | Retainer], lasts_s: float) -> None:
    """One start, work, and the end in the middle of it."""
    server.start()
    faults: list[BaseException] = []
    workers = [threading.Thread(target=run, args=(each, server.address, faults)) for each in clients]
    for worker in workers:
        worker.start()
    time.sleep(lasts_s)
    server.kill()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    assert not faults, faults


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_nothing_acknowledged_is_lost_and_qos_2_comes_exactly_once(tmp_path: Path, version: int) -> None:
    print(f"HUBBUB_KILL_SEED={SEED}")
    chance = random.Random(SEED)
    server = MqttHubbub(tmp_path / "server")
    publishers = [Publisher(f"publisher{qos}", version, qos) for qos in (1, 2)]
    subscribers = [Subscriber(f"subscriber{qos}", version, qos) for qos in (1, 2)]
    retainers = [Retainer(f"retainer{qos}", version, qos) for qos in (1, 2)]
    try:
        server.start()
        for each in subscribers:
            peer = each.connect(server.address)
            peer.subscribe(TOPIC, qos=each.qos)
            peer.socket.close()
        server.kill()
        for _ in range(ROUNDS):
            life(
                server,
                [*publishers, *subscribers, *retainers],
                chance.choice((0.05, 0.2, 0.5)) * (0.5 + chance.random()),
            )
        for _ in range(2):  # what is on its way comes to its end
            life(server, [*subscribers], 1.0)
        assert sum(len(each.done) for each in publishers) > 0
        for subscriber in subscribers:
            for publisher in publishers:
                lost = [payload for payload in publisher.done if not subscriber.got[payload]]
                assert lost == [], f"{subscriber.name} lost {lost[:5]} of {len(publisher.done)}"
        once = {payload: count for payload, count in subscribers[1].got.items() if count > 1}
        exactly = {payload for payload in once if payload.startswith(b"publisher2 ")}
        server.start()
        found = retained(retainers[0].connect(server.address), "retained/#")
        for retainer in retainers:
            retainer.check(found)
        assert not exactly, f"came more than once with QoS 2: {sorted(exactly)[:5]}"
    finally:
        server.kill()


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_the_wills_of_stored_sessions_are_said_after_a_crash(tmp_path: Path, version: int) -> None:
    """[MQTT-3.1.2-8]: the broker's end is one without DISCONNECT. The subscriber's session is restored after theirs."""
    server = MqttHubbub(tmp_path / "server")
    stored = {"session_expiry": 3600} if version == V5 else None

    def willing(name: str, **properties: int) -> MqttRaw:
        peer = MqttRaw(server.address, version)
        will = Will(f"wills/{name}", name.encode(), 1, retain=True, properties=dict(properties))
        peer.connect(f"a-{name}", clean=False, properties=stored, will=will)
        return peer

    try:
        server.start()
        subscriber = Subscriber("z-subscriber", version, 1)
        peer = subscriber.connect(server.address)
        peer.subscribe("wills/#", qos=1)
        peer.disconnect()
        willing("withdrawn").disconnect()
        connected = [willing("connected")]  # its CONNACK waited for the disk, which then has what was withdrawn before
        expected = {b"connected"}
        if version == V5:
            connected.append(willing("delayed", will_delay=1))
            connected.append(willing("back", will_delay=3600))
            willing("gone", will_delay=2).close()
            expected |= {b"delayed", b"gone"}
        server.kill()
        for each in connected:
            each.close()

        server.start()
        if version == V5:
            willing("back").disconnect()
        peer = subscriber.connect(server.address)
        assert {each.payload for each in peer.messages(len(expected))} == expected
        peer.nothing()
        late = MqttRaw(server.address, version)
        late.connect("late")
        late.subscribe("wills/#")
        assert {each.payload for each in late.messages(len(expected))} == expected
        late.nothing()

        server.kill()
        server.start()
        peer = subscriber.connect(server.address)
        peer.ping()
        assert all(each.dup for each in peer.waiting), "said twice; the acknowledgement alone may be lost"
    finally:
        server.kill()
