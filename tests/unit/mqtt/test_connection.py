"""An MQTT connection over a core in memory: bytes in, packets out, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_peer import MqttPeer, MqttPeers
from tests.support.peer import Core

Connect = Callable[..., MqttPeer]


@pytest.fixture
def connect(core: Core) -> Connect:
    return MqttPeers(core).connect


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
