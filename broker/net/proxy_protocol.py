"""PROXY protocol, versions 1 and 2 (HAProxy, doc/proxy-protocol.txt): who the client behind a load balancer is.

Owns the header in front of everything else that a connection says, whose word counts, and what is refused. Refuses to
know what comes behind it: it is given a factory of connections, and hands over.

    version 1   PROXY TCP4 192.0.2.1 192.0.2.2 50000 5672\\r\\n                              text, at most 107 octets
    version 2   \\r\\n\\r\\n\\0\\r\\nQUIT\\n  0x2 command  family protocol  length (2)  addresses  TLVs       binary

Invariants: a trusted proxy must send a header, so that a client cannot come in its name; from anybody else a header is
refused, so that nobody chooses an address for himself; a header is bounded in octets and in time.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from broker.wire.connection import Connection, PythonConnection

TEXT_SIGNATURE = b"PROXY "
BINARY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TEXT_BYTES_MAX = 107
"""§2.1: the longest line of version 1, its end included."""
BINARY_HEAD_BYTES = 16

LOCAL, PROXY = 0, 1
UNSPECIFIED, INET, INET6, UNIX = range(4)
STREAM = 1
TLV_CRC32C = 0x03

PORT = re.compile(r"0|[1-9][0-9]{0,4}")
REASONS = ("untrusted", "missing", "malformed", "late")

log = logging.getLogger("hubbub.net")


class HeaderError(Exception):
    """The header is not one. `reason` is one of REASONS."""

    def __init__(self, text: str, reason: str = "malformed") -> None:
        super().__init__(text)
        self.reason = reason


class Header(NamedTuple):
    """A whole header. `client`: `192.0.2.1:50000` or `[2001:db8::1]:50000`; "" where the peer speaks for itself."""

    size: int
    client: str


def may_be_header(data: bytes) -> bool:
    """Whether these first octets begin one, as far as they go."""
    return any(data[: len(signature)] == signature[: len(data)] for signature in (TEXT_SIGNATURE, BINARY_SIGNATURE))


def is_header(data: bytes) -> bool:
    """Whether these first octets are enough to say that it is one."""
    return data.startswith((TEXT_SIGNATURE, BINARY_SIGNATURE))


def decode(data: bytes, bytes_max: int) -> Header | None:
    """The header at the front of `data`; None while it is not whole. HeaderError."""
    if not may_be_header(data):
        raise HeaderError("expected a PROXY header", "missing")
    if data.startswith(TEXT_SIGNATURE):
        return _decode_text(data)
    if data.startswith(BINARY_SIGNATURE) and len(data) >= BINARY_HEAD_BYTES:
        return _decode_binary(data, bytes_max)
    return None


def _decode_text(data: bytes) -> Header | None:
    line, end, _ = data[:TEXT_BYTES_MAX].partition(b"\r\n")
    if not end:
        if len(data) >= TEXT_BYTES_MAX:
            raise HeaderError(f"a line of more than {TEXT_BYTES_MAX} octets")
        return None
    size = len(line) + 2
    words = line.decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":  # §2.1: whatever follows is ignored
        return Header(size, "")
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise HeaderError("expected PROXY TCP4 or TCP6, two addresses and two ports")
    _, family, source, destination, source_port, destination_port = words
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        address = kind(source)
        kind(destination)
    except ValueError:
        raise HeaderError(f"expected addresses of {family}") from None
    for port in (source_port, destination_port):
        if not PORT.fullmatch(port) or int(port) > 0xFFFF:
            raise HeaderError("expected ports from 0 to 65535")
    return Header(size, _joined(address, int(source_port)))


def _decode_binary(data: bytes, bytes_max: int) -> Header | None:
    version_command, family_protocol, length = struct.unpack_from(">BBH", data, 12)
    size = BINARY_HEAD_BYTES + length
    command, family, protocol = version_command & 15, family_protocol >> 4, family_protocol & 15
    if version_command >> 4 != 2:
        raise HeaderError(f"version {version_command >> 4} in the signature of version 2")
    if command not in (LOCAL, PROXY):
        raise HeaderError(f"unknown command {command}")
    if size > bytes_max:
        raise HeaderError(f"a header of {size} octets, where {bytes_max} may be")
    if len(data) < size:
        return None
    if command == LOCAL:  # §2.2: the proxy itself, a health check; what else it says is ignored
        return Header(size, "")
    client = ""
    addresses = {UNSPECIFIED: 0, INET: 12, INET6: 36, UNIX: 216}.get(family)
    if addresses is None or (family in (INET, INET6) and protocol != STREAM):
        raise HeaderError(f"unknown family and protocol 0x{family_protocol:02x}")
    if length < addresses:
        raise HeaderError("the addresses are cut off")
    if family == INET:
        source, _, port = struct.unpack_from(">4s4sH", data, BINARY_HEAD_BYTES)
        client = _joined(ipaddress.IPv4Address(source), port)
    elif family == INET6:
        source, _, port = struct.unpack_from(">16s16sH", data, BINARY_HEAD_BYTES)
        client = _joined(ipaddress.IPv6Address(source), port)
    _check_tlvs(data[:size], BINARY_HEAD_BYTES + addresses)
    return Header(size, client)


def _check_tlvs(header: bytes, at: int) -> None:
    """§2.2: type, length (2), value, up to the end; a checksum that is there must be right (§2.2.3)."""
    while at < len(header):
        if at + 3 > len(header):
            raise HeaderError("a TLV is cut off")
        kind, length = struct.unpack_from(">BH", header, at)
        at += 3
        if at + length > len(header):
            raise HeaderError("a TLV is cut off")
        if kind == TLV_CRC32C:
            zeroed = header[:at] + bytes(length) + header[at + length :]
            if length != 4 or int.from_bytes(header[at : at + 4], "big") != crc32c(zeroed):
                raise HeaderError("the checksum is wrong")
        at += length


def crc32c(data: bytes) -> int:
    """The checksum of RFC 4960, appendix B."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value ^ 0xFFFFFFFF


def _joined(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class Proxies:
    """Who may speak for others, how long it may take, and what was refused."""

    def __init__(
        self, trusted: Iterable[str], *, call_later: Callable[..., Any], header_bytes_max: int, timeout_s: float
    ) -> None:
        """`trusted`: addresses and networks; `call_later(seconds, callback)`: the loop's."""
        self.use(trusted)
        self.call_later = call_later
        self.header_bytes_max = header_bytes_max
        self.timeout_s = timeout_s
        self.accepted = 0
        self.refused: Counter[str] = Counter(dict.fromkeys(REASONS, 0))

    def use(self, trusted: Iterable[str]) -> None:
        """Whose headers are believed from now on."""
        self.trusted = tuple(ipaddress.ip_network(each, strict=False) for each in trusted)

    def trusts(self, peer: str) -> bool:
        """Whether `127.0.0.1:5000` or `[::1]:5000` is a proxy of ours."""
        try:
            address = ipaddress.ip_address(peer.rpartition(":")[0].strip("[]"))
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.trusted)

    def client_of(self, data: bytes, *, is_trusted: bool) -> Header | None:
        """What the first octets say; of size 0: none, and none is due. None: wait. HeaderError."""
        if is_trusted:
            header = decode(data, self.header_bytes_max)
            self.accepted += header is not None
            return header
        if is_header(data):
            raise HeaderError("a PROXY header from who is not in proxy_protocol.trusted", "untrusted")
        return None if may_be_header(data) else Header(0, "")

    def refuse(self, peer: str, error: HeaderError) -> None:
        """Count, and say why."""
        self.refused[error.reason] += 1
        log.warning("%s: refused: %s", peer, error)


class ProxyHeader(PythonConnection):
    """A peer that has not yet said who it is. It hands over, and is gone."""

    def __init__(self, proxies: Proxies, make: Callable[[], Connection]) -> None:
        """`make` makes the connection behind the header."""
        self.proxies = proxies
        self.make = make
        self.timer: Any = None
        self.is_trusted = False

    def opened(self) -> None:
        """It has a moment."""
        self.is_trusted = self.proxies.trusts(self.peer)
        self.timer = self.proxies.call_later(self.proxies.timeout_s, self._on_late)

    def on_received(self, data: bytes) -> int:
        """As much of the header as has come, and perhaps more behind it."""
        try:
            header = self.proxies.client_of(data, is_trusted=self.is_trusted)
        except HeaderError as error:
            self._refuse(error)
            return len(data)
        if header is None:
            return 0
        self._stop_timer()
        if header.client:
            self.peer = header.client
        self.output.hand_over(self.make())
        return header.size

    def lost(self, reason: str) -> None:
        """It is gone, and has said nothing."""
        self._stop_timer()

    def _on_late(self) -> None:
        self.timer = None
        self._refuse(HeaderError("no PROXY header in time" if self.is_trusted else "nothing said in time", "late"))

    def _refuse(self, error: HeaderError) -> None:
        self._stop_timer()
        self.proxies.refuse(self.peer, error)
        self.output.abort()

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def behind_proxies(proxies: Proxies, make: Callable[[Any], Connection]) -> Callable[[Any], Connection]:
    """`make(listener)`, for a port whose clients come through proxies."""
    return lambda listener: ProxyHeader(proxies, lambda: make(listener))
