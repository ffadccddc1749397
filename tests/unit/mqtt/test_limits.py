"""MQTT's limits: at each the client hears it in its version's words, and the operator has a count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.mqtt.ending import CLOSED
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_peer import MqttPeer, MqttPeers
from tests.support.peer import Core

MakeCore = Callable[..., Core]


def words(packets: list[codec.Packet]) -> list[tuple[str, int]]:
    return [(each.name, each.reason) for each in packets]


@pytest.mark.parametrize(
    ("limit", "fits", "too_much"),
    [("mqtt_topic_levels_max", "a/b/c", "a/b/c/d"), ("mqtt_topic_bytes_max", "abc", "abcd")],
)
def test_a_topic_above_the_limit_is_refused_and_counted(
    make_core: MakeCore, limit: str, fits: str, too_much: str
) -> None:
    mqtt = MqttPeers(make_core(**{limit: 3}))
    peer = mqtt.enter()

    assert peer.subscribe(Filter(fits), Filter(too_much)) == [0, 0x8F]
    assert words(peer.publish(fits, qos=1)) == [("publish", 0), ("puback", 0)]
    assert words(peer.publish(too_much, qos=1)) == [("disconnect", 0x90)]
    assert mqtt.refusals == {("SUBSCRIBE", "topic filter invalid"): 1, ("DISCONNECT", "topic name invalid"): 1}


def test_an_alias_cannot_stand_for_a_topic_above_the_limit(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_topic_bytes_max=3))

    heard = mqtt.enter().publish("abcd", properties={"topic_alias": 1})

    assert words(heard) == [("disconnect", 0x90)]


def test_mqtt_3_has_no_word_but_is_counted_by_mqtt_5s(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_topic_bytes_max=3))
    peer = mqtt.enter(version=V311)

    assert peer.publish("abcd") == []
    assert peer.connection.state == CLOSED
    assert mqtt.refusals == {("DISCONNECT", "topic name invalid"): 1}


def test_subscriptions_of_one_session(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_subscriptions_per_session_max=2))
    peer = mqtt.enter()

    assert peer.subscribe(Filter("1"), Filter("2"), Filter("3")) == [0, 0, 0x97]
    assert peer.subscribe(Filter("2", 1)) == [1]  # one that it has may be changed
    assert mqtt.refusals == {("SUBSCRIBE", "quota exceeded"): 1}


def test_clients_that_connect_too_fast(core: Core) -> None:
    mqtt = MqttPeers(core, connections_per_second_max=1)
    mqtt.enter()

    assert words(mqtt.connect().heard()) == [("connack", 0x9F)]
    assert words(mqtt.connect(version=V311).heard()) == [("connack", 3)]
    core.pass_ms(1000)
    mqtt.enter()
    assert mqtt.refusals == {("CONNECT", "connection rate exceeded"): 2}


def test_a_packet_that_is_too_large(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(message_bytes_max=100))

    assert words(mqtt.enter().publish("t", b"x" * 101)) == [("disconnect", 0x95)]
    assert mqtt.refusals == {("DISCONNECT", "packet too large"): 1}


def test_a_packet_that_is_too_large_for_its_receiver_is_counted(core: Core) -> None:
    mqtt = MqttPeers(core)
    peer = mqtt.enter(properties={"maximum_packet_size": 60})
    peer.subscribe(Filter("t"))

    assert peer.publish("t", b"x" * 100) == []
    assert mqtt.endpoint.counters.dropped_too_large == 1


def test_more_unacknowledged_publishes_than_was_agreed(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_receive_max=2))
    peer = mqtt.enter()
    packets = b"".join(codec.publish(V5, "t", b"m", qos=2, packet_id=number) for number in (1, 2, 3))

    heard = peer.ask(packets)

    assert heard[-1].reason == 0x93
    assert mqtt.refusals == {("DISCONNECT", "receive maximum exceeded"): 1}


def test_a_message_of_qos_2_counts_in_the_receive_maximum_until_it_is_complete(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_receive_max=2))
    peer = mqtt.enter()
    for number in range(1, 9):  # [MQTT-3.3.4-7]; one is complete before the one after the next comes
        assert [each.name for each in peer.ask(codec.publish(V5, "t", b"m", qos=2, packet_id=number))] == ["pubrec"]
        if number > 1:
            peer.ask(codec.ack(codec.PUBREL, number - 1))
    again = codec.publish(V5, "t", b"m", qos=2, packet_id=8, dup=True)
    assert [each.name for each in peer.ask(again * 3)] == ["pubrec"] * 3
    assert [each.name for each in peer.ask(codec.publish(V5, "t", b"m", qos=1, packet_id=9))] == ["puback"]
    assert [each.name for each in peer.ask(codec.publish(V5, "t", b"m", qos=2, packet_id=10))] == ["pubrec"]
    assert peer.ask(codec.publish(V5, "t", b"m", qos=1, packet_id=11))[-1].reason == 0x93


def test_a_repeat_of_what_an_earlier_connection_brought_counts_for_nothing(make_core: MakeCore) -> None:
    """The count must not go below zero: it would be more than any receive maximum."""
    mqtt = MqttPeers(make_core(mqtt_receive_max=2))
    stays: dict[str, Any] = {"client_id": "stays", "clean": False, "properties": {"session_expiry": 100}}
    first = mqtt.enter(**stays)
    assert words(first.ask(codec.publish(V5, "t", b"m", qos=2, packet_id=1))) == [("pubrec", 0x10)]
    first.lose()

    peer = mqtt.enter(**stays)
    again = codec.publish(V5, "t", b"m", qos=2, packet_id=1, dup=True)
    assert [each.name for each in peer.ask(again * 5)] == ["pubrec"] * 5
    assert peer.connection.answers.unfinished == 0
    assert [each.name for each in peer.ask(codec.ack(codec.PUBREL, 1))] == ["pubcomp"]
    assert peer.connection.answers.unfinished == 0
    for number in (2, 3):
        assert [each.name for each in peer.ask(codec.publish(V5, "t", b"m", qos=2, packet_id=number))] == ["pubrec"]
    assert words(peer.ask(codec.publish(V5, "t", b"m", qos=2, packet_id=4)))[-1] == ("disconnect", 0x93)


def test_mqtt_3_knows_no_receive_maximum(make_core: MakeCore) -> None:
    peer = MqttPeers(make_core(mqtt_receive_max=2)).enter(version=V311)
    for number in range(1, 9):
        assert [each.name for each in peer.ask(codec.publish(V311, "t", b"m", qos=2, packet_id=number))] == ["pubrec"]


def test_no_more_is_under_way_to_a_client_than_the_operator_allows(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_inflight_max=2))
    peer, publisher = mqtt.enter(), mqtt.enter()
    peer.subscribe(Filter("t", 1))
    for number in (1, 2, 3):
        publisher.publish("t", b"%d" % number, qos=1)

    first, second = peer.heard()
    assert [first.payload, second.payload] == [b"1", b"2"]
    assert [each.payload for each in peer.ask(codec.ack(codec.PUBACK, first.packet_id or 0))] == [b"3"]


def away(mqtt: MqttPeers) -> MqttPeer:
    """Somebody who publishes to a session whose client is away."""
    peer = mqtt.enter("away", properties={"session_expiry": 300})
    peer.subscribe(Filter("t", 1))
    peer.ask(codec.disconnect(V5))
    return mqtt.enter()


@pytest.mark.parametrize(
    ("overflow", "answers", "kept", "counted"),
    [
        ("drop-head", [0, 0, 0], [b"2", b"3"], "dropped_maxlen"),
        ("drop-tail", [0, 0, 0], [b"1", b"2"], "dropped_tail"),
        ("reject", [0, 0, 0x97], [b"1", b"2"], "refused_maxlen"),
        ("dead-letter", [0, 0, 0], [b"2", b"3"], "dead_lettered"),
    ],
)
@pytest.mark.parametrize("limit", [{"session_messages_max": 2}, {"session_bytes_max": 2}])
def test_what_overflows_a_session(
    core: Core, overflow: str, answers: list[int], kept: list[bytes], counted: str, limit: dict[str, int]
) -> None:
    dead = core.connect()
    dead.declare("dead")
    dead.bind("amq.fanout", name="dead")
    settings: dict[str, Any] = {"session_overflow": overflow, **limit}
    if overflow == "dead-letter":
        settings["dead_letter_exchange"] = "amq.fanout"
    mqtt = MqttPeers(core, **settings)
    publisher = away(mqtt)

    heard = [publisher.publish("t", b"%d" % number, qos=1)[0].reason for number in (1, 2, 3)]

    assert heard == answers
    queue = core.queue("mqtt-subscription-awayqos1")
    assert (queue.counts[counted], queue.counts["unaccounted"]) == (1, 0)
    assert dead.drain("dead") == ([b"1"] if overflow == "dead-letter" else [])
    assert mqtt.refusals == ({("PUBLISH", "quota exceeded"): 1} if overflow == "reject" else {})
    again = mqtt.connect("away", clean=False)
    assert [each.payload for each in again.heard() if each.name == "publish"] == kept


def test_a_session_that_outlives_its_client_for_no_longer_than_the_operator_allows(core: Core) -> None:
    mqtt = MqttPeers(core, session_expiry_max_s=60)

    (connack,) = mqtt.connect("long", properties={"session_expiry": 3600}).heard()
    (short,) = mqtt.connect("short", properties={"session_expiry": 10}).heard()

    assert connack.properties["session_expiry"] == 60
    assert "session_expiry" not in short.properties


def test_disconnect_changes_the_expiry_within_the_operators_maximum(core: Core) -> None:
    mqtt = MqttPeers(core, session_expiry_max_s=60)
    for client_id, asked in (("shorter", 5), ("longer", 3600)):
        peer = mqtt.enter(client_id, properties={"session_expiry": 30})
        peer.ask(codec.disconnect(V5, 0, {"session_expiry": asked}))

    core.pass_ms(5_000)
    assert [client_id for _, client_id in mqtt.endpoint.sessions.by_name] == ["longer"]
    core.pass_ms(54_999)
    assert len(mqtt.endpoint.sessions) == 1
    core.pass_ms(1)
    assert len(mqtt.endpoint.sessions) == 0
    assert mqtt.endpoint.counters.sessions_expired == 2
