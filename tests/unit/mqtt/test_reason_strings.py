"""What is refused is said in words as well, to MQTT 5 clients that want it and can take it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_peer import MqttPeer, MqttPeers
from tests.support.peer import Core

MakeCore = Callable[..., Core]


def said(packets: list[codec.Packet]) -> list[tuple[str, int | None, int, str | None]]:
    return [(each.name, each.packet_id, each.reason, each.properties.get("reason_string")) for each in packets]


@pytest.fixture
def full(core: Core) -> MqttPeers:
    """Where a session's queue takes one message and refuses the next."""
    mqtt = MqttPeers(core, session_messages_max=1, session_overflow="reject")
    peer = mqtt.enter("away", properties={"session_expiry": 300})
    peer.subscribe(Filter("full", 2))
    peer.ask(codec.disconnect(V5))
    return mqtt


def publish_four(peer: MqttPeer, qos: int) -> list[codec.Packet]:
    """To a queue with room for one, and to nobody in between."""
    topics = ("full", "full", "nobody", "full")
    return peer.ask(
        b"".join(codec.publish(peer.version, topic, b"m", qos=qos, packet_id=10 + n) for n, topic in enumerate(topics))
    )


@pytest.mark.parametrize(("qos", "answer"), [(1, "puback"), (2, "pubrec")])
def test_a_refused_publish_is_answered_in_its_turn_with_the_reason(full: MqttPeers, qos: int, answer: str) -> None:
    assert said(publish_four(full.enter(), qos)) == [
        (answer, 10, 0, None),
        (answer, 11, 0x97, "quota exceeded"),
        (answer, 12, 0x10, None),
        (answer, 13, 0x97, "quota exceeded"),
    ]


def test_mqtt_3_hears_of_it_by_the_end_of_its_connection(full: MqttPeers) -> None:
    assert "puback" not in [each.name for each in publish_four(full.enter(version=V311), 1)][1:]


@pytest.mark.parametrize("terms", [{"request_problem": 0}, {"maximum_packet_size": 20}])
def test_who_does_not_want_words_or_cannot_take_them_gets_the_code_alone(
    full: MqttPeers, terms: dict[str, int]
) -> None:
    heard = publish_four(full.enter("c", properties=terms), 1)

    assert [each.reason for each in heard] == [0, 0x97, 0x10, 0x97]
    assert all("reason_string" not in each.properties and each.size <= 20 for each in heard)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_refusal_behind_what_waits_for_the_disk_is_answered_with_it(full: MqttPeers, qos: int) -> None:
    peer = full.enter()
    peer.feed(b"".join(codec.publish(V5, "full", b"m", qos=qos, packet_id=number) for number in (1, 2)))

    assert [(each.packet_id, each.reason) for each in peer.heard()] == [(1, 0), (2, 0x97)]


def test_suback_names_each_filter_that_is_refused(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_topic_levels_max=2, mqtt_subscriptions_per_session_max=1))
    heard = mqtt.enter().ask(codec.subscribe(V5, 7, [Filter("a"), Filter("b/c/d"), Filter("e")]))

    assert said(heard) == [
        ("suback", 7, 0, "b/c/d: the session has its limit of 1 subscriptions; e: the session has its limit of 1 "
                         "subscriptions")
    ]  # fmt: skip
    assert heard[0].reasons == (0, 0x97, 0x97)


def test_what_suback_says_is_bounded(make_core: MakeCore) -> None:
    mqtt = MqttPeers(make_core(mqtt_topic_levels_max=1))
    heard = mqtt.enter().ask(codec.subscribe(V5, 7, [Filter("a/b" + "x" * 1000)] * 5))

    assert heard[0].reasons == (0x8F,) * 5
    assert len(heard[0].properties["reason_string"]) == 1000


def test_an_unknown_packet_identifier_is_said_in_words(core: Core) -> None:
    assert said(MqttPeers(core).enter().ask(codec.ack(codec.PUBREL, 9))) == [
        ("pubcomp", 9, 0x92, "packet identifier not found")
    ]
