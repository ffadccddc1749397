"""The poller with real sockets of the loopback interface, and dialects that only record."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.net.conftest import Echo, Edge, Recorder, until

MakeEdge = Callable[..., Edge]


async def test_what_is_sent_comes_back_in_order(make_edge: MakeEdge) -> None:
    edge = make_edge(Echo)
    reader, writer, connection = await edge.connect()
    payload = bytes(range(256)) * 8192  # 2 MiB: many turns, both directions full
    received = bytearray()

    async def read() -> None:
        while len(received) < len(payload):
            received.extend(await reader.read(65536))

    reading = asyncio.create_task(read())
    writer.write(payload)
    await writer.drain()
    await asyncio.wait_for(reading, 10)

    assert received == payload
    assert connection.output.bytes_sent == connection.output.bytes_received == len(payload)


async def test_names_of_peer_and_listener(make_edge: MakeEdge) -> None:
    edge = make_edge()
    _, writer, connection = await edge.connect()

    assert connection.was_opened
    host, port = writer.get_extra_info("sockname")
    assert connection.peer == f"{host}:{port}"
    assert connection.listener == f"127.0.0.1:{edge.address[1]}"
    assert edge.poller.connections() == [connection]


async def test_ipv4_that_comes_through_an_ipv6_socket_is_ipv4(make_edge: MakeEdge) -> None:
    edge = make_edge()
    made: list[Recorder] = []

    def make(listener: object) -> Recorder:
        made.append(Recorder())
        return made[-1]

    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        listening.setblocking(False)
        edge.poller.listen(listening.fileno(), "[::]", make)
        _, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
        await until(lambda: len(made) == 1)
        assert made[0].peer == "{}:{}".format(*writer.get_extra_info("sockname"))
        edge.poller.stop_listening()
        writer.close()


async def test_an_idle_connection_owns_no_buffer(make_edge: MakeEdge) -> None:
    edge = make_edge(Echo)
    reader, writer, _ = await edge.connect()
    writer.write(b"x" * 50000)
    await reader.readexactly(50000)

    await until(lambda: edge.pool.taken_bytes == 0)


@pytest.mark.parametrize("piece", [1, 3, 1000])
async def test_a_partial_unit_is_kept_in_front_of_the_next_read(make_edge: MakeEdge, piece: int) -> None:
    class Units(Recorder):
        unit = 7

    edge = make_edge(Units)
    _, writer, connection = await edge.connect()
    payload = bytes(index % 251 for index in range(7 * 30))
    for start in range(0, len(payload), piece):
        writer.write(payload[start : start + piece])
        await writer.drain()
        if piece < 7:
            await asyncio.sleep(0.001)

    await until(lambda: len(connection.received) == len(payload))
    assert connection.received == payload


async def test_a_turn_reads_at_most_one_buffer_per_connection(make_edge: MakeEdge) -> None:
    edge = make_edge(read_bytes_max=4096)
    _, writer, connection = await edge.connect()
    writer.write(b"x" * 100_000)
    await until(lambda: len(connection.received) == 100_000)

    assert max(connection.feeds) <= 4096
    assert len(connection.feeds) >= 100_000 // 4096


async def test_a_unit_larger_than_the_read_buffer_ends_the_connection(make_edge: MakeEdge) -> None:
    class Greedy(Recorder):
        unit = 1 << 20

    edge = make_edge(Greedy, read_bytes_max=4096)
    reader, writer, connection = await edge.connect()
    writer.write(b"x" * 8192)

    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert connection.lost_reasons == ["a unit larger than the read buffer"]


async def test_a_large_body_goes_straight_to_where_it_belongs(make_edge: MakeEdge) -> None:
    class Bodies(Recorder):
        """Units of one length byte (in KiB) and a body, which passes through `on_received` only where it must."""

        body = bytearray()
        left = 0
        straight = 0

        def on_received(self, data: bytes) -> int:
            self.feeds.append(len(data))
            taken = 0
            while taken < len(data):
                if not self.left:
                    self.body, self.left = bytearray(data[taken] * 1024), data[taken] * 1024
                    taken += 1
                piece = data[taken : taken + self.left]
                start = len(self.body) - self.left
                self.body[start : start + len(piece)] = piece
                taken += len(piece)
                self.take(len(piece))
            return taken

        def next_buffer(self) -> memoryview | None:
            return memoryview(self.body)[len(self.body) - self.left :] if self.left else None

        def on_stored(self, size: int) -> None:
            self.straight += size
            self.take(size)

        def take(self, size: int) -> None:
            self.left -= size
            if not self.left:
                self.received += self.body

    edge = make_edge(Bodies, read_bytes_max=8192)
    _, writer, connection = await edge.connect()
    bodies = [bytes([kib]) * (kib * 1024) for kib in (200, 1, 90, 3, 250)]
    for body in bodies:
        writer.write(body[:1] + body)
    await until(lambda: len(connection.received) == sum(map(len, bodies)))

    assert connection.received == b"".join(bodies)
    assert connection.straight > 400 * 1024
    assert connection.output.bytes_received == sum(map(len, bodies)) + len(bodies)


async def test_paused_reading_takes_nothing_and_resuming_feeds_what_was_kept(make_edge: MakeEdge) -> None:
    class Sips(Recorder):
        def on_received(self, data: bytes) -> int:
            self.bites_max = 10
            self.output.pause_reading()
            return super().on_received(data)

    edge = make_edge(Sips)
    _, writer, connection = await edge.connect()
    writer.write(b"0123456789abcdefghijKLM")
    await until(lambda: connection.feeds)
    writer.write(b"NOP")
    await asyncio.sleep(0.03)
    assert connection.received == b"0123456789"

    connection.output.resume_reading()
    await until(lambda: len(connection.feeds) == 2)
    assert connection.received == b"0123456789abcdefghij"
    connection.output.resume_reading()
    await until(lambda: bytes(connection.received).startswith(b"0123456789abcdefghijKLM"))
    connection.output.resume_reading()
    await until(lambda: connection.received == b"0123456789abcdefghijKLMNOP")


async def test_a_full_output_stops_deliveries_until_it_has_drained(make_edge: MakeEdge) -> None:
    class Backlog(Recorder):
        """A consumer with a deep backlog: fills the output whenever it may."""

        left = 400

        def opened(self) -> None:
            self.fill()

        def on_writable(self) -> None:
            super().on_writable()
            self.fill()

        def fill(self) -> None:
            while self.left and not self.output.is_full:
                self.send(bytes([self.left % 256]) * 16384)
                self.left -= 1

    edge = make_edge(Backlog, high_bytes=100_000)
    reader, _, connection = await edge.connect()
    await asyncio.sleep(0.05)
    assert connection.left > 0, "the peer reads nothing: most of the backlog waits in the queue"
    assert connection.output.pending_bytes <= 100_000 + 16384
    received = await asyncio.wait_for(reader.readexactly(400 * 16384), 10)

    assert received[::16384] == bytes(left % 256 for left in range(400, 0, -1))
    assert connection.writable_count > 10
    assert edge.pool.taken_bytes == 0


async def test_a_deep_backlog_does_not_keep_a_turn_to_itself(make_edge: MakeEdge) -> None:
    class Endless(Recorder):
        def on_received(self, data: bytes) -> int:
            self.on_writable()
            return len(data)

        def on_writable(self) -> None:
            while not self.output.is_full:
                self.send(b"x" * 4096)

    edge = make_edge(Endless, high_bytes=65536)
    reader, writer, _ = await edge.connect()
    writer.write(b"go")
    draining = asyncio.create_task(_read_forever(reader))
    echo_reader, echo_writer, other = await edge.connect()
    echo_writer.write(b"x")  # Endless too: it answers although the first one never stops
    assert await asyncio.wait_for(echo_reader.readexactly(4096), 5) == b"x" * 4096
    draining.cancel()
    assert other.number != 0


async def _read_forever(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 20):
        pass


async def test_a_peer_that_makes_us_answer_but_does_not_read_is_cut_off(make_edge: MakeEdge) -> None:
    edge = make_edge(bytes_max=200_000)
    _, _, connection = await edge.connect()
    for _ in range(200):  # without a turn in between nothing is sent
        connection.send(b"x" * 4096)

    await until(lambda: connection.lost_reasons)
    assert connection.lost_reasons == ["aborted"]
    assert edge.pool.taken_bytes == 0


async def test_the_peer_closes(make_edge: MakeEdge) -> None:
    edge = make_edge()
    _, writer, connection = await edge.connect()
    writer.write(b"last words")
    writer.close()

    await until(lambda: connection.lost_reasons)
    assert connection.received == b"last words"
    assert connection.lost_reasons == ["closed by peer"]
    assert edge.poller.connection_count == 0
    assert edge.poller.connections() == []


@pytest.mark.parametrize("paused", [False, True])
async def test_the_peer_resets(make_edge: MakeEdge, paused: bool) -> None:
    edge = make_edge()
    _, writer, connection = await edge.connect()
    if paused:
        connection.output.pause_reading()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

    await until(lambda: connection.lost_reasons)
    assert connection.lost_reasons == ["connection reset by peer"]


async def test_close_sends_everything_first_although_the_peer_is_still_sending(make_edge: MakeEdge) -> None:
    class Farewell(Recorder):
        def on_received(self, data: bytes) -> int:
            self.send(b"bye" * 1000)
            self.output.close()
            self.send(b"never")
            return 0

    edge = make_edge(Farewell)
    reader, writer, connection = await edge.connect()
    writer.write(b"x" * 500_000)  # unread input must not turn the farewell into a reset

    assert await asyncio.wait_for(reader.read(), 5) == b"bye" * 1000
    assert connection.lost_reasons == ["closed"]
    writer.close()
    await until(lambda: edge.poller.connection_count == 0)


async def test_a_closing_peer_that_does_not_read_is_cut_after_the_linger_time(make_edge: MakeEdge) -> None:
    edge = make_edge(linger_s=0.1)
    _, writer, connection = await edge.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection.send(b"x" * 20_000_000)
    connection.output.close()
    await asyncio.sleep(0.02)
    assert edge.poller.connection_count == 1

    await until(lambda: edge.poller.connection_count == 0)
    assert connection.lost_reasons == ["the peer did not take our last words"]


async def test_a_peer_that_does_not_close_after_our_close_is_cut_after_the_linger_time(make_edge: MakeEdge) -> None:
    edge = make_edge(linger_s=0.1)
    reader, _, connection = await edge.connect()
    connection.output.close()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert edge.poller.connection_count == 1

    await until(lambda: edge.poller.connection_count == 0)
    assert connection.lost_reasons == ["closed"]


async def test_a_peer_that_has_said_all_gets_the_last_words_and_nothing_lingers(make_edge: MakeEdge) -> None:
    class Farewell(Recorder):
        def on_received(self, data: bytes) -> int:
            self.send(b"farewell")
            self.output.close()
            return super().on_received(data)

    edge = make_edge(Farewell, linger_s=3600)
    peer = socket.create_connection(edge.address)
    peer.sendall(b"bye")
    peer.shutdown(socket.SHUT_WR)

    await until(lambda: edge.made and edge.made[0].lost_reasons == ["closed"])
    assert edge.poller.connection_count == 0
    assert edge.poller.lingering_count == 0
    with peer:
        peer.settimeout(10)
        assert peer.recv(100) == b"farewell"
        assert peer.recv(100) == b""


async def test_a_peer_that_closes_in_answer_to_our_close_does_not_linger(make_edge: MakeEdge) -> None:
    edge = make_edge(linger_s=3600)
    reader, writer, connection = await edge.connect()
    connection.output.close()
    await until(lambda: edge.poller.lingering_count == 1)
    assert await reader.read() == b""
    writer.close()

    await until(lambda: edge.poller.connection_count == 0)
    assert edge.poller.lingering_count == 0


async def test_what_is_accepted_inherits_nodelay(make_edge: MakeEdge) -> None:
    edge = make_edge()

    assert edge.listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_abort_loses_what_is_pending(make_edge: MakeEdge) -> None:
    edge = make_edge()
    reader, _, connection = await edge.connect()
    connection.send(b"x" * 100)
    connection.output.abort()

    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert connection.lost_reasons == ["aborted"]
    connection.send(b"after the end")
    assert connection.output.pending_bytes == 0


async def test_a_failing_dialect_costs_only_its_own_connection(
    make_edge: MakeEdge, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Recorder):
        def on_received(self, data: bytes) -> int:
            if data == b"fail":
                raise RuntimeError("a bug")
            return len(data)

    edge = make_edge(Fails)
    reader, writer, connection = await edge.connect()
    _, other_writer, other = await edge.connect()
    writer.write(b"fail")

    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert connection.lost_reasons == ["internal error"]
    assert "a bug" in caplog.text
    other_writer.write(b"fine")
    await until(lambda: other.output.bytes_received == 4)
    assert other.lost_reasons == []


async def test_connections_over_the_limit_are_refused_and_counted(make_edge: MakeEdge) -> None:
    edge = make_edge(connections_max=2)
    await edge.connect()
    _, writer, _ = await edge.connect()
    reader, _ = await asyncio.open_connection(*edge.address)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert edge.poller.refused_count == 1

    writer.close()
    await until(lambda: edge.poller.connection_count == 1)
    await edge.connect()


async def test_without_descriptors_accepting_stops_for_a_moment_and_comes_back(make_edge: MakeEdge) -> None:
    edge = make_edge(accept_pause_s=0.02)
    await edge.connect()
    client = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
    try:
        client.setblocking(False)
        client.connect_ex(edge.address)
        await until(lambda: edge.poller.accept_pause_count >= 2)
        turns = edge.turn.count
        await asyncio.sleep(0.1)
        assert edge.turn.count - turns < 50, "the loop must not spin meanwhile"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await until(lambda: len(edge.made) == 2)
    client.close()


async def test_many_connections_at_once(make_edge: MakeEdge) -> None:
    edge = make_edge(Echo)

    async def once(index: int) -> None:
        reader, writer = await asyncio.open_connection(*edge.address)
        word = f"{index:6}".encode()
        writer.write(word)
        assert await reader.readexactly(6) == word
        writer.close()

    await asyncio.gather(*(once(index) for index in range(300)))
    assert edge.poller.accepted_count == 300
    await until(lambda: edge.poller.connection_count == 0)


async def test_a_watched_descriptor_runs_a_turn(make_edge: MakeEdge) -> None:
    edge = make_edge()
    ours, theirs = socket.socketpair()
    edge.poller.watch(ours.fileno())
    before = edge.turn.count
    theirs.send(b"x")
    await until(lambda: edge.turn.count > before)
    ours.recv(1)
    await asyncio.sleep(0.01)
    before = edge.turn.count
    await asyncio.sleep(0.02)
    assert edge.turn.count == before
    ours.close()
    theirs.close()


async def test_after_closing_nothing_is_left(make_edge: MakeEdge) -> None:
    edge = make_edge()
    reader, _, connection = await edge.connect()
    edge.poller.close()

    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert connection.lost_reasons == ["the broker stops"]
    assert edge.poller.connection_count == 0
    gone: Any = edge.poller.connections()
    assert gone == []
