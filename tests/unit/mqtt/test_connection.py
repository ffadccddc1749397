"""An MQTT connection over a core in memory: bytes in, packets out, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.config import Mqtt
from broker.mqtt.connection import MqttConnection
from broker.mqtt.endpoint import Endpoint
from broker.wire.output import Output
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter, Packet
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


Connect = Callable[..., MqttPeer]


@pytest.fixture
def connect(core: Core) -> Connect:
    endpoint = Endpoint(core.broker, core.limits, Mqtt())
    endpoint.restore()

    def make(client_id: str = "", version: int = V5, **options: Any) -> MqttPeer:
        peer = MqttPeer(core, endpoint, version)
        peer.feed(codec.connect(version, client_id, **options))
        return peer

    return make


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_packets_are_taken_however_they_are_cut(connect: Connect, version: int, size: int) -> None:
    peer = connect("c", version)
    assert [each.name for each in peer.heard()] == ["connack"]
    stream = codec.subscribe(version, 1, [Filter("a/#", 2)])
    for number, qos in enumerate((0, 1, 2), 2):
        stream += codec.publish(version, "a/b", b"m%d" % qos, qos=qos, packet_id=number if qos else None)
    peer.feed(stream + b"\xc0\0", size)
    heard = peer.heard()

    assert sorted(each.name for each in heard) == sorted(
        ["suback", "publish", "publish", "publish", "puback", "pubrec", "pingresp"]
    )
    published = [each for each in heard if each.name == "publish"]
    assert [(each.topic, each.payload, each.qos) for each in published] == [
        ("a/b", b"m0", 0), ("a/b", b"m1", 1), ("a/b", b"m2", 2),
    ]  # fmt: skip


def test_what_comes_behind_a_packet_waits_for_its_rest(connect: Connect) -> None:
    peer = connect("c")
    peer.heard()
    peer.feed(b"\xc0\0" + codec.publish(V5, "a", b"m", qos=1, packet_id=7)[:-1])
    assert [each.name for each in peer.heard()] == ["pingresp"]
    peer.feed(b"m")
    assert [(each.name, each.packet_id) for each in peer.heard()] == [("puback", 7)]


def test_an_operators_limit_of_connections_is_said_in_connack_and_given_back(connect: Connect, core: Core) -> None:
    core.broker.parameters.set_vhost_limit("/", "max-connections", 1)
    first = connect("first")
    assert first.heard()[0].reason == 0
    refused = connect("second").heard()[0]
    assert (refused.name, refused.reason) == ("connack", 0x97)

    first.feed(codec.disconnect(V5))
    assert core.broker.presence.in_vhost == {}
    assert connect("second").heard()[0].reason == 0


def test_a_client_that_takes_itself_over_is_counted_once(connect: Connect, core: Core) -> None:
    core.broker.parameters.set_user_limit("guest", "max-connections", 1)
    first = connect("same")
    first.heard()
    second = connect("same")

    assert second.heard()[0].reason == 0
    assert [(each.name, each.reason) for each in first.heard()] == [("disconnect", 0x8E)]
    assert core.broker.presence.of_user == {"guest": 1}
