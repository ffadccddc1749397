# cython: annotation_typing=False
"""The cold half of an MQTT connection: every packet but PUBLISH and the shortest acknowledgements.

Owns which packet may come when, and what is answered to each. Refuses to know bytes (`packets`), how CONNECT is judged
(`handshake`), how SUBSCRIBE is worked off (`subscribing`) and how a connection ends (`ending`).

    state          may come
    AWAIT_CONNECT  CONNECT [MQTT-3.1.0-1]
    AWAIT_AUTH     AUTH, DISCONNECT
    RUNNING        all that clients send, but CONNECT [MQTT-3.1.0-2]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.mqtt import ending, handshake, subscribing
from broker.mqtt.ending import AWAIT_AUTH, AWAIT_CONNECT
from broker.mqtt.packets import check_empty, check_flags, decode_ack, decode_disconnect
from broker.mqtt.properties import Packet
from broker.mqtt.reasons import Reason, protocol_error
from broker.mqtt.replies import PINGRESP

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection


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


def on_ping(connection: MqttConnection, packet: Packet, body: bytes) -> None:
    """PINGREQ [MQTT-3.12.4-1]."""
    check_empty(packet, body)
    connection.write(PINGRESP)


def on_disconnect(connection: MqttConnection, packet: Packet, body: bytes) -> None:
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
    ending.close(connection)


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
    Packet.SUBSCRIBE: subscribing.on_subscribe,
    Packet.UNSUBSCRIBE: subscribing.on_unsubscribe,
    Packet.PINGREQ: on_ping,
    Packet.DISCONNECT: on_disconnect,
    Packet.AUTH: on_auth,
}
