"""The handshake, what is agreed on in it, and how connections and channels end (AMQP 0-9-1 §2.2.4, §4.2.2)."""

from __future__ import annotations

import pytest

from broker.amqp.states import CLOSED, CLOSING, RUNNING
from tests.support import amqp_codec as codec
from tests.support.peer import Peer, method


def start_ok(peer, mechanism="PLAIN", response=b"\0guest\0guest", **capabilities):
    peer.send(
        "connection.start-ok",
        0,
        client_properties={"capabilities": capabilities},
        mechanism=mechanism,
        response=response,
        locale="en_US",
    )


@pytest.fixture
def stranger(core):
    """A peer that has said nothing yet."""
    return Peer(core)


@pytest.fixture
def started(stranger):
    stranger.feed(codec.PROTOCOL_HEADER)
    return stranger


@pytest.fixture
def tuning(started):
    start_ok(started)
    started.take()
    return started


# ── the protocol header ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_header_is_answered_with_connection_start(started):
    (start,) = started.take()
    assert (start.name, start.channel) == ("connection.start", 0)
    assert (start.fields["version_major"], start.fields["version_minor"]) == (0, 9)
    assert start.fields["mechanisms"].split() == [b"PLAIN", b"AMQPLAIN", b"ANONYMOUS"]
    assert start.fields["locales"] == b"en_US"
    assert start.fields["server_properties"]["capabilities"] == {
        "publisher_confirms": True,
        "exchange_exchange_bindings": True,
        "basic.nack": True,
        "consumer_cancel_notify": True,
        "connection.blocked": True,
        "consumer_priorities": True,
        "authentication_failure_close": True,
        "per_consumer_qos": True,
        "direct_reply_to": True,
    }


def test_a_header_that_comes_byte_by_byte(stranger):
    stranger.feed(codec.PROTOCOL_HEADER, step=1)
    assert [each.name for each in stranger.take()] == ["connection.start"]


@pytest.mark.parametrize(
    "header", [b"AMQP\x01\x01\x00\x09", b"AMQP\x00\x01\x00\x00", b"GET / HTTP/1.1\r\n", b"X", b"AMQPX", b"\x16\x03\x01"]
)
@pytest.mark.parametrize("step", [0, 1])
def test_another_header_is_answered_with_ours_and_the_end(stranger, header, step):
    stranger.feed(header, step)
    assert stranger.unparsed == codec.PROTOCOL_HEADER
    assert stranger.connection.state == CLOSED
    assert stranger.connection.output.is_closed


def test_the_rest_of_what_is_no_header_is_swallowed_and_answered_once(stranger):
    stranger.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert stranger.unconsumed == b""
    assert stranger.unparsed == codec.PROTOCOL_HEADER


# ── login ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_is_answered_with_what_can_be_agreed_on(started):
    started.take()
    start_ok(started)
    (tune,) = started.take()
    assert (tune.name, tune.fields) == ("connection.tune", {"channel_max": 2047, "frame_max": 131072, "heartbeat": 60})


def test_a_wrong_password_is_403_for_who_understands_it(started):
    started.take()
    start_ok(started, response=b"\0guest\0wrong", authentication_failure_close=True)
    (close,) = started.take()
    assert (close.name, close.fields["reply_code"]) == ("connection.close", 403)
    assert started.connection.state == CLOSING
    started.send("connection.close-ok", 0)
    assert started.connection.state == CLOSED
    assert started.core.endpoint.logins_refused == 1


def test_a_wrong_password_just_ends_the_connection_of_who_does_not(started):
    started.take()
    start_ok(started, response=b"\0guest\0wrong")
    assert started.take() == []
    assert started.connection.output.is_closed


@pytest.mark.parametrize("mechanism", ["EXTERNAL", "SCRAM-SHA-256", "", "plain"])
def test_a_mechanism_that_was_not_offered_is_refused(started, mechanism):
    start_ok(started, mechanism=mechanism)
    assert started.closed_with() == 503


def test_who_does_not_log_in_in_time_is_cut_off(core, stranger):
    core.pass_ms(core.limits.handshake_timeout_ms - 1)
    assert not stranger.connection.output.is_closed
    core.pass_ms(1)
    assert stranger.connection.output.is_closed
    assert core.endpoint.handshakes_timed_out == 1


def test_who_is_logged_in_but_opens_no_vhost_in_time_is_cut_off_too(core, tuning):
    core.pass_ms(core.limits.handshake_timeout_ms)
    assert tuning.connection.output.is_closed


def test_who_is_in_stays(core, peer):
    core.pass_ms(core.limits.handshake_timeout_ms * 2)
    assert not peer.connection.output.is_closed


# ── tune (§1.4.2.6) ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("frame_max", "channel_max"), [(131072, 2047), (4096, 1), (8192, 100)])
def test_a_client_may_want_less(tuning, frame_max, channel_max):
    tuning.send("connection.tune-ok", 0, frame_max=frame_max, channel_max=channel_max, heartbeat=0)
    assert tuning.call("connection.open", 0, virtual_host="/").name == "connection.open-ok"
    assert (tuning.connection.frame_max, tuning.connection.channel_max) == (frame_max, channel_max)


@pytest.mark.parametrize(
    ("frame_max", "channel_max"), [(131073, 1), (0, 1), (4095, 1), (1, 1), (4096, 2048), (4096, 0)]
)
def test_a_client_may_not_want_more_nor_next_to_nothing(tuning, frame_max, channel_max):
    tuning.send("connection.tune-ok", 0, frame_max=frame_max, channel_max=channel_max)
    assert tuning.closed_with() == 530


def test_zero_means_no_limit_where_the_server_has_none(core):
    core.endpoint.frame_max = core.endpoint.channel_max = 0
    peer = Peer(core)
    peer.handshake()
    assert peer.call("channel.open", 65535).name == "channel.open-ok"
    peer.declare("q", channel=65535)
    peer.publish("q", b"x" * 3_000_000, channel=65535, frame_bytes_max=3_000_000)
    assert peer.got(channel=65535).body == b"x" * 3_000_000


def test_content_is_cut_into_frames_of_the_agreed_size(core):
    peer = Peer(core)
    peer.feed(codec.PROTOCOL_HEADER)
    start_ok(peer)
    peer.send("connection.tune-ok", 0, frame_max=4096, channel_max=10)
    peer.call("connection.open", 0, virtual_host="/")
    peer.call("channel.open")
    peer.declare("q")
    peer.publish("q", b"x" * 10_000, frame_bytes_max=4088)
    sizes = []
    take = peer.on_frame

    def note(kind, channel, payload):
        sizes.append((kind, len(payload) + 8))
        take(kind, channel, payload)

    peer.on_frame = note  # type: ignore[method-assign]
    assert peer.got().body == b"x" * 10_000
    assert [size for kind, size in sizes if kind == codec.FRAME_BODY] == [4096, 4096, 10_000 - 2 * 4088 + 8]


def test_a_frame_above_the_agreed_size_is_501(peer):
    peer.feed(codec.encode_frame(3, 1, b"x" * 131_065))
    assert peer.closed_with() == 501


# ── open ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("virtual_host", ["", "//", "other"])
def test_an_unknown_vhost_is_530(tuning, virtual_host):
    tuning.send("connection.tune-ok", 0, frame_max=4096, channel_max=1)
    tuning.send("connection.open", 0, virtual_host=virtual_host)
    assert tuning.closed_with() == 530


def test_a_vhost_that_the_user_may_not_enter_is_530(core, tuning):
    core.broker.add_vhost("other")
    tuning.send("connection.tune-ok", 0, frame_max=4096, channel_max=1)
    tuning.send("connection.open", 0, virtual_host="other")
    assert tuning.closed_with() == 530


@pytest.mark.parametrize(
    "name", ["connection.start-ok", "connection.secure-ok", "connection.tune-ok", "connection.open"]
)
def test_the_handshake_happens_once(peer, name):
    peer.send(name, 0)
    assert peer.closed_with() == 504


@pytest.mark.parametrize("name", ["connection.tune-ok", "connection.open", "connection.secure-ok", "channel.open"])
def test_the_steps_of_the_handshake_come_in_order(started, name):
    started.take()
    started.send(name, 0)
    assert started.closed_with() == 504


def test_a_channel_before_the_connection_is_open_is_505(started):
    started.take()
    started.send("channel.open", 1)
    assert started.closed_with() == 505


def test_a_class_that_is_not_connection_on_channel_0_is_504(peer):
    peer.send("queue.declare", 0)
    assert peer.closed_with() == 504


def test_update_secret(core, peer):
    other = Peer(core)
    other.feed(codec.PROTOCOL_HEADER)
    start_ok(other)
    other.send("connection.tune-ok", 0, frame_max=4096, channel_max=1)
    other.call("connection.open", 0, virtual_host="/")
    assert other.call("connection.update-secret", 0, new_secret=b"guest").name == "connection.update-secret-ok"
    # amqplib's own tests: a user of the store has nothing to renew, and RabbitMQ does not look
    assert other.call("connection.update-secret", 0, new_secret=b"whatever").name == "connection.update-secret-ok"


# ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_channel_can_be_opened_closed_and_opened_again(core, peer):
    for _ in range(3):
        assert peer.call("channel.close").name == "channel.close-ok"
        assert peer.call("channel.open").name == "channel.open-ok"
    assert (core.endpoint.channels_opened, core.endpoint.channels_closed) == (4, 3)


@pytest.mark.parametrize(
    ("name", "channel", "code"),
    [("channel.open", 1, 504), ("queue.declare", 2, 504), ("channel.open", 2048, 504), ("channel.close", 7, 504)],
)
def test_channel_errors_close_the_connection(peer, name, channel, code):
    peer.send(name, channel)
    assert peer.closed_with() == code
    assert peer.connection.state == CLOSING


def test_no_more_channels_than_agreed(core):
    core.endpoint.channel_max = 3
    peer = Peer(core)
    peer.handshake()
    for number in (1, 2, 3):
        peer.call("channel.open", number)
    peer.send("channel.open", 4)
    assert peer.closed_with() == 530


def test_a_soft_error_closes_its_channel_alone_and_names_the_method(core, peer):
    peer.call("channel.open", 2)
    peer.send("queue.declare", queue="missing", passive=True)
    (close,) = peer.take()
    assert (close.name, close.channel) == ("channel.close", 1)
    assert (close.fields["reply_code"], close.fields["class_id"], close.fields["method_id"]) == (404, 50, 10)
    peer.declare("q", channel=2)
    assert peer.connection.state == RUNNING


def test_a_channel_that_is_being_closed_ignores_everything_until_close_ok(core, peer):
    peer.send("queue.declare", queue="missing", passive=True)
    peer.take()
    peer.send("queue.declare", queue="q")
    peer.publish("q", b"m")
    assert peer.take() == []
    assert "q" not in core.vhost.queues
    peer.send("channel.close-ok")
    assert peer.call("channel.open").name == "channel.open-ok"


def test_both_sides_may_close_a_channel_at_once(peer):
    peer.send("queue.declare", queue="missing", passive=True)
    peer.take()
    assert peer.call("channel.close").name == "channel.close-ok"
    assert peer.call("channel.open").name == "channel.open-ok"


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_that_the_client_closes_gives_everything_back(core, peer):
    peer.call("queue.declare", queue="own", exclusive=True)
    peer.declare("q")
    peer.consume("q")
    assert peer.call("connection.close", 0, reply_code=200).name == "connection.close-ok"
    assert peer.connection.output.is_closed
    assert "own" not in core.vhost.queues
    assert list(core.queue("q").consumers) == []
    peer.connection.lost("closed")
    assert core.endpoint.connections == set()
    assert core.endpoint.connections_closed == 1


def test_a_hard_error_is_followed_by_nothing_but_close_ok(peer):
    peer.send("basic.qos", prefetch_size=1)
    assert peer.closed_with() == 540
    peer.send("queue.declare", queue="q")
    peer.feed(codec.encode_frame(8, 0, b""))
    assert peer.take() == []
    peer.send("connection.close-ok", 0)
    assert peer.connection.output.is_closed


def test_a_peer_that_never_says_close_ok_is_cut_off(core, peer):
    peer.send("basic.qos", prefetch_size=1)
    core.pass_ms(core.limits.handshake_timeout_ms)
    assert peer.connection.output.is_closed


def test_the_operator_stops_the_broker_with_320(core, peer):
    peer.connection.shut_down("bye")
    peer.read()
    assert peer.closed_with() == 320


def test_a_connection_that_is_lost_twice_or_while_closing_is_counted_once(core, peer):
    peer.send("basic.qos", prefetch_size=1)
    peer.connection.lost("reset")
    peer.connection.lost("reset")
    assert (core.endpoint.connections_closed, core.endpoint.connections_failed) == (1, 1)


def test_what_is_said_after_the_end_is_swallowed(peer):
    peer.call("connection.close", 0, reply_code=200)
    peer.feed(method("queue.declare", queue="q") * 100 + b"garbage")
    assert peer.unconsumed == b""
    assert peer.take() == []
