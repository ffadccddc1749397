"""Peers that do not read, do not write, or take all that they can get: the server's memory stays bounded (law 3).

Every test runs beside a bystander who must be served all the time; at the end the server lives, without a traceback.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import PeerClosedError, RawConnection, raw_connection
from tests.support.hostility import anonymous_mib, descriptors, fill, others_are_served, publishes
from tests.support.polling import eventually
from tests.support.server import HubbubServer, serving

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120)]

HANDSHAKE_TIMEOUT_MS = 3000
METHOD, HEADER, BODY = codec.FRAME_METHOD, codec.FRAME_HEADER, codec.FRAME_BODY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    """One server for all of them: what one leaves behind, the next would see."""
    running = HubbubServer(tmp_path_factory.mktemp("hostile"), {"limits.handshake_timeout_ms": HANDSHAKE_TIMEOUT_MS})
    with serving(running):
        yield running


@pytest.fixture
def raw(server: HubbubServer) -> Iterator[RawConnection]:
    with raw_connection(server.address, 30.0) as connection:
        yield connection.open().open_channel()


def small_receiver(server: HubbubServer) -> RawConnection:
    """A connection whose socket takes few bytes that nobody reads."""
    connection = RawConnection(server.address, 30.0)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return connection.open().open_channel()


# ── slow readers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_consumer_that_does_not_read_costs_one_output_buffer(server: HubbubServer, raw: RawConnection) -> None:
    """A million messages wait for it; deliveries stop at the output's high mark, the rest stays in the queue."""
    raw.rpc("queue.declare", queue="unread", durable=True)
    with others_are_served(server):
        before = anonymous_mib(server)
        slow = small_receiver(server)
        slow.send("basic.consume", queue="unread", no_ack=True)
        fill(raw, "unread", b"x" * 100, 1_000_000)
        assert 1_000_000 - ready_count(raw, "unread") < 50_000, "more was delivered than socket and output hold"
        assert anonymous_mib(server) - before < 100
        # It reads on, and gets what it missed.
        assert slow.expect("basic.consume-ok")
        for _ in range(1000):
            assert slow.expect("basic.deliver").body == b"x" * 100
        slow.close()
    raw.rpc("queue.delete", queue="unread")


def ready_count(raw: RawConnection, queue: str) -> int:
    count: int = raw.rpc("queue.declare", queue=queue, passive=True).fields["message_count"]
    return count


def test_many_consumers_that_do_not_read_cost_an_output_buffer_each(server: HubbubServer, raw: RawConnection) -> None:
    raw.rpc("queue.declare", queue="unread-by-many", durable=True)
    fill(raw, "unread-by-many", b"x" * 16_384, 4000)
    with others_are_served(server):
        before = anonymous_mib(server)
        slow = [small_receiver(server) for _ in range(20)]
        for each in slow:
            each.send("basic.consume", queue="unread-by-many")
        time.sleep(1)
        assert anonymous_mib(server) - before < 20 * 3 + 40
        for each in slow:
            each.close()
        eventually(lambda: ready_count(raw, "unread-by-many") == 4000, what="all of it comes back")
    raw.rpc("queue.delete", queue="unread-by-many")


@pytest.mark.parametrize("asks", ["returns", "gets"])
def test_who_asks_and_does_not_read_the_answers_is_not_heard_any_more(server: HubbubServer, asks: str) -> None:
    """Ten peers ask for 100 MB each: reading rests until they read, then all of it comes."""
    body = b"a" * 100_000
    if asks == "returns":
        content = codec.encode_frame(HEADER, 1, codec.encode_header(len(body))) + codec.encode_frame(BODY, 1, body)
        frames = codec.encode_frame(METHOD, 1, codec.encode_method("basic.publish", routing_key="-", mandatory=True))
        frames += content
    else:
        frames = codec.encode_frame(METHOD, 1, codec.encode_method("basic.get", queue="asked"))
        frames += codec.encode_frame(METHOD, 1, codec.encode_method("basic.recover-async", requeue=True))
    with others_are_served(server) as bystander:
        before = anonymous_mib(server)
        peers = [RawConnection(server.address, 30.0).open().open_channel() for _ in range(10)]
        peers[0].rpc("queue.declare", queue="asked")
        peers[0].publish("", "asked", body)
        peers[0].rpc("basic.qos")
        for peer in peers:
            peer.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                for _ in range(1000):
                    peer.send_bytes(frames)
        time.sleep(1)
        assert anonymous_mib(server) - before < 10 * 10
        peers[0].socket.settimeout(30)
        for _ in range(8):
            assert peers[0].read_method().body == body
        for peer in peers:
            peer.close()
        with raw_connection(server.address) as last:
            last.open().open_channel().rpc("queue.delete", queue="asked")
    assert bystander.slowest_s < 5.0


# ── slow writers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_thousand_peers_that_dribble_half_a_frame_cost_little_and_are_cut(server: HubbubServer) -> None:
    """One byte each 50 ms: whoever is not logged in when the handshake's time is over goes."""
    start_ok = codec.encode_method("connection.start-ok", mechanism="PLAIN", response="\0guest\0guest", locale="en_US")
    frame = codec.encode_frame(METHOD, 0, start_ok)
    with others_are_served(server):
        before, open_before = anonymous_mib(server), descriptors(server)
        peers = [socket.create_connection(server.address, 30) for _ in range(1000)]
        for peer in peers:
            peer.sendall(codec.PROTOCOL_HEADER)
        started = time.monotonic()
        at = 0
        while time.monotonic() - started < HANDSHAKE_TIMEOUT_MS / 1000 - 1:
            for peer in peers:
                with contextlib.suppress(OSError):
                    peer.sendall(frame[at : at + 1])
            at = min(at + 1, len(frame) - 2)
            time.sleep(0.05)
        assert descriptors(server) >= open_before + 1000
        assert anonymous_mib(server) - before < 40
        eventually(lambda: descriptors(server) <= open_before + 1, 15, what="all of them are cut")
        for peer in peers:
            peer.close()


def test_a_frame_that_comes_byte_by_byte_is_taken(server: HubbubServer, raw: RawConnection) -> None:
    raw.rpc("queue.declare", queue="dribbled", exclusive=True)
    with others_are_served(server):
        for byte in publishes("dribbled", b"y" * 9000, 1):
            raw.send_bytes(bytes([byte]))
        raw.send("basic.get", queue="dribbled", no_ack=True)
        assert raw.expect("basic.get-ok").body == b"y" * 9000


# ── promises that are not kept ────────────────────────────────────────────────────────────────────────────────────────


def test_bodies_that_never_come_cost_what_was_sent(server: HubbubServer, raw: RawConnection) -> None:
    """200 channels announce a MiB each, as much as one connection may begin: promised, and never touched."""
    with others_are_served(server):
        before = anonymous_mib(server)
        header = codec.encode_header(1024 * 1024)
        for channel in range(2, 202):
            raw.open_channel(channel)
            raw.send("basic.publish", channel, routing_key="nowhere")
            raw.send_frame(HEADER, channel, header)
            raw.send_frame(BODY, channel, b"x" * 1000)
        raw.rpc("basic.qos", prefetch_count=1)
        assert anonymous_mib(server) - before < 30
        # Other frames on such a channel are an error of the connection: it goes, with all of its halves.
        raw.send("basic.qos", 2)
        close = raw.expect("connection.close")
        assert close.fields["reply_code"] == 505
        raw.send("connection.close-ok")
        raw.wait_closed()


def test_a_message_beyond_the_limit_is_refused_by_its_header(server: HubbubServer, raw: RawConnection) -> None:
    for size in (128 * 1024 * 1024 + 1, 2**63, 2**64 - 1):
        raw.send("basic.publish", routing_key="nowhere")
        raw.send_frame(HEADER, 1, codec.encode_header(size))
        assert raw.expect("channel.close").fields["reply_code"] == 406
        raw.send("channel.close-ok")
        raw.open_channel()


@pytest.mark.parametrize("kind", [b"F", b"A"], ids=["tables", "arrays"])
def test_a_table_bomb_is_refused(server: HubbubServer, raw: RawConnection, kind: bytes) -> None:
    """A thousand tables inside each other: no recursion follows them."""
    content = b""
    for _ in range(1000):
        head = b"\x01n" if kind == b"F" else b""
        content = head + kind + struct.pack(">I", len(content)) + content
    content = b"\x01n" + kind + struct.pack(">I", len(content)) + content
    with others_are_served(server):
        raw.send("queue.declare", arguments=struct.pack(">I", len(content)) + content)
        assert raw.expect("connection.close").fields["reply_code"] in (501, 502)


def test_values_of_a_megabyte_are_refused_by_their_frame(server: HubbubServer, raw: RawConnection) -> None:
    with others_are_served(server):
        payload = codec.encode_method("queue.declare", arguments={"x": "v" * (1 << 20)})
        with contextlib.suppress(OSError):
            raw.send_frame(METHOD, 1, payload)
        assert raw.expect("connection.close").fields["reply_code"] == 501


# ── all that one can get ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_channel_and_a_thousand_consumers(server: HubbubServer) -> None:
    with others_are_served(server), raw_connection(server.address, 30.0) as raw:
        before = anonymous_mib(server)
        raw.open().open_channel()
        raw.send_bytes(
            b"".join(
                codec.encode_frame(METHOD, channel, codec.encode_method("channel.open")) for channel in range(2, 2048)
            )
        )
        for _ in range(2, 2048):
            raw.expect("channel.open-ok")
        raw.rpc("queue.declare", queue="crowded")
        for number in range(1000):
            raw.send("basic.consume", 1 + number % 2047, queue="crowded", no_wait=True)
        eventually(lambda: raw.rpc("queue.declare", queue="crowded", passive=True).fields["consumer_count"] == 1000)
        assert anonymous_mib(server) - before < 60
        # Nobody acknowledges, and nothing limits them: it is all unacked, and all comes back.
        raw.send_bytes(publishes("crowded", b"z", 3000))
        for _ in range(3000):
            raw.expect("basic.deliver")
        raw.send("channel.open", 2048)
        assert raw.expect("connection.close").fields["reply_code"] in (504, 530)
    with raw_connection(server.address) as other:
        other.open().open_channel()
        assert ready_count(other, "crowded") == 3000
        other.rpc("queue.delete", queue="crowded")


def test_a_channel_number_is_used_again_and_again(server: HubbubServer, raw: RawConnection) -> None:
    """Closed by either side, thousands of times: nothing stays behind."""
    with others_are_served(server):
        cycle = b"".join(
            codec.encode_frame(METHOD, 5, codec.encode_method(name, **fields))
            for name, fields in [
                ("channel.open", {}),
                ("basic.consume", {"queue": "reused", "no_wait": True}),
                ("queue.declare", {"queue": "missing", "passive": True}),
                ("basic.qos", {}),
                ("channel.close-ok", {}),
            ]
        )
        raw.rpc("queue.declare", queue="reused")
        before = anonymous_mib(server)
        for _ in range(20):
            raw.send_bytes(cycle * 100)
            for _ in range(100):
                assert raw.expect("channel.open-ok")
                assert raw.expect("channel.close").fields["reply_code"] == 404
        assert raw.rpc("queue.declare", queue="reused", passive=True).fields["consumer_count"] == 0
        assert anonymous_mib(server) - before < 20
        raw.rpc("queue.delete", queue="reused")


def test_exclusive_queues_that_come_and_go_leave_nothing(server: HubbubServer, raw: RawConnection) -> None:
    """As clients do who make a reply queue per request."""
    with others_are_served(server):
        cycle = codec.encode_frame(
            METHOD, 1, codec.encode_method("queue.declare", queue="mine", exclusive=True, no_wait=True)
        ) + codec.encode_frame(METHOD, 1, codec.encode_method("queue.delete", queue="mine", no_wait=True))
        raw.send_bytes(cycle * 1000)
        raw.rpc("basic.qos")
        before = anonymous_mib(server)
        for _ in range(20):
            raw.send_bytes(cycle * 1000)
            raw.rpc("basic.qos")
        assert anonymous_mib(server) - before < 15


def test_a_thousand_connections_that_come_and_go_leave_nothing(server: HubbubServer) -> None:
    with others_are_served(server):
        for _ in range(100):
            come_and_go(server)
        before, open_before = anonymous_mib(server), descriptors(server)
        for _ in range(900):
            come_and_go(server)
        eventually(lambda: descriptors(server) <= open_before + 1, what="their descriptors are closed")
        assert anonymous_mib(server) - before < 15


def come_and_go(server: HubbubServer) -> None:
    with raw_connection(server.address) as raw:
        raw.open().open_channel()
        queue = raw.rpc("queue.declare", exclusive=True).fields["queue"]
        raw.send("basic.consume", queue=queue, no_wait=True)
        raw.publish("", queue, b"for myself")
        raw.expect("basic.deliver")


def test_a_connection_cut_in_the_middle_of_everything(server: HubbubServer, raw: RawConnection) -> None:
    """With deliveries, unacked messages and half a publish; what it held comes back in order."""
    raw.rpc("queue.declare", queue="cut", durable=True)
    fill(raw, "cut", b"c" * 500, 200)
    with others_are_served(server):
        for _ in range(50):
            with raw_connection(server.address) as victim:
                victim.open().open_channel()
                victim.send("basic.consume", queue="cut")
                victim.expect("basic.consume-ok")
                victim.expect("basic.deliver")
                victim.send_bytes(publishes("cut", b"never whole", 1)[:-5])
                victim.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eventually(lambda: ready_count(raw, "cut") == 200)
        raw.send("basic.get", queue="cut", no_ack=True)
        assert raw.expect("basic.get-ok").fields["redelivered"]
    raw.rpc("queue.delete", queue="cut")


def test_noise_is_answered_with_the_protocol_header(server: HubbubServer) -> None:
    with others_are_served(server):
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\0" * 100, b"AMQP\0\1\0\0"):
            with raw_connection(server.address) as raw:
                raw.send_bytes(noise)
                assert raw.read_raw(8) == codec.PROTOCOL_HEADER
                with contextlib.suppress(PeerClosedError):
                    raw.wait_closed()
