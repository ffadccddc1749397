"""What all WebSockets of a broker share: paths, what may connect, limits, pings, and counts.

Owns the decision over a request and the timers of every connection. Refuses to know the dialects: a path brings a
function that makes connections of one.

Invariants: the peer's address is taken from a header only where the peer itself is a trusted proxy; who does not
finish the upgrade, does not answer a ping, or does not answer Close, is cut after a time.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from broker.websocket.closing import PROTOCOL_ERROR
from broker.websocket.upgrade import (
    RefusedError,
    Request,
    acceptance,
    check_origin,
    check_upgrade,
    choose_subprotocol,
    offers_deflate,
    parse_request,
    refusal,
)
from broker.wire.connection import Connection

if TYPE_CHECKING:
    from broker.websocket.connection import WebSocketConnection

log = logging.getLogger("hubbub.websocket")

PING_TICKS = 8
"""Into how many parts the ping interval is cut: so many connections are looked at together."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Path(NamedTuple):
    """What is served under one path. `make(listener, subprotocol)` makes a connection of the dialect."""

    make: Callable[[Any, str], Connection]
    subprotocols: tuple[str, ...]
    is_optional: bool = False
    """A client may name no subprotocol."""
    by_message: bool = False
    """The dialect is given whole messages, not a stream."""
    in_text: frozenset[str] = frozenset()
    """The subprotocols ("": none) whose messages are text."""


class Timed(Protocol):
    """A connection whose time is measured here."""

    timer: Any

    def cut(self, reason: str) -> None:
        """The peer has had its time."""


class WebSocketEndpoint:
    """One per broker; listeners make connections with it."""

    def __init__(
        self,
        clock: Any,
        limits: Any,
        paths: Mapping[str, Path],
        *,
        origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        deflate: bool = False,
        ping_interval_s: int = 30,
    ) -> None:
        """`origins`: none: any; `trusted_proxies`: addresses or networks; `ping_interval_s` 0: no pings."""
        self.clock = clock
        self.paths = dict(paths)
        self.ping_interval_ms = ping_interval_s * 1000
        self.linger_ms: int = limits.linger_ms
        self.use(limits, origins=origins, trusted_proxies=trusted_proxies, deflate=deflate)
        self.connections: set[WebSocketConnection] = set()
        self.opened = 0
        self.refused: Counter[int] = Counter()
        """By HTTP status."""
        self.closed: Counter[int] = Counter()
        """By close code, whoever said it first; 1005: none given."""
        self.timed_out: Counter[str] = Counter()
        """`upgrade`, `ping`, `close`."""
        self._ping_places: list[set[WebSocketConnection]] = [set() for _ in range(PING_TICKS)]
        self._ping_turn = 0
        self._ping_timer: Any = None

    def use(self, limits: Any, *, origins: Iterable[str], trusted_proxies: Iterable[str], deflate: bool) -> None:
        """What counts for upgrades from now on."""
        self.origins = frozenset(origin.lower() for origin in origins)
        self.trusted: tuple[Network, ...] = tuple(ipaddress.ip_network(each, strict=False) for each in trusted_proxies)
        self.deflate = deflate
        self.handshake_timeout_ms: int = limits.handshake_timeout_ms
        self.head_bytes_max: int = limits.http_head_bytes_max
        self.frame_bytes_max: int = limits.websocket_frame_bytes_max
        self.message_bytes_max: int = limits.websocket_message_bytes_max

    # ── the upgrade ───────────────────────────────────────────────────────────────────────────────────────────────

    def await_upgrade(self, connection: Timed) -> None:
        """The client has this long for its request."""
        self._cut_later(connection, self.handshake_timeout_ms, "upgrade")

    def on_request(self, connection: WebSocketConnection, data: bytes, size: int) -> int:
        """The first octets of a connection: how many belong to its request; 0 while that is not whole."""
        head, end, _ = data.partition(b"\r\n\r\n")
        try:
            if not data.startswith(b"GET "[: len(data)]):
                raise RefusedError(400, "expected a request of HTTP/1.1 by GET")
            if not end:
                if size >= self.head_bytes_max:
                    raise RefusedError(431, f"a request has at most {self.head_bytes_max} octets")
                return 0
            self._upgrade(connection, parse_request(head))
        except RefusedError as error:
            self.refused[error.status] += 1
            log.info("%s: refused with %d: %s", connection.peer, error.status, error.text)
            connection.refuse(refusal(error))
            return size
        return len(head) + len(end)

    def _upgrade(self, connection: WebSocketConnection, request: Request) -> None:
        path = self.paths.get(request.path)
        if path is None:
            raise RefusedError(404, f"expected one of the paths {', '.join(sorted(self.paths))}")
        check_upgrade(request)
        check_origin(request, self.origins)
        subprotocol = choose_subprotocol(request, path.subprotocols, is_optional=path.is_optional)
        deflates = self.deflate and offers_deflate(request)
        self._stop_timer(connection)
        self.connections.add(connection)
        self.opened += 1
        self._watch(connection)
        connection.carry(
            path.make(connection.listener, subprotocol),
            path=request.path,
            subprotocol=subprotocol,
            peer=self.peer_of(connection.peer, request),
            by_message=path.by_message,
            is_text=subprotocol in path.in_text,
            deflates=deflates,
            message_bytes_max=self.message_bytes_max,
            response=acceptance(request, subprotocol, deflates=deflates),
        )

    def peer_of(self, peer: str, request: Request) -> str:
        """The client's address: behind trusted proxies the last one in X-Forwarded-For that is not one of them."""
        hops = [hop.strip("[]\"' ") for hop in request.tokens("x-forwarded-for")]
        found = peer
        while self._is_trusted(found) and hops:
            hop = hops.pop()
            try:
                address = ipaddress.ip_address(hop)
            except ValueError:
                break  # who put this there cannot be trusted with the rest
            found = f"[{address}]:0" if address.version == 6 else f"{address}:0"
        return found

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer.rpartition(":")[0].strip("[]"))
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.trusted)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def on_close_sent(self, connection: WebSocketConnection, code: int, text: str) -> None:
        """We have sent Close; the peer has a moment for its own."""
        self.closed[code] += 1
        if code >= PROTOCOL_ERROR:
            log.info("%s: closed with %d: %s", connection.peer, code, text)
        self._cut_later(connection, self.linger_ms, "close")

    def on_close_received(self, connection: WebSocketConnection, code: int) -> None:
        """The peer has sent Close first."""
        self.closed[code] += 1

    def forget(self, connection: Any) -> None:
        """The connection is lost, or somebody else's."""
        self._stop_timer(connection)
        self.connections.discard(connection)
        for place in self._ping_places:
            place.discard(connection)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call when nobody is on the stack."""
        self.clock.call_at(self.clock.now_ms, callback)

    def _cut_later(self, connection: Timed, wait_ms: int, what: str) -> None:
        def cut() -> None:
            connection.timer = None
            self.timed_out[what] += 1
            connection.cut(f"no {what} in time")

        self._stop_timer(connection)
        connection.timer = self.clock.call_at(self.clock.now_ms + wait_ms, cut)

    def _stop_timer(self, connection: Timed) -> None:
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None

    # ── pings (RFC 6455 §5.5.2) ───────────────────────────────────────────────────────────────────────────────────

    def _watch(self, connection: WebSocketConnection) -> None:
        if not self.ping_interval_ms:
            return
        connection.heard_bytes = connection.output.bytes_received
        self._ping_places[(self._ping_turn - 1) % PING_TICKS].add(connection)
        if self._ping_timer is None:
            self._await_tick()

    def _await_tick(self) -> None:
        wait_ms = max(1, self.ping_interval_ms // PING_TICKS)
        self._ping_timer = self.clock.call_at(self.clock.now_ms + wait_ms, self._on_tick)

    def _on_tick(self) -> None:
        self._ping_timer = None
        self._ping_turn = (self._ping_turn + 1) % PING_TICKS
        for connection in list(self._ping_places[self._ping_turn]):
            self._look_at(connection)
        if self.connections:
            self._await_tick()

    def _look_at(self, connection: WebSocketConnection) -> None:
        """Silent since the last look: ask. Silent since we asked: gone."""
        if not connection.is_open:
            return
        heard = connection.output.bytes_received
        if heard != connection.heard_bytes or connection.output.is_full:
            # Whoever is being sent much may be slow to answer: the output's own limits see to it.
            connection.heard_bytes = heard
            connection.pinged = False
        elif connection.pinged:
            self.timed_out["ping"] += 1
            log.info("%s: does not answer pings", connection.peer)
            connection.cut("no answer to a ping in time")
        else:
            connection.pinged = True
            connection.ping()
