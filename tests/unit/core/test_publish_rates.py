"""Messages and bytes per second of users and vhosts: whoever publishes too fast is read more slowly."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.errors import PreconditionFailed
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5
from tests.support.mqtt_peer import MqttPeers
from tests.support.peer import Core, Peer, publication

MESSAGES, BYTES = "max-messages-per-second", "max-bytes-per-second"


def burst(count: int, body: bytes = b"m") -> bytes:
    return b"".join(publication("q", body) for _ in range(count))


def test_without_a_limit_there_is_no_meter(core: Core, peer: Peer):
    peer.feed(burst(1000))
    assert peer.connection.meter is None
    assert not peer.connection.is_resting


def test_over_amqp_a_publisher_rests_until_its_debt_is_paid(core: Core, peer: Peer):
    core.broker.parameters.set_user_limit("guest", MESSAGES, 10)
    peer.declare()
    peer.feed(burst(10))
    assert not peer.connection.is_resting  # a second's worth may come at once
    peer.feed(burst(5))
    assert peer.connection.is_resting
    peer.feed(burst(1))
    assert core.queue().ready_count == 15
    core.pass_ms(400)
    assert peer.connection.is_resting
    core.pass_ms(100)
    peer.resume()
    assert core.queue().ready_count == 16
    assert peer.closed_with() == 0
    assert core.broker.publish_rates.waits["user", "guest"] == 2


def test_the_average_keeps_to_the_limit(core: Core, peer: Peer):
    core.broker.parameters.set_vhost_limit("/", MESSAGES, 100)
    peer.declare()
    for _ in range(100):
        if not peer.connection.is_resting:
            peer.feed(burst(10))
        core.pass_ms(50)
    assert 490 <= core.queue().ready_count <= 620


def test_bytes_are_limited_too(core: Core, peer: Peer):
    core.broker.parameters.set_user_limit("guest", BYTES, 10_000)
    peer.declare()
    peer.publish("q", b"x" * 9_000)
    assert not peer.connection.is_resting
    peer.publish("q", b"x" * 9_000)
    assert peer.connection.is_resting
    core.pass_ms(1_000)
    assert not peer.connection.is_resting


def test_the_connections_of_a_user_share_its_rate(core: Core, peer: Peer):
    core.broker.parameters.set_user_limit("guest", MESSAGES, 10)
    other = core.connect()
    peer.declare()
    peer.feed(burst(10))
    other.feed(burst(5))
    assert (peer.connection.is_resting, other.connection.is_resting) == (False, True)
    peer.feed(burst(1))
    assert peer.connection.is_resting
    assert core.broker.publish_rates.resting == 2
    core.pass_ms(1_000)
    assert core.broker.publish_rates.resting == 0


def test_a_limit_that_is_set_or_raised_holds_at_once(core: Core, peer: Peer):
    peer.declare()
    peer.feed(burst(100))
    core.broker.parameters.set_user_limit("guest", MESSAGES, 1)
    peer.feed(burst(100))
    assert peer.connection.is_resting
    core.broker.parameters.clear_user_limit("guest", MESSAGES)
    assert not peer.connection.is_resting
    assert peer.connection.meter is None
    core.broker.parameters.set_vhost_limit("/", MESSAGES, 1)
    peer.feed(burst(100))
    assert peer.connection.is_resting
    core.broker.parameters.set_vhost_limit("/", MESSAGES, 1_000_000)
    assert not peer.connection.is_resting


def test_a_connection_that_goes_while_it_rests_leaves_nothing(core: Core, peer: Peer):
    core.broker.parameters.set_user_limit("guest", MESSAGES, 1)
    peer.declare()
    peer.feed(burst(10))
    peer.connection.lost("gone")
    assert core.broker.publish_rates.resting == 0
    core.pass_ms(60_000)


def test_over_mqtt(core: Core):
    core.broker.parameters.set_user_limit("guest", MESSAGES, 10)
    peer = MqttPeers(core).enter("c")
    peer.feed(b"".join(codec.publish(V5, "a", b"m", qos=1, packet_id=number) for number in range(1, 16)))
    assert peer.connection.is_resting
    assert len([each for each in peer.heard() if each.name == "puback"]) == 15
    peer.feed(codec.publish(V5, "a", b"m", qos=1, packet_id=99))
    assert peer.heard() == []
    core.pass_ms(500)
    peer.feed(b"\xc0\0")
    assert sorted((each.name, each.packet_id) for each in peer.heard() if each.name == "puback") == [("puback", 99)]


@pytest.mark.parametrize("value", ["fast", 1.5, True])
def test_what_is_no_number_is_refused(core: Core, value: Any):
    with pytest.raises(PreconditionFailed):
        core.broker.parameters.set_user_limit("guest", MESSAGES, value)
