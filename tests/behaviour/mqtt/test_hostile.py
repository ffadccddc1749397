"""Too many subscriptions, connections and messages: the server lives, others are served, its memory is bounded."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import pytest

from tests.support import mqtt_codec as codec
from tests.support.hostility import anonymous_mib, descriptors
from tests.support.mqtt_codec import V5, Filter
from tests.support.mqtt_raw import Client, MqttRaw, PeerClosedError, clients, unique
from tests.support.mqtt_server import make_mqtt_server
from tests.support.polling import eventually
from tests.support.server import Server, serving

pytestmark = pytest.mark.timeout(120)
SUBSCRIPTIONS = 100_000
A_PACKET = 1000


@pytest.fixture(scope="module")
def mqtt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own, whose memory nobody else uses."""
    running = make_mqtt_server(tmp_path_factory.mktemp("hostile"))
    with serving(running):
        yield running


@pytest.fixture
def client(mqtt_server: Server) -> Iterator[Client]:
    with clients(mqtt_server.address) as make:
        yield make


def round_trip(client: Client) -> None:
    """Somebody else is still served."""
    peer = client()
    topic = unique("bystander/")
    peer.subscribe(topic, qos=1)
    peer.deliver(topic, b"m", qos=1)
    assert peer.message().payload == b"m"


def test_many_subscriptions(mqtt_server: Server, client: Client) -> None:
    """100,000 distinct filters of one client: each still finds its message, at less than 1.5 KB each."""
    before = anonymous_mib(mqtt_server)
    peer = client(V5)
    root = unique("many")
    for start in range(0, SUBSCRIPTIONS, A_PACKET):
        filters = [Filter(f"{root}/{number % 100}/{number}/+") for number in range(start, start + A_PACKET)]
        peer.send(codec.subscribe(V5, peer.packet_id(), filters))
        assert set(peer.expect(codec.SUBACK).reasons) == {0}
    assert anonymous_mib(mqtt_server) - before < SUBSCRIPTIONS * 1.5 / 1024

    for number in (0, 4_711, SUBSCRIPTIONS - 1):
        peer.publish(f"{root}/{number % 100}/{number}/x", b"m")
        assert peer.message().topic.endswith(f"/{number}/x")
    peer.nothing()
    round_trip(client)
    peer.disconnect()
    publisher = client()
    publisher.deliver(f"{root}/0/0/x", b"nobody", qos=1)


def test_a_bomb_of_wildcards(mqtt_server: Server, client: Client) -> None:
    """1,000 filters of many `+` that all match one topic of 60 levels: the message comes, and soon."""
    peer = client(V5)
    levels = ["a"] * 60
    filters = []
    for number in range(A_PACKET):
        chosen = ["+" if number >> (place % 10) & 1 and place < 50 else level for place, level in enumerate(levels)]
        filters.append(Filter("/".join(chosen)))
    peer.send(codec.subscribe(V5, peer.packet_id(), filters))
    assert len(peer.expect(codec.SUBACK).reasons) == A_PACKET
    peer.publish("/".join(levels), b"m")

    assert peer.message().payload == b"m"
    peer.ping()
    round_trip(client)


def test_a_reader_that_does_not_read(mqtt_server: Server, client: Client) -> None:
    """200 MB of QoS 0 for a subscriber that reads nothing: dropped above a bound, while another gets everything."""
    topic = unique("slow")
    before = anonymous_mib(mqtt_server)
    slow = client(V5)
    slow.subscribe(topic)
    publisher = client(V5)
    watcher = client(V5)
    watcher.subscribe(topic)
    payload = b"p" * 100_000
    for _ in range(200):
        for _ in range(10):
            publisher.publish(topic, payload)
        assert {len(each.payload) for each in watcher.messages(10)} == {len(payload)}
    assert anonymous_mib(mqtt_server) - before < 100
    round_trip(client)


def test_a_storm_of_connections(mqtt_server: Server, client: Client) -> None:
    """500 at once, half of which never say a word, then all gone without farewell; nothing is left of them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(500, soft - 200)
    round_trip(client)
    before = descriptors(mqtt_server)
    with contextlib.ExitStack() as stack:
        storm = []
        for number in range(count):
            peer = MqttRaw(mqtt_server.address, V5)
            stack.callback(peer.close)
            storm.append(peer)
            if number % 2:
                peer.send(codec.connect(V5, unique("storm")), codec.PING)
        for peer in storm[1::2]:
            assert peer.expect(codec.CONNACK).reason == 0
            peer.expect(codec.PINGRESP)
        round_trip(client)
        for peer in storm:
            peer.reset()
    eventually(lambda: descriptors(mqtt_server) <= before + 5)
    round_trip(client)


@pytest.mark.parametrize("version", [codec.V311, V5])
def test_a_packet_that_claims_to_be_huge(mqtt_server: Server, client: Client, version: int) -> None:
    """256 MB announced: refused, or waited for without making room for it."""
    before = anonymous_mib(mqtt_server)
    peers = []
    for _ in range(20):
        peer = client(version)
        peer.send(b"\x30\xff\xff\xff\x7f" + b"\0\1t")
        peers.append(peer)
    round_trip(client)
    for peer in peers:
        peer.socket.settimeout(0.01)
        with contextlib.suppress(PeerClosedError, TimeoutError):
            assert peer.receive().reason in (0x95, 0x81)
    assert anonymous_mib(mqtt_server) - before < 50


def test_a_hoarder_of_unacknowledged_messages(mqtt_server: Server, client: Client) -> None:
    """A subscriber of QoS 1 that never acknowledges gets its window's worth and no more; later, the rest."""
    topic = unique("hoard")
    peer = client(V5, properties={"receive_maximum": 10})
    peer.subscribe(topic, qos=1)
    publisher = client(V5)
    for number in range(1000):
        publisher.publish(topic, b"%d" % number, qos=1)
    for _ in range(1000):
        publisher.expect(codec.PUBACK)
    peer.ping()
    assert len(peer.waiting) == 10
    assert [int(each.payload) for each in peer.messages(1000)] == list(range(1000))
    round_trip(client)
