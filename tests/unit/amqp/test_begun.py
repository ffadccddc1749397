"""What a publisher has begun: memory that grows as it comes, is counted, has a limit, and finds its way out."""

from __future__ import annotations

import pytest

from broker.memory_alarm import MemoryAlarm
from tests.support import amqp_codec as codec
from tests.support.peer import method, publication

MIB = 1024 * 1024
HEADER, BODY = codec.FRAME_HEADER, codec.FRAME_BODY
PIECE = b"p" * 100_000


def begin(peer, body_size, channel=1):
    """basic.publish and a content header; the body does not come."""
    peer.feed(method("basic.publish", channel, exchange="", routing_key="q"))
    peer.feed(codec.encode_frame(HEADER, channel, codec.encode_header(body_size, {})))


def go_on(peer, size, channel=1):
    """So much of the body, in frames."""
    for at in range(0, size, len(PIECE)):
        peer.feed(codec.encode_frame(BODY, channel, PIECE[: size - at]))


def open_channels(peer, last):
    for number in range(2, last + 1):
        peer.call("channel.open", number)


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_announcement_alone_costs_no_more_than_a_mebibyte(core, peer):
    peer.declare("q")
    begin(peer, 100 * MIB)
    assert core.broker.intake.bytes == MIB
    assert peer.connection.begun_bytes == 100 * MIB


def test_memory_grows_with_the_body_and_is_the_queues_when_it_is_whole(core, peer):
    size = 9 * MIB + 1
    peer.declare("q")
    begin(peer, size)
    go_on(peer, size - 1)
    assert core.broker.intake.bytes == size
    peer.feed(codec.encode_frame(BODY, 1, b"!"))
    assert (core.broker.intake.bytes, peer.connection.begun_bytes, core.broker.intake.holders) == (0, 0, set())
    whole = PIECE * (size // len(PIECE) + 1)
    assert core.queue().ready_bytes == size
    assert peer.got().body == whole[: size - 1] + b"!"


def test_a_reply_address_does_not_disturb_a_body_that_comes_in_pieces(core, peer):
    peer.declare("q")
    peer.consume("amq.rabbitmq.reply-to", no_ack=True)
    body = bytes(range(256)) * 20_000
    for at in range(0, len(frames := publication("q", body, reply_to="amq.rabbitmq.reply-to")), 65_536):
        peer.feed(frames[at : at + 65_536])
    assert peer.got().body == body
    assert core.broker.intake.bytes == 0


# ── one connection's limit ────────────────────────────────────────────────────────────────────────────────────────────


def test_many_channels_with_a_large_body_each_are_refused_with_311_above_the_limit(make_core):
    core = make_core(begun_bytes_per_connection_max=100 * MIB)
    peer = core.connect()
    peer.declare("q")
    open_channels(peer, 30)
    for channel in range(1, 31):
        begin(peer, 20 * MIB, channel)
    refused = peer.take("channel.close")
    assert [each.fields["reply_code"] for each in refused] == [311] * 25
    assert peer.connection.begun_bytes == 100 * MIB
    assert core.broker.intake.bytes <= 5 * MIB
    assert core.broker.intake.refused_count == 25


def test_one_body_is_always_let_in(make_core):
    core = make_core(begun_bytes_per_connection_max=1000)
    peer = core.connect()
    peer.declare("q")
    begin(peer, 5000)
    go_on(peer, 5000)
    assert core.queue().ready_count == 1
    assert peer.closed_with() == 0


@pytest.mark.parametrize("end", ["channel.close", "lost"])
def test_what_was_begun_and_given_up_is_free_again(core, peer, end):
    peer.declare("q")
    begin(peer, 2 * MIB)
    if end == "lost":
        peer.connection.lost("gone")
    else:
        peer.feed(codec.encode_frame(BODY, 1, b"x" * (3 * MIB))[:8])
        peer.feed(codec.encode_frame(HEADER, 1, codec.encode_header(1, {})))
    assert core.broker.intake.bytes == 0
    assert core.broker.intake.holders == set()


def test_open_transactions_count_and_end_with_commit_rollback_or_the_channel(core, peer):
    peer.declare("q")
    open_channels(peer, 3)
    for channel in (1, 2, 3):
        peer.call("tx.select", channel)
        peer.publish("q", b"x" * 1000, channel=channel)
    held = core.broker.intake.bytes
    assert held == peer.connection.begun_bytes > 3000
    peer.call("tx.commit", 1)
    assert core.broker.intake.bytes == held // 3 * 2
    peer.call("tx.rollback", 2)
    assert core.broker.intake.bytes == held // 3
    peer.call("channel.close", 3)
    assert (core.broker.intake.bytes, peer.connection.begun_bytes) == (0, 0)
    assert core.queue().ready_count == 1


def test_transactions_of_many_channels_are_refused_with_311_above_the_limit(make_core):
    core = make_core(begun_bytes_per_connection_max=5000)
    peer = core.connect()
    peer.declare("q")
    open_channels(peer, 2)
    for channel in (1, 2):
        peer.call("tx.select", channel)
        for _ in range(3):
            peer.publish("q", b"x" * 1000, channel=channel)
    assert peer.closed_with() == 311
    assert core.broker.intake.refused_count == 1


# ── when memory is short ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_that_is_begun_finishes_under_an_alarm_and_the_next_publish_waits(core, peer):
    peer.declare("q")
    begin(peer, 250_000)
    core.broker.raise_alarm("memory", "short")
    go_on(peer, 250_000)
    assert core.queue().ready_count == 1
    assert not peer.connection.is_resting
    peer.publish("q", b"next")
    assert peer.connection.is_resting
    assert core.queue().ready_count == 1
    core.broker.clear_alarm("memory")
    peer.resume()
    assert core.queue().ready_count == 2


def test_a_blocked_publisher_still_acknowledges(core, peer):
    peer.declare("q")
    peer.publish("q", b"m")
    held = peer.got()
    core.broker.raise_alarm("memory", "short")
    peer.send("basic.ack", delivery_tag=held.tag)
    assert core.queue().unacked_count == 0


def test_where_only_what_was_begun_takes_the_memory_it_goes_on(core, peer):
    alarm = MemoryAlarm(core.broker, core.clock, 4 * MIB, stalled_after_ms=5_000)
    peer.declare("q")
    open_channels(peer, 3)
    for channel in (1, 2, 3):
        begin(peer, 2 * MIB, channel)
        go_on(peer, MIB + 100_000, channel)
    core.pass_ms(500)
    assert "memory" in core.broker.alarms
    assert core.broker.intake.must_flow
    peer.publish("q", b"one more on a free channel would be in the way of what is behind it", channel=1)
    assert peer.closed_with() == 505, "channel 1 awaits a body"
    for channel in (2, 3):
        go_on(peer, 2 * MIB - MIB - 100_000, channel)
    assert core.broker.intake.bytes == 0
    assert alarm.bytes_max == 4 * MIB


def test_a_publish_in_front_of_a_begun_body_is_taken_where_only_that_helps(core, peer):
    MemoryAlarm(core.broker, core.clock, 3 * MIB, stalled_after_ms=60_000)
    peer.declare("q")
    open_channels(peer, 2)
    begin(peer, 4 * MIB)
    go_on(peer, 3 * MIB)
    core.pass_ms(500)
    assert core.broker.intake.must_flow
    peer.publish("q", b"small", channel=2)
    go_on(peer, MIB)
    assert core.queue().ready_count == 2
    assert core.broker.intake.bytes == 0


def test_what_was_begun_and_does_not_go_on_while_memory_is_short_is_cut_off(core, peer):
    MemoryAlarm(core.broker, core.clock, 3 * MIB, stalled_after_ms=5_000)
    peer.declare("q")
    begin(peer, 20 * MIB)
    go_on(peer, 4 * MIB)
    core.pass_ms(4_000)
    go_on(peer, 1)
    core.pass_ms(4_000)
    assert peer.closed_with() == 0, "it moves"
    core.pass_ms(3_000)
    assert peer.closed_with() == 506
    assert core.broker.intake.bytes == 0
    assert core.broker.intake.stalled_count == 1
    core.pass_ms(500)
    assert core.broker.alarms == {}
