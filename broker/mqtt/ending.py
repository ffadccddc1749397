# cython: annotation_typing=False
"""How an MQTT connection ends, and in which words: MQTT 5 says why, MQTT 3 closes.

Owns every end, whoever wants it, and what is given back then. Refuses to know packets that come (`control`).

    AWAIT_CONNECT ──▶ AWAIT_AUTH ──▶ RUNNING ──▶ CLOSED
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from broker.core.errors import CoreError
from broker.core.events import connection_fields
from broker.mqtt import will
from broker.mqtt.properties import Properties
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.replies import encode_connack, encode_disconnect
from broker.mqtt.translate import error_for

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection

log = logging.getLogger("hubbub.mqtt")

AWAIT_CONNECT, AWAIT_AUTH, RUNNING, CLOSED = range(4)


def fail(connection: MqttConnection, error: MqttError) -> None:
    """What the peer did, or may not do, ends the connection: MQTT 5 says why [MQTT-4.13.1-1], MQTT 3 closes."""
    if connection.state == CLOSED:
        return
    connection.counters.connections_failed += 1
    log.warning("%s: connection closed: %s", connection.peer, error.text)
    disconnect(connection, error.reason, error.text, error.version)


def disconnect(connection: MqttConnection, reason: Reason, text: str = "", version: int = 0) -> None:
    """Say why, and close."""
    is_early = connection.state in (AWAIT_CONNECT, AWAIT_AUTH)
    connection.counters.refuse("CONNECT" if is_early else "DISCONNECT", reason)
    if is_early:
        version = version or connection.version
        if version:
            properties = Properties(reason_string=text or None) if version == 5 and connection.wants_reasons else None
            connection.write(encode_connack(version, False, reason, properties, connection.packet_bytes_max))
    else:
        properties = Properties(reason_string=text) if text and connection.wants_reasons else None
        connection.write(encode_disconnect(connection.version, reason, properties, connection.packet_bytes_max))
    close(connection)


def on_unsayable(connection: MqttConnection, size: int) -> None:
    """The client takes no packet as large as the one that it must be sent [MQTT-3.1.2-24]."""
    if connection.session is not None and connection.session.is_connected:  # CONNACK is said: there is room for 0x95
        fail(connection, MqttError(Reason.PACKET_TOO_LARGE, f"an answer of {size} bytes is more than the client takes"))
    else:
        connection.counters.connections_failed += 1
        log.warning("%s: connection refused: the client takes no packet of %d bytes", connection.peer, size)
        refusal = encode_connack(connection.version, False, Reason.PACKET_TOO_LARGE)
        if len(refusal) < size:
            connection.write(refusal)
        close(connection)


def close(connection: MqttConnection) -> None:
    """Send what is left, then close the socket."""
    release(connection)
    connection.output.close()


def release(connection: MqttConnection) -> None:
    """The connection is over: its session goes on without it, or ends. Once."""
    if connection.state == CLOSED:
        return
    was_running = connection.state == RUNNING
    connection.state = CLOSED
    endpoint = connection.endpoint
    endpoint.keep_alives.forget(connection)
    endpoint.on_closed(connection)
    if connection.publishes:
        connection.broker.publishing.discard(connection)
    connection.authentication = None
    if connection.expiry is not None:
        connection.expiry.cancel()
        connection.expiry = None
    if connection.is_present:
        count_out(connection)
    session = connection.leave()
    if was_running:
        connection.counters.connections_closed += 1
    if session is not None and session.connection is connection:
        session.detach()
        will.schedule(session, connection.broker.clock.now_ms)
        session.sessions.close(session)


def count_out(connection: MqttConnection) -> None:
    """It counts no more in its vhost and for its user."""
    broker = connection.broker
    connection.is_present = False
    if broker.events.listeners:
        broker.events.tell("connection.closed", **fields(connection))
    if connection.meter is not None:
        broker.publish_rates.leave(connection)
    broker.presence.leave(connection.user.name, connection.vhost.name, connection)


def on_lost(connection: MqttConnection, reason: str) -> None:
    """The transport is gone."""
    if connection.state == RUNNING:
        log.info("%s: connection lost: %s", connection.peer, reason)
    release(connection)


def on_silent(connection: MqttConnection) -> None:
    """Nothing was heard for too long."""
    if connection.state != RUNNING:
        connection.counters.handshakes_timed_out += 1
        log.warning("%s: no CONNECT within the time allowed", connection.peer)
        release(connection)
        connection.output.abort()
        return
    connection.counters.keep_alives_timed_out += 1
    fail(connection, MqttError(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard for one and a half keep-alives"))


def on_not_stored(connection: MqttConnection) -> None:
    """The store has failed: what was asked for can't be promised."""
    if connection.state != CLOSED:
        fail(connection, MqttError(Reason.UNSPECIFIED_ERROR, "the store has failed: nothing can be written"))


def on_refused(connection: MqttConnection) -> None:
    """MQTT 3: a message was not taken, and there is no other word for it [MQTT-3.3.5-2]."""
    if connection.state != CLOSED:
        fail(connection, MqttError(Reason.QUOTA_EXCEEDED, "a message was refused"))


def take_over(connection: MqttConnection) -> None:
    """Another connection has come with the same client identifier [MQTT-3.1.4-3]."""
    connection.counters.taken_over += 1
    log.info("%s: session taken over", connection.peer)
    disconnect(connection, Reason.SESSION_TAKEN_OVER)


def shut_down(connection: MqttConnection, text: str, reason: Reason = Reason.SERVER_SHUTTING_DOWN) -> None:
    """The operator stops the broker, or an administrator ends this connection."""
    if connection.state == RUNNING:
        disconnect(connection, reason, text)
    elif connection.state != CLOSED:
        close(connection)


def on_error(connection: MqttConnection, error: Exception) -> None:
    """What was raised while the peer's bytes were read: its fault, the core's refusal, or a bug of ours."""
    if isinstance(error, MqttError):
        fail(connection, error)
    elif isinstance(error, CoreError):
        fail(connection, error_for(error))
    else:
        on_internal_error(connection, error)


def on_internal_error(connection: MqttConnection, error: Exception) -> None:
    """Our bug: the peer gets 0x83, the log the traceback."""
    log.error("%s: internal error", connection.peer, exc_info=error)
    fail(connection, MqttError(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "an error of the broker; its log has the details"))


def fields(connection: MqttConnection) -> dict[str, Any]:
    """The connection, for an event."""
    session = connection.session
    return {
        **connection_fields(connection),
        "client_id": session.client_id if session is not None else "",
        "timeout": connection.keep_alive_s,
    }
