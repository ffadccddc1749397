"""MQTT clients of a core in memory: bytes in, packets out. Time and commits are moved by hand (`peer.Core`)."""

from __future__ import annotations

from typing import Any

from broker.config import Mqtt
from broker.mqtt.endpoint import Endpoint
from broker.mqtt.observed import Observed
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter, Packet
from tests.support.mqtt_in_process import MqttClient
from tests.support.peer import Core


class MqttPeer(MqttClient):
    """A client in few words."""

    def feed(self, data: bytes, size: int = 1 << 20) -> None:
        """Give bytes in pieces of `size`."""
        for at in range(0, len(data), size):
            self.hear(data[at : at + size])

    def heard(self) -> list[Packet]:
        """What the broker has said since, after a commit."""
        self.inside.commit()
        self.hear(b"")
        return self.talk()

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
        self.broker = core.broker
        self.commit = core.commit
        self.mqtt = Endpoint(core.broker, core.limits, Mqtt(**settings))
        self.mqtt.restore()

    def connect(self, client_id: str = "", version: int = V5, **options: Any) -> MqttPeer:
        """A client that has said CONNECT; CONNACK is still to be heard."""
        peer = MqttPeer(self, version, "127.0.0.1:1")
        peer.feed(codec.connect(version, client_id, **options))
        return peer

    def enter(self, client_id: str = "", version: int = V5, **options: Any) -> MqttPeer:
        """A client that is let in."""
        peer = self.connect(client_id, version, **options)
        assert [(each.name, each.reason) for each in peer.heard()] == [("connack", 0)]
        return peer

    @property
    def endpoint(self) -> Endpoint:
        """What all clients share."""
        return self.mqtt

    @property
    def refusals(self) -> dict[tuple[str, str], int]:
        """(packet, reason) → how often, as metrics show it."""
        return {(packet, reason): count for packet, reason, count in Observed(self.mqtt).refusals()}
