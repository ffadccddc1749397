"""What grows where nobody stops it: subscriptions, wills, retained messages, take-overs, identifiers, drips.

Each has a limit, of memory or of time, that is measured here; at it the client hears the specification's word, and
others are served all the while.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.support import mqtt_codec as codec
from tests.support.hostility import anonymous_mib, descriptors
from tests.support.mqtt_codec import V5, V31, V311, Filter, Will
from tests.support.mqtt_raw import Client, MqttRaw, PeerClosedError, clients, unique
from tests.support.mqtt_server import MqttHubbub
from tests.support.polling import eventually
from tests.support.server import serving

pytestmark = pytest.mark.timeout(120)
SUBSCRIPTIONS_MAX = 20_000
RETAINED_MAX = 500
QUOTA_EXCEEDED, TAKEN_OVER, TOO_LARGE, RECEIVE_MAXIMUM = 0x97, 0x8E, 0x95, 0x93
LEVELS = 128
RETAINED_PER_SUBSCRIBE_MAX = 2_000
SETTINGS = {
    "limits.mqtt_retained_per_subscribe_max": RETAINED_PER_SUBSCRIBE_MAX,
    "limits.mqtt_subscriptions_per_session_max": SUBSCRIPTIONS_MAX,
    "limits.retained_messages_max": RETAINED_MAX,
    "limits.handshake_timeout_ms": 1500,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttHubbub]:
    running = MqttHubbub(tmp_path_factory.mktemp("bombs"), SETTINGS)
    with serving(running):
        yield running


@pytest.fixture
def client(server: MqttHubbub) -> Iterator[Client]:
    with clients(server.address) as make:
        yield make


def round_trip_s(client: Client) -> float:
    """Somebody else is still served; how long a message of QoS 1 takes to there and back."""
    peer = client()
    topic = unique("bystander/")
    peer.subscribe(topic, qos=1)
    started = time.monotonic()
    peer.deliver(topic, b"m", qos=1)
    assert peer.message().payload == b"m"
    took_s = time.monotonic() - started
    peer.disconnect()
    return took_s


def filters(root: str, count: int, first: int = 0) -> list[Filter]:
    return [Filter(f"{root}/{number}") for number in range(first, first + count)]


@pytest.mark.parametrize("version", [V31, V311, V5])
def test_a_session_has_at_most_so_many_subscriptions(client: Client, version: int) -> None:
    peer, root = client(version), unique("s")
    for first in range(0, SUBSCRIPTIONS_MAX, 2000):
        peer.send(codec.subscribe(version, peer.packet_id(), filters(root, 2000, first)))
        assert set(peer.expect(codec.SUBACK).reasons) == {0}

    peer.send(codec.subscribe(version, peer.packet_id(), filters(root, 10, SUBSCRIPTIONS_MAX - 5)))

    refused = QUOTA_EXCEEDED if version == V5 else 0x80
    assert peer.expect(codec.SUBACK).reasons == (0,) * 5 + (refused,) * 5  # the first five are there already
    peer.publish(f"{root}/{SUBSCRIPTIONS_MAX - 1}", b"m")
    assert peer.message().payload == b"m"
    peer.unsubscribe(f"{root}/0")
    assert peer.subscribe(f"{root}/another").reasons == (0,)
    assert round_trip_s(client) < 1


@pytest.mark.parametrize("version", [V311, V5])
def test_the_largest_subscribe_there_may_be(client: Client, version: int) -> None:
    """128 KiB of filters in one packet are taken at once; a byte more ends the connection without waiting for it."""
    peer, root = client(version), unique("l")
    many = [Filter(f"{root}/{number:05}") for number in range(5000)]
    peer.send(codec.subscribe(version, 1, many))
    assert len(peer.expect(codec.SUBACK).reasons) == len(many)
    assert round_trip_s(client) < 1

    peer.send(bytes([codec.SUBSCRIBE << 4 | 2]) + codec.varint(128 * 1024 + 1) + b"\0\1")

    said = peer.until_closed()
    assert [each.reason for each in said] == ([TOO_LARGE] if version == V5 else [])


def test_many_deep_filters_full_of_wildcards(client: Client) -> None:
    """Every way to write + or a letter in the first ten of 128 levels, and # behind every one: each topic of them all
    is found among some 130,000 places of the tree. Nothing is kept from the last: each topic is another."""
    peer, publisher = client(V5), client(V5)
    letters = ["x"] * LEVELS
    for start in range(0, 1024, 64):
        chosen = []
        for number in range(start, start + 64):
            levels = ["+" if number >> place & 1 else "x" for place in range(10)] + ["+"] * (LEVELS - 11)
            chosen.append(Filter("/".join([*levels, "#" if number & 1 else "end"])))
        assert set(peer.subscribe(*chosen).reasons) == {0}

    slowest_s = 0.0
    for number in range(50):
        topic = "/".join([*letters[:-1], f"n{number}"])
        started = time.monotonic()
        publisher.deliver(topic, b"deep", qos=1)
        slowest_s = max(slowest_s, time.monotonic() - started)
        assert peer.message().topic == topic

    assert slowest_s < 1.0, f"{slowest_s:.3f} s"
    assert round_trip_s(client) < 1


def test_many_wills_at_once(server: MqttHubbub, client: Client) -> None:
    """300 clients with wills of 60,000 bytes are cut off together: each will is said once, and then held by nobody."""
    topic = unique("wills")
    watcher = client(V5)
    watcher.subscribe(f"{topic}/#", qos=1)
    before = anonymous_mib(server)
    doomed = [
        client(V5, will=Will(f"{topic}/{number}", b"w" * 60_000, 1, properties={"will_delay": number % 2}),
               properties={"session_expiry": number % 2})
        for number in range(300)
    ]  # fmt: skip
    for each in doomed:
        each.reset()

    assert {each.topic for each in watcher.messages(300)} == {f"{topic}/{number}" for number in range(300)}
    watcher.nothing()
    assert round_trip_s(client) < 1
    assert anonymous_mib(server) - before < 100


def test_more_retained_messages_than_may_be(server: MqttHubbub, client: Client) -> None:
    """MQTT 5 hears 0x97 for what is not retained; who subscribes gets as many as the limit says."""
    root = unique("retained")
    publisher = client(V5)
    reasons = [
        publisher.deliver(f"{root}/{number}", b"r" * 1000, qos=1, retain=True).reason  # type: ignore[union-attr]
        for number in range(RETAINED_MAX + 100)
    ]
    assert [each for each in reasons if each < 0x80] == reasons[:RETAINED_MAX]
    assert set(reasons[RETAINED_MAX:]) == {QUOTA_EXCEEDED}

    peer = client(V5)
    peer.subscribe(f"{root}/#")
    assert len({each.topic for each in peer.messages(RETAINED_MAX)}) == RETAINED_MAX
    peer.nothing()

    greedy = client(V5)
    answer = greedy.subscribe(*[f"{root}/#"] * 5_000)  # 2,500,000 messages
    granted = RETAINED_PER_SUBSCRIBE_MAX // RETAINED_MAX
    assert answer.reasons == (0,) * granted + (QUOTA_EXCEEDED,) * (5_000 - granted)
    assert len(greedy.messages(RETAINED_PER_SUBSCRIBE_MAX)) == RETAINED_PER_SUBSCRIBE_MAX
    greedy.nothing()
    assert round_trip_s(client) < 1
    for number in range(RETAINED_MAX):
        publisher.publish(f"{root}/{number}", retain=True)
    publisher.ping()
    assert round_trip_s(client) < 1


def test_a_storm_of_take_overs(server: MqttHubbub, client: Client) -> None:
    """300 connections with one client identifier: all but the last are told 0x8E and closed, and nothing is left."""
    name = unique("one")
    before = descriptors(server)
    with contextlib.ExitStack() as stack:
        storm = []
        for _ in range(300):
            peer = MqttRaw(server.address, V5)
            stack.callback(peer.close)
            peer.send(codec.connect(V5, name, clean=False, properties={"session_expiry": 60}))
            storm.append(peer)
        for peer in storm[:-1]:
            said = peer.until_closed()
            assert [(each.kind, each.reason) for each in said[-1:]] == [(codec.DISCONNECT, TAKEN_OVER)]
        last = storm[-1]
        assert last.expect(codec.CONNACK).session_present
        last.subscribe(name, qos=1)
        last.deliver(name, b"m", qos=1)
        assert last.message().payload == b"m"
        assert round_trip_s(client) < 1
        last.disconnect(properties={"session_expiry": 0})
    eventually(lambda: descriptors(server) <= before + 3)


def test_every_packet_identifier_is_in_use(server: MqttHubbub, client: Client) -> None:
    """65,535 messages of QoS 2 that are never released, in MQTT 3, which knows no other bound: each gets PUBREC, and
    again when it is repeated, and nobody gets it again; released, the identifiers are free."""
    topic = unique("ids")
    subscriber, publisher = client(V5), client(V311, clean=False)
    subscriber.subscribe(topic)
    before = anonymous_mib(server)
    for first in range(1, 65_536, 1000):
        ids = range(first, min(first + 1000, 65_536))
        publisher.send(b"".join(codec.publish(V311, topic, b"m", qos=2, packet_id=each) for each in ids))
        assert [publisher.expect(codec.PUBREC).packet_id for _ in ids] == list(ids)
        assert len(subscriber.messages(len(ids))) == len(ids)
    assert anonymous_mib(server) - before < 50

    for each in (1, 32_768, 65_535):
        publisher.publish(topic, b"m", qos=2, packet_id=each, dup=True)
        assert publisher.expect(codec.PUBREC).packet_id == each
    subscriber.nothing()
    publisher.send(codec.ack(codec.PUBREL, 7))
    assert publisher.expect(codec.PUBCOMP).packet_id == 7
    publisher.publish(topic, b"new", qos=2, packet_id=7)
    assert subscriber.message().payload == b"new"
    assert round_trip_s(client) < 1


def test_one_message_more_than_the_receive_maximum(client: Client) -> None:
    """[MQTT-3.3.4-7]: MQTT 5 counts QoS 2 until PUBCOMP; the next one is told 0x93."""
    publisher = client(V5, raw=True)
    allowed = publisher.connect().properties["receive_maximum"]
    for first in range(1, allowed + 1, 1000):
        ids = range(first, min(first + 1000, allowed + 1))
        publisher.send(b"".join(codec.publish(V5, "t", b"m", qos=2, packet_id=each) for each in ids))
        assert [publisher.expect(codec.PUBREC).packet_id for _ in ids] == list(ids)

    publisher.publish("t", b"one more", qos=2, packet_id=allowed + 1)

    assert [(each.kind, each.reason) for each in publisher.until_closed()] == [(codec.DISCONNECT, RECEIVE_MAXIMUM)]
    assert round_trip_s(client) < 1


def test_a_reader_of_qos_1_that_does_not_read(server: MqttHubbub, client: Client) -> None:
    """600 MB wait, on disk beyond what is under way (102 MB), the queue's memory (16) and the journal's laps (64)."""
    topic, payload = unique("slow"), b"p" * 100_000
    slow, publisher = client(V5), client(V5)
    slow.subscribe(topic, qos=1)
    before = anonymous_mib(server)
    for first in range(0, 6000, 50):
        for number in range(first, first + 50):
            publisher.publish(topic, b"%06d" % number + payload, qos=1)
        for _ in range(50):
            assert publisher.expect(codec.PUBACK).reason == 0
    assert anonymous_mib(server) - before < 320
    assert round_trip_s(client) < 1

    assert [int(each.payload[:6]) for each in slow.messages(6000)] == list(range(6000))


def drip(peers: list[MqttRaw], octets: bytes) -> int:
    """One octet of the same to everyone, as often as there are octets; how many are still connected at the end."""
    alive = list(peers)
    for at in range(len(octets)):
        for peer in list(alive):
            try:
                peer.socket.sendall(octets[at : at + 1])
            except OSError:
                alive.remove(peer)
        time.sleep(0.05)  # the subject of the test: slow writers
    return len(alive)


def test_writers_who_never_get_to_the_end_of_connect(server: MqttHubbub, client: Client) -> None:
    """100 that write an octet at a time are cut off when the handshake's time is over, however busy they look."""
    before = descriptors(server)
    peers = [client(V5, raw=True) for _ in range(100)]
    connect = codec.connect(V5, "x" * 200)

    assert drip(peers, connect[:60]) == 0  # 3 s; the handshake has 1.5
    assert round_trip_s(client) < 1
    eventually(lambda: descriptors(server) <= before + 3)


def test_writers_of_large_messages_who_stop_in_the_middle(server: MqttHubbub, client: Client) -> None:
    """40 that announce 16 MB each and then write an octet at a time cost what they wrote, not what they announced."""
    before = anonymous_mib(server)
    peers = [client(V5) for _ in range(40)]
    for peer in peers:
        peer.send(codec.publish(V5, "large", b"x" * 16_000_000)[:20_000])

    assert drip(peers, b"y" * 20) == 40
    assert anonymous_mib(server) - before < 40
    assert round_trip_s(client) < 1
    for peer in peers:
        peer.reset()
    eventually(lambda: anonymous_mib(server) - before < 20)


def test_a_client_that_falls_silent_in_the_middle_of_a_packet(client: Client) -> None:
    """[MQTT-3.1.2-22]: its keep-alive of a second counts there, too."""
    peer = client(V5, keep_alive=1)
    peer.send(codec.publish(V5, "t", b"x" * 40_000, qos=1, packet_id=1)[:20_000])
    started = time.monotonic()

    with contextlib.suppress(PeerClosedError):
        assert peer.receive().reason == 0x8D
    assert 1.0 < time.monotonic() - started < 4
