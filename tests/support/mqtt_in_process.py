"""MQTT connections without sockets, to the broker of `in_process`: fed by hand, and read as packets.

Owns what MQTT connections share, and one connection with its bytes. Any packet that a client could not read is the
broker's fault: `BrokenBrokerError`.
"""

from __future__ import annotations

from typing import Protocol

from broker.config import Mqtt
from broker.core.broker import Broker
from broker.limits import Limits
from broker.mqtt.connection import MqttConnection
from broker.mqtt.ending import CLOSED
from broker.mqtt.endpoint import Endpoint
from storage.memory_store import MemoryStore
from tests.support import mqtt_codec as codec
from tests.support.fed import Committing, Fed
from tests.support.in_process import BrokenBrokerError, InProcess


class MqttInProcess(InProcess):
    """A broker with an MQTT endpoint. `limits`: as of `broker.limits.Limits`; `settings`: of the listener.

    `store`: with what an earlier broker has left there."""

    def __init__(self, settings: Mqtt | None = None, store: MemoryStore | None = None, **limits: int) -> None:
        super().__init__(store, **limits)
        self.mqtt = Endpoint(self.broker, Limits(**limits), settings or Mqtt())
        self.mqtt.restore()
        self.commit()

    def arrive(self, version: int, peer: str = "127.0.0.1:5000") -> MqttClient:
        """A connection that has said nothing so far."""
        return MqttClient(self, version, peer)


class MqttBroker(Committing, Protocol):
    """What a client is made in: `MqttInProcess`, `mqtt_peer.MqttPeers`."""

    @property
    def broker(self) -> Broker:
        """The core."""

    @property
    def mqtt(self) -> Endpoint:
        """What all clients share."""


class MqttClient(Fed):
    """One connection, and what an edge would keep for it. `version`: how to read what the broker says."""

    inside: MqttBroker

    def __init__(self, inside: MqttBroker, version: int, peer: str) -> None:
        super().__init__(inside, MqttConnection(inside.broker, inside.mqtt), peer)
        self.version = version
        self.unread = b""

    @property
    def is_over(self) -> bool:
        """See `Fed`."""
        return self.is_lost or self.connection.state == CLOSED

    def talk(self) -> list[codec.Packet]:
        """What the broker has said since the last call, after a commit."""
        self.inside.commit()
        taken: bytes = self.connection.output.take()
        self.unread += taken
        if self.connection.version == 0 and len(self.unread) > 1:  # CONNECT named no version: refused in either's words
            self.version = codec.V311 if self.unread[1] == 2 else codec.V5
        if taken and not self.is_over:
            self.connection.on_writable()
        packets = []
        try:
            while (found := codec.read_packet(self.version, self.unread)) is not None:
                packets.append(found[0])
                self.unread = self.unread[found[1] :]
        except Exception as error:
            raise BrokenBrokerError(f"a packet that cannot be read ({error!r}): {self.unread[:60]!r}") from error
        return packets
