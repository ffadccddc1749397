"""MQTT clients of a core in memory: bytes in, packets out. Time and commits are moved by hand (`peer.Core`)."""

from __future__ import annotations

from typing import Any

from broker.config import Mqtt
from broker.mqtt.connection import MqttConnection
from broker.mqtt.endpoint import Endpoint
from broker.mqtt.observed import Observed
from broker.wire.output import Output
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter, Packet
from tests.support.peer import Core


class MqttPeer:
    """A client: `feed` gives bytes, which come in pieces of `size`; `heard` is what the broker has said since."""

    def __init__(self, core: Core, endpoint: Endpoint, version: int) -> None:
        self.core = core
        self.version = version
        self.connection = MqttConnection(core.broker, endpoint)
        self.connection.peer = "127.0.0.1:1"
        self.connection.attach(Output(None, 1 << 20))
        self.connection.opened()
        self.waiting = b""
        self.said = b""

    def feed(self, data: bytes, size: int = 1 << 20) -> None:
        for at in range(0, len(data), size):
            self.waiting += data[at : at + size]
            taken = self.connection.feed(self.waiting)
            self.waiting = self.waiting[taken:]

    def heard(self) -> list[Packet]:
        self.core.commit()
        if self.waiting:
            self.feed(b"", 1)
        self.said += self.connection.output.take()
        packets = []
        while (found := codec.read_packet(self.version, self.said)) is not None:
            packets.append(found[0])
            self.said = self.said[found[1] :]
        return packets

    def ask(self, data: bytes) -> list[Packet]:
        """Give bytes, and take what is said to them."""
        self.feed(data)
        return self.heard()

    def subscribe(self, *filters: Filter) -> list[int]:
        """The reason codes of SUBACK."""
        found = [each for each in self.ask(codec.subscribe(self.version, 1, filters)) if each.name == "suback"]
        return list(found[0].reasons)

    def publish(self, topic: str, payload: bytes = b"m", **settings: Any) -> list[Packet]:
        """One PUBLISH; QoS 1 and 2 with packet identifier 1 unless another is given."""
        if settings.get("qos"):
            settings.setdefault("packet_id", 1)
        return self.ask(codec.publish(self.version, topic, payload, **settings))


class MqttPeers:
    """An endpoint on a core, and its clients. `settings`: of config.Mqtt."""

    def __init__(self, core: Core, **settings: Any) -> None:
        self.core = core
        self.endpoint = Endpoint(core.broker, core.limits, Mqtt(**settings))
        self.endpoint.restore()

    def connect(self, client_id: str = "", version: int = V5, **options: Any) -> MqttPeer:
        """A client that has said CONNECT; CONNACK is still to be heard."""
        peer = MqttPeer(self.core, self.endpoint, version)
        peer.feed(codec.connect(version, client_id, **options))
        return peer

    def enter(self, client_id: str = "", version: int = V5, **options: Any) -> MqttPeer:
        """A client that is let in."""
        peer = self.connect(client_id, version, **options)
        assert [(each.name, each.reason) for each in peer.heard()] == [("connack", 0)]
        return peer

    @property
    def refusals(self) -> dict[tuple[str, str], int]:
        """(packet, reason) → how often, as metrics show it."""
        return {(packet, reason): count for packet, reason, count in Observed(self.endpoint).refusals()}
