# cython: annotation_typing=False
"""The cold half of a connection: handshake, what comes on channel 0, channels that open (AMQP 0-9-1 §2.2, §1.4).

Owns the connection's states up to its end, which is `ending`'s. Knows nothing of sockets; the hot half reads frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.amqp import sasl
from broker.amqp.codec import SyntaxFault, arguments_of, method_frame
from broker.amqp.ending import fail, finish, release
from broker.amqp.expiry import watch_expiry
from broker.amqp.methods import BY_NAME, METHODS
from broker.amqp.states import (
    AWAIT_OPEN,
    AWAIT_SECURE_OK,
    AWAIT_START_OK,
    AWAIT_TUNE_OK,
    CLOSED,
    CLOSING,
    RUNNING,
)
from broker.amqp.telling import connection_event, tell_of_channel
from broker.amqp.translate import AmqpError
from broker.core.errors import AccessRefused, TableError
from broker.core.events import tell_login
from broker.core.properties import decode_table
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
FRAME_MIN_SIZE = 4096
RAW_TABLE = b"T"
CLIENTS_REMEMBERED_MAX = 256
CLIENT_REMEMBERED_BYTES_MAX = 2048

CAPABILITIES = {
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
SERVER_PROPERTIES = {
    "capabilities": CAPABILITIES,
    "cluster_name": "hubbub",
    "product": "Hubbub",
    "version": VERSION,
    "platform": "Python",
    "copyright": "The Hubbub authors",
    "information": "Licensed under the Apache License 2.0",
}

log = logging.getLogger("hubbub.amqp")


class Negotiation:
    """What one connection agrees on with its peer."""

    def __init__(self, connection: AmqpConnection) -> None:
        """Belongs to `connection` for its whole life."""
        self.connection = connection
        self.hears_refusal = False
        self.mechanism: sasl.Mechanism | None = None
        self.timer: Any = None
        self.expiry: Any = None

    # ── handshake ─────────────────────────────────────────────────────────────────────────────────────────────────

    def await_handshake(self) -> None:
        """A peer that does not log in in time is cut off."""
        connection = self.connection
        connection.endpoint.connections.add(connection)
        connection.endpoint.ack_timeouts.start()
        self.timer = connection.broker.clock.call_at(
            connection.broker.clock.now_ms + connection.endpoint.handshake_timeout_ms, self.on_handshake_timeout
        )

    def stop_timers(self) -> None:
        """Nothing is awaited any more."""
        for timer in (self.timer, self.expiry):
            if timer is not None:
                timer.cancel()
        self.timer = self.expiry = None

    def on_handshake_timeout(self) -> None:
        """The login took too long."""
        connection = self.connection
        if connection.state not in (RUNNING, CLOSED):
            log.warning("%s: no login within the time allowed", connection.peer)
            connection.endpoint.handshakes_timed_out += 1
            connection.output.abort()

    def on_short_header(self, received: bytes) -> int:
        """Fewer than eight bytes: wait for more, unless they can't become the header. How many are consumed."""
        if PROTOCOL_HEADER.startswith(received):
            return 0
        self.refuse_header()
        return len(received)

    def refuse_header(self) -> None:
        """Another protocol or version: answer with the one that is spoken here, and close (§4.2.2)."""
        self.connection.endpoint.protocol_headers_refused += 1
        self.connection.write(PROTOCOL_HEADER)
        finish(self.connection)

    def start(self) -> None:
        """The header was right: connection.start."""
        connection = self.connection
        connection.state = AWAIT_START_OK
        connection.write(start_frame(sasl.offered(connection)))

    def on_method(self, number: int, payload: bytes) -> None:
        """A method on channel 0, or before the connection is open."""
        connection = self.connection
        expected = EXPECTED.get(payload[:4])
        if expected is None or number or connection.state not in expected.states:
            self.on_unexpected_method(number, payload)
            return
        try:
            values = arguments_of(payload, expected.signature)
        except SyntaxFault as fault:
            raise AmqpError(501, f"{expected.name}: {fault}") from None
        expected.call(self, *values)

    def on_unexpected_method(self, number: int, payload: bytes) -> None:
        """Not on channel 0, not in this state, or not at all (RabbitMQ's reply codes)."""
        if self.connection.state == CLOSING:
            return
        if len(payload) < 4:
            raise AmqpError(501, "a method frame without a method")
        method = METHODS.get(int.from_bytes(payload[:4], "big"))
        if method is None:
            raise AmqpError(540, f"unknown method {payload[0] << 8 | payload[1]}.{payload[2] << 8 | payload[3]}")
        if number:
            raise AmqpError(505, f"channel {number} used before the connection is open")
        raise AmqpError(
            504, f"unexpected method {method.name} on channel 0 in connection state {self.connection.state}"
        )

    def on_start_ok(self, raw_client_properties: bytes, mechanism: str, response: bytes, _locale: str) -> None:
        """The client chose a mechanism and gave its first response."""
        connection = self.connection
        try:
            if len(raw_client_properties) <= CLIENT_REMEMBERED_BYTES_MAX:
                client = remembered_client(raw_client_properties)
            else:
                client = read_client(raw_client_properties)
        except TableError as error:
            raise AmqpError(501, f"connection.start-ok: {error}") from None
        connection.raw_client_properties = client.raw_properties
        connection.hears_blocked = client.hears_blocked
        connection.hears_cancel = client.hears_cancel
        self.hears_refusal = client.hears_refusal
        if mechanism not in sasl.offered(connection).split():
            raise AmqpError(503, f"unknown authentication mechanism '{mechanism}'")
        self.mechanism = sasl.MECHANISMS[mechanism](connection)
        self.authenticate(response)

    def on_secure_ok(self, response: bytes) -> None:
        """The next response of a mechanism that asks more than once."""
        self.authenticate(response)

    def authenticate(self, response: bytes) -> None:
        """Ask the mechanism: another challenge, or a user."""
        connection = self.connection
        assert self.mechanism is not None
        try:
            answer = self.mechanism.respond(response)
        except AccessRefused as error:
            self.refuse_login(error)
            return
        if isinstance(answer, bytes):
            connection.state = AWAIT_SECURE_OK
            connection.write(method_frame(0, "connection.secure", answer))
            return
        connection.user = answer
        watch_expiry(self.connection)
        connection.state = AWAIT_TUNE_OK
        tell_login(connection.broker.events, connection, answer.name, self.mechanism.name)
        endpoint = connection.endpoint
        connection.write(tune_frame(endpoint.channel_max, endpoint.frame_max, endpoint.heartbeat_s))

    def refuse_login(self, error: AccessRefused) -> None:
        """Wrong password: 403 for clients that understand (authentication_failure_close), else the socket closes."""
        connection = self.connection
        connection.endpoint.logins_refused += 1
        log.warning("%s: login refused: %s", connection.peer, error.text)
        if self.mechanism is not None:
            name = self.mechanism.user_name
            tell_login(connection.broker.events, connection, name, self.mechanism.name, error.text)
        if self.hears_refusal:
            assert self.mechanism is not None
            text = (
                f"Login was refused using authentication mechanism {self.mechanism.name}. "
                "For details see the broker logfile."
            )
            fail(self.connection, AmqpError(403, text, hard=True))
        else:
            finish(self.connection)

    def on_tune_ok(self, channel_max: int, frame_max: int, heartbeat_s: int) -> None:
        """The client's choice within what was offered; 0 means no limit of its own (§1.4.2.6)."""
        connection = self.connection
        endpoint = connection.endpoint
        if frame_max and frame_max < FRAME_MIN_SIZE:
            raise AmqpError(
                530, f"negotiated frame_max = {frame_max} is lower than the minimum allowed value ({FRAME_MIN_SIZE})"
            )
        if endpoint.frame_max and (frame_max == 0 or frame_max > endpoint.frame_max):
            asked = "no limit" if frame_max == 0 else str(frame_max)
            raise AmqpError(
                530, f"negotiated frame_max = {asked} is higher than the maximum allowed value ({endpoint.frame_max})"
            )
        if endpoint.channel_max and (channel_max == 0 or channel_max > endpoint.channel_max):
            asked = "no limit" if channel_max == 0 else str(channel_max)
            raise AmqpError(
                530,
                f"negotiated channel_max = {asked} is higher than the maximum allowed value ({endpoint.channel_max})",
            )
        connection.frame_max = frame_max
        connection.channel_max = channel_max
        connection.heartbeat_s = heartbeat_s
        connection.state = AWAIT_OPEN

    def on_open(self, virtual_host: str, _reserved_1: str, _reserved_2: bool) -> None:
        """The vhost; with it the connection is open."""
        connection = self.connection
        vhost = connection.broker.vhosts.get(virtual_host)
        if vhost is None:
            raise AmqpError(530, f"vhost {virtual_host} not found")
        if not connection.user.may_access(virtual_host):
            raise AmqpError(530, f"access to vhost '{virtual_host}' refused for user '{connection.user.name}'")
        connection.broker.presence.enter(connection.user.name, virtual_host, connection)
        connection.vhost = vhost
        connection.state = RUNNING
        connection.be_metered()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if connection.heartbeat_s:
            connection.endpoint.heartbeats.watch(connection)
        connection.endpoint.connections_opened += 1
        if connection.broker.events.wanted:
            connection.broker.events.tell("connection.created", **connection_event(connection))
        connection.write(OPEN_OK)

    def on_update_secret(self, new_secret: bytes, reason: str) -> None:
        """New credentials on a live connection (RabbitMQ): those of a token or of another backend must be right."""
        connection = self.connection
        assert self.mechanism is not None
        try:
            connection.become(self.mechanism.update_secret(new_secret))
        except AccessRefused as error:
            tell_login(connection.broker.events, connection, connection.user.name, self.mechanism.name, error.text)
            raise AmqpError(530, f"New secret was refused by one of the backends: {error.text}") from None
        if connection.state != RUNNING:  # the new one may not be in this vhost
            return
        watch_expiry(self.connection)
        tell_login(connection.broker.events, connection, connection.user.name, self.mechanism.name)
        log.info("%s: secret of user '%s' updated: %s", connection.peer, connection.user.name, reason)
        connection.write(method_frame(0, "connection.update-secret-ok"))

    # ── close ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_close(self, _reply_code: int, _reply_text: str, _class_id: int, _method_id: int) -> None:
        """The client closes."""
        release(self.connection)
        self.connection.write(CLOSE_OK)
        finish(self.connection)

    def on_close_ok(self) -> None:
        """The client has heard that we close."""
        finish(self.connection)

    # ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────

    def on_unopened_channel(self, frame_type: int, number: int, payload: bytes) -> None:
        """A frame on a channel that is not open: only channel.open may come."""
        connection = self.connection
        if payload[:4] == b"\x00\x14\x00\x0a" and frame_type == 1:
            if connection.channel_max and len(connection.channels) >= connection.channel_max:
                raise AmqpError(
                    530,
                    f"number of channels opened ({len(connection.channels)}) has reached the negotiated channel_max "
                    f"({connection.channel_max})",
                )
            if connection.channel_max and number > connection.channel_max:
                raise AmqpError(
                    504, f"channel number {number} is above the negotiated maximum {connection.channel_max}"
                )
            connection.broker.presence.open_channel(connection.user.name)
            connection.open_channel(number)
            connection.endpoint.channels_opened += 1
            tell_of_channel(connection, "channel.created", number)
            connection.write(CHANNEL_OPEN_OK_START + number.to_bytes(2, "big") + CHANNEL_OPEN_OK_END)
        elif payload[:4] == b"\x00\x14\x00\x29" and frame_type == 1:
            return  # a late close-ok
        elif frame_type == 1:
            raise AmqpError(504, "expected 'channel.open'")
        else:
            raise AmqpError(505, f"content on channel {number}, which is not open")

    # ── blocked ───────────────────────────────────────────────────────────────────────────────────────────────────

    def send_blocked(self, reason: str) -> None:
        """connection.blocked, for clients that understand it (RabbitMQ)."""
        if self.connection.hears_blocked:
            self.connection.write(method_frame(0, "connection.blocked", reason))

    def send_unblocked(self) -> None:
        """connection.unblocked."""
        if self.connection.hears_blocked:
            self.connection.write(method_frame(0, "connection.unblocked"))


class Client(NamedTuple):
    """What a client says of itself in connection.start-ok: its properties, and of them what the broker acts on."""

    raw_properties: bytes
    hears_blocked: bool
    hears_cancel: bool
    hears_refusal: bool


def read_client(raw_properties: bytes) -> Client:
    """Read the client properties, a whole field table. Raises TableError."""
    capabilities = decode_table(raw_properties).get("capabilities")
    if not isinstance(capabilities, dict):
        return Client(raw_properties, False, False, False)
    return Client(
        raw_properties,
        capabilities.get("connection.blocked") is True,
        capabilities.get("consumer_cancel_notify") is True,
        capabilities.get("authentication_failure_close") is True,
    )


# Clients of one library all say the same: it is read, and kept in memory, once.
remembered_client = lru_cache(maxsize=CLIENTS_REMEMBERED_MAX)(read_client)


class Expected(NamedTuple):
    """A method that may come on channel 0: what takes it, and in which states of the connection."""

    name: str
    signature: bytes
    call: Callable[..., None]
    states: frozenset[int]


def expect(name: str, call: Callable[..., None], *states: int) -> tuple[bytes, Expected]:
    """One row of the table below. A table stays as it is: who takes it decodes it."""
    method = BY_NAME["connection." + name]
    signature = method.signature.replace(b"F", RAW_TABLE)
    return method.number.to_bytes(4, "big"), Expected(method.name, signature, call, frozenset(states))


EXPECTED = dict(
    (
        expect("start-ok", Negotiation.on_start_ok, AWAIT_START_OK),
        expect("secure-ok", Negotiation.on_secure_ok, AWAIT_SECURE_OK),
        expect("tune-ok", Negotiation.on_tune_ok, AWAIT_TUNE_OK),
        expect("open", Negotiation.on_open, AWAIT_OPEN),
        expect("update-secret", Negotiation.on_update_secret, RUNNING),
        expect(
            "close",
            Negotiation.on_close,
            AWAIT_START_OK,
            AWAIT_SECURE_OK,
            AWAIT_TUNE_OK,
            AWAIT_OPEN,
            RUNNING,
            CLOSING,
        ),
        expect("close-ok", Negotiation.on_close_ok, RUNNING, CLOSING),
    )
)


@lru_cache(maxsize=16)
def start_frame(mechanisms: str) -> bytes:
    """connection.start: the same for all who may choose among the same mechanisms."""
    return method_frame(0, "connection.start", 0, 9, SERVER_PROPERTIES, mechanisms.encode(), b"en_US")


@lru_cache(maxsize=16)
def tune_frame(channel_max: int, frame_max: int, heartbeat_s: int) -> bytes:
    """connection.tune."""
    return method_frame(0, "connection.tune", channel_max, frame_max, heartbeat_s)


OPEN_OK = method_frame(0, "connection.open-ok", "")
CLOSE_OK = method_frame(0, "connection.close-ok")
CHANNEL_OPEN_OK_START = b"\x01"
CHANNEL_OPEN_OK_END = method_frame(1, "channel.open-ok", b"")[3:]
