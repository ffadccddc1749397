"""PROXY headers: read byte by byte, believed only of whom they may come from, in front of any protocol."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from broker.net import proxy_protocol
from broker.net.listener import listen
from broker.net.proxied_sockets import ProxiedSockets
from broker.net.proxy_protocol import BINARY_SIGNATURE, Header, HeaderError, Proxies, behind_proxies, crc32c, decode
from tests.unit.net.conftest import Echo, Edge, until

BYTES_MAX = 1024


def binary(source: str, port: int, *, command: int = 1, family: int | None = None, tlvs: bytes = b"") -> bytes:
    """A header of version 2."""
    address = ipaddress.ip_address(source)
    addresses = address.packed + bytes(len(address.packed)) + struct.pack(">HH", port, 5672)
    kind = (0x11 if address.version == 4 else 0x21) if family is None else family
    body = addresses + tlvs
    return BINARY_SIGNATURE + struct.pack(">BBH", 0x20 | command, kind, len(body)) + body


def with_checksum(source: str, port: int, wrong_by: int = 0) -> bytes:
    empty = binary(source, port, tlvs=b"\x03\x00\x04" + bytes(4))
    return empty[:-4] + (crc32c(empty) ^ wrong_by).to_bytes(4, "big")


WHOLE = {
    "text, IPv4": (b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 5672\r\n", "192.0.2.1:50000"),
    "text, IPv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 5672\r\n", "[2001:db8::1]:50000"),
    "text, the longest": (
        b"PROXY TCP6 ffff:f:f:f:f:f:f:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "[ffff:f:f:f:f:f:f:ffff]:65535",
    ),
    "text, IPv4 in IPv6": (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 50000 5672\r\n", "192.0.2.1:50000"),
    "text, unknown": (b"PROXY UNKNOWN\r\n", ""),
    "text, unknown with more": (b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n", ""),
    "binary, IPv4": (binary("192.0.2.1", 50000), "192.0.2.1:50000"),
    "binary, IPv6": (binary("2001:db8::1", 50000), "[2001:db8::1]:50000"),
    "binary, TLVs": (binary("192.0.2.1", 1, tlvs=b"\x02\x00\x03abc\x04\x00\x00"), "192.0.2.1:1"),
    "binary, checksum": (with_checksum("192.0.2.1", 50000), "192.0.2.1:50000"),
    "binary, local": (binary("192.0.2.1", 50000, command=0), ""),
    "binary, unspecified": (BINARY_SIGNATURE + b"\x21\x00\x00\x00", ""),
    "binary, a UNIX socket": (BINARY_SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), ""),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_header_is_read_whole_in_pieces_and_with_more_behind_it(name: str) -> None:
    data, client = WHOLE[name]

    for size in range(len(data)):
        assert decode(data[:size], BYTES_MAX) is None
    assert decode(data, BYTES_MAX) == Header(len(data), client)
    assert decode(data + b"AMQP\x00\x00\x09\x01", BYTES_MAX) == Header(len(data), client)


WRONG = {
    "not a header": (b"AMQP\x00\x00\x09\x01", "missing"),
    "TLS": (b"\x16\x03\x01", "missing"),
    "no such family": (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "malformed"),
    "UDP": (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "malformed"),
    "no words": (b"PROXY \r\n", "malformed"),
    "a word too few": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "malformed"),
    "a word too many": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "malformed"),
    "two spaces": (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "malformed"),
    "a name for an address": (b"PROXY TCP4 localhost 192.0.2.2 1 2\r\n", "malformed"),
    "an address of the other family": (b"PROXY TCP4 ::1 ::1 1 2\r\n", "malformed"),
    "a wrong destination": (b"PROXY TCP4 192.0.2.1 192.0.2 1 2\r\n", "malformed"),
    "a port too large": (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "malformed"),
    "a port with a sign": (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "malformed"),
    "a port with zeros": (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "malformed"),
    "no end in 107 octets": (b"PROXY UNKNOWN " + b"x" * 100, "malformed"),
    "binary, version 1": (BINARY_SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), "malformed"),
    "binary, no such command": (BINARY_SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12), "malformed"),
    "binary, UDP": (binary("192.0.2.1", 1, family=0x12), "malformed"),
    "binary, no such family": (binary("192.0.2.1", 1, family=0x41), "malformed"),
    "binary, addresses cut off": (BINARY_SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11), "malformed"),
    "binary, larger than may be": (BINARY_SIGNATURE + b"\x21\x11\x03\xf1", "malformed"),
    "binary, a TLV's head cut off": (binary("192.0.2.1", 1, tlvs=b"\x04\x00"), "malformed"),
    "binary, a TLV cut off": (binary("192.0.2.1", 1, tlvs=b"\x04\x00\x05abcd"), "malformed"),
    "binary, a wrong checksum": (with_checksum("192.0.2.1", 1, wrong_by=1), "malformed"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_no_header_is_refused(name: str) -> None:
    data, reason = WRONG[name]

    with pytest.raises(HeaderError) as refused:
        decode(data, BYTES_MAX)
    assert refused.value.reason == reason


async def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 §B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


class Port:
    """A poller's port with proxies in front: what is behind them echoes."""

    def __init__(self, trusted: list[str], timeout_s: float = 5.0) -> None:
        loop = asyncio.get_running_loop()
        self.proxies = Proxies(trusted, call_later=loop.call_later, header_bytes_max=BYTES_MAX, timeout_s=timeout_s)
        self.heirs: list[Echo] = []
        accept = behind_proxies(self.proxies, self.make)
        self.edge = Edge(lambda: accept(None))  # type: ignore[arg-type,return-value]

    def make(self, _listener: object) -> Echo:
        self.heirs.append(Echo())
        return self.heirs[-1]


@pytest_asyncio.fixture
async def trusting() -> AsyncIterator[Port]:
    port = Port(["127.0.0.0/8"])
    yield port
    port.edge.close()


@pytest_asyncio.fixture
async def distrusting() -> AsyncIterator[Port]:
    port = Port(["192.0.2.0/24"])
    yield port
    port.edge.close()


async def cut(reader: asyncio.StreamReader) -> bool:
    """Whether the broker has ended the connection without a word."""
    try:
        return await asyncio.wait_for(reader.read(100), 5) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("version", ["text, IPv4", "binary, IPv4"])
@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_behind_a_trusted_proxy_the_client_is_who_the_header_says(
    trusting: Port, version: str, step: int
) -> None:
    reader, writer, _ = await trusting.edge.connect()
    said = WHOLE[version][0] + b"hello"
    for at in range(0, len(said), step):
        writer.write(said[at : at + step])
        await writer.drain()
        await asyncio.sleep(0)

    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
    assert trusting.heirs[0].peer == "192.0.2.1:50000"
    assert trusting.proxies.accepted == 1


async def test_a_proxy_that_speaks_for_itself_is_the_client(trusting: Port) -> None:
    reader, writer, _ = await trusting.edge.connect()
    writer.write(WHOLE["binary, local"][0] + b"hello")

    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
    assert trusting.heirs[0].peer.startswith("127.0.0.1:")


@pytest.mark.parametrize(("said", "reason"), [(b"AMQP", "missing"), (b"PROXY TCP4\r\n", "malformed")])
async def test_a_trusted_proxy_without_a_right_header_is_refused(trusting: Port, said: bytes, reason: str) -> None:
    reader, writer, _ = await trusting.edge.connect()
    writer.write(said)

    assert await cut(reader)
    assert trusting.proxies.refused[reason] == 1
    assert trusting.heirs == []


async def test_a_header_of_whom_nobody_trusts_is_refused(distrusting: Port) -> None:
    for each in ("text, IPv4", "binary, IPv4"):
        reader, writer, _ = await distrusting.edge.connect()
        writer.write(WHOLE[each][0] + b"hello")
        assert await cut(reader)

    assert distrusting.proxies.refused["untrusted"] == 2
    assert distrusting.heirs == []


async def test_a_client_that_comes_directly_needs_no_header(distrusting: Port) -> None:
    reader, writer, _ = await distrusting.edge.connect()
    writer.write(b"P")
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(b"OST")

    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"POST"
    assert distrusting.heirs[0].peer.startswith("127.0.0.1:")


async def test_a_header_must_come_in_time() -> None:
    port = Port(["127.0.0.1"], timeout_s=0.05)
    reader, writer, _ = await port.edge.connect()
    writer.write(b"PROXY TCP4 ")

    assert await cut(reader)
    assert port.proxies.refused["late"] == 1
    port.edge.close()


async def test_addresses_of_proxies_are_compared_whatever_their_form() -> None:
    proxies = Proxies(["10.0.0.0/8", "2001:db8::/32"], call_later=lambda *_: None, header_bytes_max=1, timeout_s=1)

    assert proxies.trusts("10.1.2.3:1")
    assert proxies.trusts("[::ffff:10.1.2.3]:1")
    assert proxies.trusts("[2001:db8::9]:1")
    assert not proxies.trusts("11.1.2.3:1")
    assert not proxies.trusts("")
    assert tuple(proxies.refused) == proxy_protocol.REASONS


# ── sockets that are accepted here, and served by others ──────────────────────────────────────────────────────────────


class Sockets:
    """A listener whose sockets are kept as they are handed over."""

    def __init__(self, trusted: list[str], timeout_s: float = 5.0, waiting_max: int = 10) -> None:
        loop = asyncio.get_running_loop()
        self.listener = listen("test", "127.0.0.1", 0, backlog=16)
        self.proxies = Proxies(trusted, call_later=loop.call_later, header_bytes_max=BYTES_MAX, timeout_s=timeout_s)
        self.served: list[tuple[socket.socket, str]] = []
        self.sockets = ProxiedSockets(self.listener.listening, self.proxies, self.serve, waiting_max=waiting_max)

    async def serve(self, accepted: socket.socket, peer: str) -> None:
        self.served.append((accepted, peer))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port)

    def close(self) -> None:
        self.sockets.close()
        self.listener.close()
        for accepted, _ in self.served:
            accepted.close()


@pytest_asyncio.fixture
async def sockets() -> AsyncIterator[Any]:
    made: list[Sockets] = []

    def make(*arguments: Any, **named: Any) -> Sockets:
        made.append(Sockets(*arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("version", ["text, IPv4", "binary, IPv4", "binary, checksum"])
@pytest.mark.parametrize("step", [1, 13, 1000])
async def test_of_a_socket_only_the_header_is_taken(sockets: Any, version: str, step: int) -> None:
    port = sockets(["127.0.0.1"])
    _, writer = await port.connect()
    said = WHOLE[version][0] + b"\x16hello"
    for at in range(0, len(said), step):
        writer.write(said[at : at + step])
        await writer.drain()
        await asyncio.sleep(0)
    await until(lambda: port.served)

    accepted, peer = port.served[0]
    assert peer == "192.0.2.1:50000"
    rest = await asyncio.get_running_loop().sock_recv(accepted, 100)
    assert b"\x16hello".startswith(rest)
    writer.close()


async def test_a_socket_of_a_direct_client_is_handed_over_untouched(sockets: Any) -> None:
    port = sockets(["192.0.2.1"])
    _, writer = await port.connect()
    writer.write(b"P")
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.write(b"OST")
    await until(lambda: port.served)

    accepted, peer = port.served[0]
    assert peer.startswith("127.0.0.1:")
    assert await asyncio.get_running_loop().sock_recv(accepted, 100) == b"POST"
    writer.close()


@pytest.mark.parametrize(
    ("trusted", "said", "reason"),
    [
        ("192.0.2.1", WHOLE["text, IPv4"][0], "untrusted"),
        ("127.0.0.1", b"\x16\x03\x01", "missing"),
        ("127.0.0.1", b"PROXY TCP4\r\n", "malformed"),
        ("127.0.0.1", b"PROXY TCP4", "late"),
    ],
)
async def test_a_socket_is_refused_for_its_header(sockets: Any, trusted: str, said: bytes, reason: str) -> None:
    port = sockets([trusted], timeout_s=0.1 if reason == "late" else 5.0)
    reader, writer = await port.connect()
    writer.write(said)

    assert await cut(reader)
    assert port.proxies.refused[reason] == 1
    assert port.served == []


async def test_more_sockets_than_may_wait_are_closed_and_counted(sockets: Any) -> None:
    port = sockets(["127.0.0.1"], waiting_max=1)
    await port.connect()
    await until(lambda: port.sockets.waiting)
    reader, _ = await port.connect()

    assert await cut(reader)
    assert port.sockets.refused_count == 1


async def test_closing_cuts_who_has_not_said_who_it_is(sockets: Any) -> None:
    port = sockets(["127.0.0.1"])
    reader, _ = await port.connect()
    await until(lambda: port.sockets.waiting)
    port.close()

    assert await cut(reader)
