"""Connections over the loop's transports: plain and TLS, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from broker.net.tls import TlsError, server_context
from tests.support.certificates import Authority
from tests.unit.net.conftest import Echo, Recorder, StreamsEdge, until

MakeStreams = Callable[..., Awaitable[StreamsEdge]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server and client certificates that it signed."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    for name in ("server", "client"):
        authority.issue(name)
    return authority.directory


def _server_tls(certificates: Path, verify: str = "none") -> ssl.SSLContext:
    return server_context(
        str(certificates / "server.pem"),
        str(certificates / "server.key"),
        str(certificates / "ca.pem"),
        verify,  # type: ignore[arg-type]
    )


def _client_tls(certificates: Path, *, own: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if own:
        context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    return context


@pytest.mark.parametrize("secure", [False, True])
async def test_what_is_sent_comes_back_in_order(make_streams: MakeStreams, certificates: Path, secure: bool) -> None:
    edge = await make_streams(Echo, _server_tls(certificates) if secure else None)
    reader, writer, connection = await edge.connect(_client_tls(certificates) if secure else None)
    payload = bytes(range(256)) * 8192
    received = bytearray()

    async def read() -> None:
        while len(received) < len(payload):
            received.extend(await reader.read(65536))

    reading = asyncio.create_task(read())
    writer.write(payload)
    await writer.drain()
    await asyncio.wait_for(reading, 20)

    assert received == payload
    assert connection.output.bytes_sent == connection.output.bytes_received == len(payload)
    assert (connection.tls is not None) == secure
    assert connection.peer.startswith("127.0.0.1:")
    assert edge.pool.taken_bytes == 0


async def test_a_partial_unit_is_kept_in_front_of_the_next_read(make_streams: MakeStreams) -> None:
    class Units(Recorder):
        unit = 7

    edge = await make_streams(Units)
    _, writer, connection = await edge.connect()
    payload = bytes(index % 251 for index in range(7 * 30))
    for start in range(0, len(payload), 4):
        writer.write(payload[start : start + 4])
        await asyncio.sleep(0.001)

    await until(lambda: connection.received == payload)


@pytest.mark.parametrize("secure", [False, True])
async def test_paused_reading_loses_nothing(make_streams: MakeStreams, certificates: Path, secure: bool) -> None:
    class Sips(Recorder):
        bites_max = 1000

        def on_received(self, data: bytes) -> int:
            self.output.pause_reading()
            return super().on_received(data)

    edge = await make_streams(Sips, _server_tls(certificates) if secure else None, read_bytes_max=4096)
    _, writer, connection = await edge.connect(_client_tls(certificates) if secure else None)
    payload = bytes(index % 251 for index in range(50_000))
    writer.write(payload)
    await until(lambda: connection.feeds)
    await asyncio.sleep(0.02)
    assert len(connection.received) == 1000
    while len(connection.received) < len(payload):
        before = len(connection.feeds)
        connection.output.resume_reading()
        await until(lambda: len(connection.feeds) > before)  # noqa: B023

    assert connection.received == payload


async def test_a_full_output_stops_deliveries_until_it_has_drained(
    make_streams: MakeStreams, certificates: Path
) -> None:
    class Backlog(Recorder):
        left = 300

        def opened(self) -> None:
            self.fill()

        def on_writable(self) -> None:
            super().on_writable()
            self.fill()

        def fill(self) -> None:
            while self.left and not self.output.is_full:
                self.send(bytes([self.left % 256]) * 65536)
                self.left -= 1

    edge = await make_streams(Backlog, _server_tls(certificates), high_bytes=200_000)
    reader, _, connection = await edge.connect(_client_tls(certificates))
    await asyncio.sleep(0.1)
    assert connection.left > 0
    received = await asyncio.wait_for(reader.readexactly(300 * 65536), 20)

    assert received[::65536] == bytes(left % 256 for left in range(300, 0, -1))
    assert connection.writable_count > 5


async def test_close_sends_everything_first(make_streams: MakeStreams, certificates: Path) -> None:
    edge = await make_streams(Recorder, _server_tls(certificates))
    reader, writer, connection = await edge.connect(_client_tls(certificates))
    connection.send(b"bye" * 1000)
    connection.output.close()
    connection.send(b"never")

    assert await asyncio.wait_for(reader.read(), 5) == b"bye" * 1000
    assert connection.lost_reasons == ["closed"]
    writer.close()
    await until(lambda: edge.streams.connection_count == 0)


async def test_a_closing_peer_that_does_not_read_is_cut_after_the_linger_time(make_streams: MakeStreams) -> None:
    edge = await make_streams(Recorder, linger_s=0.1)
    _, writer, connection = await edge.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection.send(b"x" * 20_000_000)
    connection.output.close()

    await until(lambda: edge.streams.connection_count == 0)
    assert len(connection.lost_reasons) == 1


async def test_the_peer_closes_and_a_failing_dialect_is_cut(make_streams: MakeStreams) -> None:
    class Fails(Recorder):
        def on_received(self, data: bytes) -> int:
            raise RuntimeError("a bug")

    edge = await make_streams(Fails)
    _, writer, connection = await edge.connect()
    writer.close()
    await until(lambda: connection.lost_reasons)
    assert connection.lost_reasons == ["closed by peer"]

    reader, writer, connection = await edge.connect()
    writer.write(b"x")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert connection.lost_reasons == ["internal error"]
    await until(lambda: edge.streams.connection_count == 0)


async def test_a_client_certificate_is_seen_and_required(make_streams: MakeStreams, certificates: Path) -> None:
    edge = await make_streams(Recorder, _server_tls(certificates, "required"))
    _, _, connection = await edge.connect(_client_tls(certificates, own=True))
    assert (("commonName", "client"),) in connection.tls.getpeercert()["subject"]

    async def come_without() -> None:
        reader, _ = await asyncio.open_connection("127.0.0.1", edge.listener.port, ssl=_client_tls(certificates))
        if await reader.read() == b"":
            raise ConnectionResetError

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await come_without()
    assert len(edge.made) == 1


async def test_connections_over_the_limit_are_refused_and_counted(make_streams: MakeStreams) -> None:
    edge = await make_streams(Recorder, connections_max=1)
    await edge.connect()
    reader, _ = await asyncio.open_connection("127.0.0.1", edge.listener.port)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert edge.streams.refused_count == 1


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, certificates: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(TlsError, match=r"broken\.pem"):
        server_context(str(broken), str(certificates / "server.key"))
    with pytest.raises(TlsError, match=r"broken\.pem"):
        server_context(str(certificates / "server.pem"), str(certificates / "server.key"), str(broken))
    assert server_context(str(certificates / "server.pem"), str(certificates / "server.key")).minimum_version == (
        ssl.TLSVersion.TLSv1_2
    )
