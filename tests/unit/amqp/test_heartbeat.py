"""Heartbeats both ways (AMQP 0-9-1 §4.2.7), with time moved by hand."""

from __future__ import annotations

import pytest

from tests.support import amqp_codec as codec
from tests.support.peer import Peer

HEARTBEAT = codec.encode_frame(codec.FRAME_HEARTBEAT, 0, b"")


@pytest.fixture
def connect(core):
    def make(heartbeat):
        peer = Peer(core)
        peer.handshake(heartbeat=heartbeat)
        peer.read()
        return peer

    return make


def is_gone(peer):
    return peer.connection.output.is_closed


@pytest.mark.parametrize("heartbeat", [1, 2, 10, 60, 300])
def test_a_peer_that_is_silent_for_two_intervals_is_gone_and_not_before(core, connect, heartbeat):
    peer = connect(heartbeat)
    core.pass_ms(2 * heartbeat * 1000 - 500)
    assert not is_gone(peer)
    core.pass_ms(heartbeat * 500 + 1500)  # looked at every half interval
    assert is_gone(peer)
    assert core.endpoint.heartbeats.timed_out == 1


@pytest.mark.parametrize("heartbeat", [1, 10, 60, 300])
def test_we_are_never_silent_for_an_interval(core, connect, heartbeat):
    peer = connect(heartbeat)
    for _ in range(6):
        core.pass_ms(heartbeat * 1000)
        before, peer.heartbeats = peer.heartbeats, 0
        peer.read()
        assert peer.heartbeats >= 1, before
        peer.feed(HEARTBEAT)


@pytest.mark.parametrize("heartbeat", [1, 2, 10, 60])
def test_an_idle_peer_hears_us_every_half_interval(core, connect, heartbeat):
    """RabbitMQ's guide: so that one that comes late, or a busy machine, is not taken for a dead one."""
    peer = connect(heartbeat)
    core.pass_ms(heartbeat * 1000)
    for _ in range(6):
        peer.read()
        peer.heartbeats = 0
        core.pass_ms(heartbeat * 500)
        peer.read()
        assert peer.heartbeats == 1
        peer.feed(HEARTBEAT)


def test_any_octet_counts_as_a_heartbeat_of_the_peer(core, connect):
    peer = connect(10)
    frame = codec.encode_frame(codec.FRAME_METHOD, 1, codec.encode_method("channel.open"))
    for byte in frame:
        core.pass_ms(9_000)
        peer.feed(bytes([byte]))
    assert not is_gone(peer)


def test_traffic_stands_for_our_heartbeat(core, connect):
    peer = connect(10)
    peer.call("channel.open")
    peer.declare("q")
    for _ in range(40):
        core.pass_ms(1_000)
        assert peer.get() is None
    assert peer.heartbeats == 0


def test_without_a_heartbeat_nobody_is_watched(core, connect):
    peer = connect(0)
    core.pass_ms(10 * 3600 * 1000)
    peer.read()
    assert not is_gone(peer)
    assert peer.heartbeats == 0


def test_a_peer_that_we_do_not_read_from_is_not_to_blame(core, connect):
    peer = connect(1)
    peer.call("channel.open")
    peer.declare("q")
    peer.publish("q", b"m")
    core.broker.raise_alarm("disk", "full")
    peer.publish("q", b"waits")
    core.pass_ms(60_000)
    assert not is_gone(peer)
    core.broker.clear_alarm("disk")
    core.pass_ms(5_000)
    assert is_gone(peer)


def test_a_closed_connection_is_no_longer_looked_at(core, connect):
    peers = [connect(1) for _ in range(5)]
    for peer in peers:
        peer.connection.lost("gone")
    core.pass_ms(60_000)
    heartbeats = core.endpoint.heartbeats
    assert (heartbeats.watched, heartbeats.timed_out) == ({}, 0)
    assert not any(heartbeats.wheel)


def test_one_timer_serves_all(core, connect):
    before = core.clock.pending_count
    for _ in range(50):
        connect(30)
    assert core.clock.pending_count <= before + 2 + 50  # one looks for held deliveries; the handshakes' go later
    core.pass_ms(20_000)
    assert core.clock.pending_count <= before + 2


@pytest.mark.parametrize(
    ("frame", "code"),
    [(codec.encode_frame(8, 1, b""), 505), (codec.encode_frame(8, 0, b"x"), 501)],
    ids=["on a channel", "with a payload"],
)
def test_a_heartbeat_is_empty_and_on_channel_0(core, connect, frame, code):
    peer = connect(10)
    peer.feed(frame)
    assert peer.closed_with() == code
