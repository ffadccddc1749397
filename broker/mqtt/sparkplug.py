"""What a Sparkplug-aware MQTT server does beside passing messages on (Eclipse Sparkplug 3.0.0, §10).

Owns the certificates: NBIRTH and DBIRTH as they pass through are also retained under `$sparkplug/certificates/` and
their topic, so that a host application that comes later learns what there is. And the time of death: a will is written
when its edge node connects, so an NDEATH gets the time at which it is delivered. Refuses to know metrics: of a payload
it knows the first field alone.

    spBv1.0/G/NBIRTH/E ──▶ amq.topic ──▶ its subscribers
                                    └──▶ certificate ──▶ retained as $sparkplug/certificates/spBv1.0/G/NBIRTH/E

A certificate is a target that two bindings select, so what is no Sparkplug message pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from broker.core.binding import QUEUE, Binding
from broker.core.callback_target import CallbackTarget
from broker.core.exchange_types import publish_named

if TYPE_CHECKING:
    from broker.core.exchange_types import TopicExchange
    from broker.core.message import Message
    from broker.core.vhost import VirtualHost

# Topics in routing-key form: the namespace `spBv1.0` is one level, and its dot stands for the slash of another world.
NAMESPACE = b"spBv1/0"
BIRTHS = (NAMESPACE + b".*.NBIRTH.*", NAMESPACE + b".*.DBIRTH.*.*")
CERTIFICATES = b"$sparkplug.certificates."
STORED = 2
"""`core.target`: the certificate is on disk with the batch that its birth is in."""

TIMESTAMP_TAG = 1 << 3
"""Of `Payload.timestamp`, protobuf field 1, a varint of milliseconds since 1970 (Sparkplug B's payload definition)."""
VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5


class Certificates:
    """Of one vhost."""

    def __init__(self, vhost: VirtualHost) -> None:
        """From now on births of this vhost are kept."""
        self.vhost = vhost
        self.exchange = cast("TopicExchange", vhost.exchange("amq.topic"))
        self.target = CallbackTarget("$sparkplug/certificates", self.keep)
        for binding_key in BIRTHS:
            # Into the index alone: nobody made this binding, so no listing shows it and nobody can remove it.
            self.exchange.add(Binding(self.exchange, self.target, QUEUE, binding_key, {}))
        self.exchange.forget_routes()

    def keep(self, birth: Message) -> int:
        """Retain a birth under its certificate's topic, and tell who is subscribed to that.

        [tck-id-conformance-mqtt-aware-nbirth-mqtt-retain], [tck-id-conformance-mqtt-aware-dbirth-mqtt-retain]
        """
        certificate = birth.again(CERTIFICATES + birth.routing_key)
        if certificate.body_size:
            publish_named(self.exchange, certificate)
        return self.vhost.retained.keep(certificate) & STORED


def is_node_death(topic: bytes) -> bool:
    """Whether a topic, in routing-key form, is that of an NDEATH."""
    words = topic.split(b".")
    return len(words) == 4 and words[0] == NAMESPACE and words[2] == b"NDEATH"


def with_timestamp(payload: bytes, now_ms: int) -> bytes:
    """An NDEATH's payload with the time of its delivery; as it is, where it is none that we understand.

    [tck-id-conformance-mqtt-aware-ndeath-timestamp]
    """
    kept, at = [], 0
    while at < len(payload):
        start = at
        tag, at = _varint(payload, at)
        kind = tag & 7
        if kind == VARINT:
            _, at = _varint(payload, at)
        elif kind == FIXED_64:
            at += 8
        elif kind == LENGTH_DELIMITED:
            size, at = _varint(payload, at)
            at += size
        elif kind == FIXED_32:
            at += 4
        else:
            return payload
        if at > len(payload):
            return payload
        if tag != TIMESTAMP_TAG | VARINT:
            kept.append(payload[start:at])
    return bytes([TIMESTAMP_TAG | VARINT]) + _encode_varint(now_ms) + b"".join(kept)


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """(value, where the next begins) of a protobuf varint; one that does not end lies beyond the payload."""
    value = shift = 0
    while at < len(payload) and shift < 70:
        octet = payload[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
        shift += 7
    return value, len(payload) + 1


def _encode_varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
