"""MQTT connections without sockets, to the broker of `in_process`: fed by hand, and read as packets.

Owns what MQTT connections share, and one connection with its bytes. Any packet that a client could not read is the
broker's fault: `BrokenBrokerError`.
"""

from __future__ import annotations

from broker.config import Mqtt
from broker.limits import Limits
from broker.mqtt.connection import MqttConnection
from broker.mqtt.ending import CLOSED
from broker.mqtt.endpoint import Endpoint
from broker.wire.output import Output
from storage.memory_store import MemoryStore
from tests.support import mqtt_codec as codec
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


class MqttClient:
    """One connection, and what an edge would keep for it. `version`: how to read what the broker says."""

    def __init__(self, inside: MqttInProcess, version: int, peer: str) -> None:
        self.inside = inside
        self.version = version
        self.connection = MqttConnection(inside.broker, inside.mqtt)
        self.connection.attach(Output())
        self.connection.peer = peer
        self.connection.opened()
        self.kept = b""
        self.unread = b""
        self.is_lost = False

    @property
    def is_over(self) -> bool:
        """Nothing more is read: closed by either side."""
        return self.is_lost or self.connection.state == CLOSED

    def hear(self, received: bytes) -> None:
        """Received bytes; what rests for the store goes on after a commit."""
        self.kept += received
        while self.kept and not self.is_over:
            taken = 0 if self.connection.is_resting else self.connection.feed(self.kept)
            self.kept = self.kept[taken:]
            if self.connection.is_resting:
                self.inside.commit()
                if self.connection.is_resting:
                    return
            elif taken == 0:
                return

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

    def lose(self) -> None:
        """The socket is gone."""
        if not self.is_lost:
            self.is_lost = True
            self.connection.output.abort()
            self.connection.lost("closed by peer")
