"""The cold half of an MQTT connection: every packet but PUBLISH and the shortest acknowledgements, and all ends.

Owns which packet may come when, what is answered to each, and in which words a connection ends. Refuses to know bytes
(`packets`) and how CONNECT is judged (`handshake`).

    state          may come
    AWAIT_CONNECT  CONNECT [MQTT-3.1.0-1]
    AWAIT_AUTH     AUTH, DISCONNECT
    RUNNING        all that clients send, but CONNECT [MQTT-3.1.0-2]
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.mqtt import handshake, subscriptions, will
from broker.mqtt.packets import (
    PINGRESP,
    check_empty,
    check_flags,
    decode_ack,
    decode_disconnect,
    decode_subscribe,
    decode_unsubscribe,
    encode_connack,
    encode_disconnect,
    encode_suback,
    encode_unsuback,
)
from broker.mqtt.properties import Packet, Properties
from broker.mqtt.reasons import MqttError, Reason, protocol_error
from broker.mqtt.topics import split_share

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection

log = logging.getLogger("hubbub.mqtt")

AWAIT_CONNECT, AWAIT_AUTH, RUNNING, CLOSED = range(4)
REASON_CHARACTERS_MAX = 1000
"""Of what SUBACK says in words; what is beyond is cut off."""


def on_packet(connection: MqttConnection, first: int, body: bytes) -> None:
    """A whole packet. Raises MqttError, CoreError."""
    packet = check_flags(first)
    if connection.state == AWAIT_CONNECT:
        if packet is not Packet.CONNECT:  # [MQTT-3.1.0-1]
            raise protocol_error(f"{packet.name} comes before CONNECT")
        handshake.on_connect(connection, body)
        return
    if connection.state == AWAIT_AUTH and packet not in (Packet.AUTH, Packet.DISCONNECT):
        raise protocol_error(f"{packet.name} comes before CONNACK")  # MQTT 5 §3.1.4
    events = connection.broker.events
    if events.listeners and connection.user is not None:
        events.act_as(connection.user.name, ON_PACKET[packet], connection, packet, body)
    else:
        ON_PACKET[packet](connection, packet, body)


def on_second_connect(_connection: MqttConnection, _packet: Packet, _body: bytes) -> None:
    """CONNECT comes once."""
    raise protocol_error("a second CONNECT")  # [MQTT-3.1.0-2]


def on_early_publish(_connection: MqttConnection, _packet: Packet, _body: bytes) -> None:
    """`connection` takes every PUBLISH that may come."""
    raise protocol_error("PUBLISH comes before CONNACK")


def on_acknowledgement(connection: MqttConnection, packet: Packet, body: bytes) -> None:
    """PUBACK, PUBREC, PUBREL or PUBCOMP with a reason code or properties."""
    ack = decode_ack(packet, connection.version, body)
    connection.acknowledge(packet, ack.packet_id, ack.reason)


def on_subscribe(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """SUBSCRIBE: SUBACK, and the retained messages behind it. What a stored session holds is on disk before."""
    asked = decode_subscribe(connection.version, body)
    session = connection.session
    if connection.user.asks_others:
        subscriptions.ask(connection, asked.subscriptions)
    reasons, refusals, retained = [], [], []
    for each in asked.subscriptions:
        reason, refusal, found = subscriptions.subscribe(connection, each, asked.subscription_identifier)
        reasons.append(reason)
        refusals.append(refusal)
        retained += found
    text = "; ".join(filter(None, refusals))
    answer = encode_suback(
        connection.version,
        asked.packet_id,
        reasons,
        reason_string=text[:REASON_CHARACTERS_MAX] if text and connection.wants_reasons else None,
        packet_bytes_max=connection.packet_bytes_max,
    )

    def done() -> None:
        connection.write(answer)
        subscriptions.send_retained(session, retained)

    say_when_stored(connection, done)


def on_unsubscribe(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """UNSUBSCRIBE: UNSUBACK."""
    asked = decode_unsubscribe(connection.version, body)
    session = connection.session
    reasons = [subscriptions.unsubscribe(session, *split_share(each)) for each in asked.topic_filters]
    answer = encode_unsuback(connection.version, asked.packet_id, reasons, packet_bytes_max=connection.packet_bytes_max)
    say_when_stored(connection, lambda: connection.write(answer))


def say_when_stored(connection: MqttConnection, say: Callable[[], None]) -> None:
    """Law 1: what a session promises to remember is on disk first."""
    if connection.session.is_stored:
        connection.when_stored(say)
    else:
        say()


def on_ping(connection: MqttConnection, packet: Packet, body: bytes) -> None:
    """PINGREQ [MQTT-3.12.4-1]."""
    check_empty(packet, body)
    connection.write(PINGRESP)


def on_disconnect(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """DISCONNECT: the will is dropped [MQTT-3.14.4-3], unless the client wants it said; the expiry may change."""
    disconnect = decode_disconnect(connection.version, body)
    session = connection.session
    if session is not None:
        expiry = disconnect.properties.session_expiry_interval
        if expiry is not None:
            if session.expiry_interval_s == 0 and expiry:  # [MQTT-3.14.2-2]
                raise protocol_error("a session that ends with its connection cannot be kept by DISCONNECT")
            session.sessions.set_expiry(session, handshake.expiry_of(expiry))
        if disconnect.reason != Reason.DISCONNECT_WITH_WILL_MESSAGE:
            session.will = None
    close(connection)


def on_auth(connection: MqttConnection, _packet: Packet, body: bytes) -> None:
    """AUTH: a step of enhanced authentication (MQTT 5 §4.12)."""
    handshake.on_auth(connection, body)


ON_PACKET: dict[Packet, Callable[[Any, Packet, bytes], None]] = {
    Packet.CONNECT: on_second_connect,
    Packet.PUBLISH: on_early_publish,
    Packet.PUBACK: on_acknowledgement,
    Packet.PUBREC: on_acknowledgement,
    Packet.PUBREL: on_acknowledgement,
    Packet.PUBCOMP: on_acknowledgement,
    Packet.SUBSCRIBE: on_subscribe,
    Packet.UNSUBSCRIBE: on_unsubscribe,
    Packet.PINGREQ: on_ping,
    Packet.DISCONNECT: on_disconnect,
    Packet.AUTH: on_auth,
}


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    connection.broker.publishing.discard(connection)
    connection.authentication = None
    if connection.expiry is not None:
        connection.expiry.cancel()
        connection.expiry = None
    if connection.is_present:
        connection.is_present = False
        if connection.broker.events.wanted:
            connection.broker.events.tell("connection.closed", **handshake.fields(connection))
        connection.broker.presence.leave(connection.user.name, connection.vhost.name, connection)
    session = connection.leave()
    if was_running:
        connection.counters.connections_closed += 1
    if session is not None and session.connection is connection:
        session.detach()
        will.schedule(session, connection.broker.clock.now_ms)
        session.sessions.close(session)


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


def shut_down(connection: MqttConnection, text: str) -> None:
    """The operator stops the broker."""
    if connection.state == RUNNING:
        disconnect(connection, Reason.SERVER_SHUTTING_DOWN, text)
    elif connection.state != CLOSED:
        close(connection)


def on_internal_error(connection: MqttConnection, error: Exception) -> None:
    """Our bug: the peer gets 0x83, the log the traceback."""
    log.error("%s: internal error", connection.peer, exc_info=error)
    fail(connection, MqttError(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "an error of the broker; its log has the details"))
