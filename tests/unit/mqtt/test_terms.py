"""The terms of a connection: what CONNACK says besides yes, and what the operator's settings make of a session."""

from __future__ import annotations

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_peer import MqttPeers
from tests.support.peer import Core


@pytest.mark.parametrize(("asked", "said"), [(0, 60), (61, 60), (60, None), (30, None)])
def test_the_servers_keep_alive_counts_for_who_asks_for_more_or_none(core: Core, asked: int, said: int | None) -> None:
    peer = MqttPeers(core, keep_alive_max_s=60).connect(keep_alive=asked)

    assert peer.heard()[0].properties.get("server_keep_alive") == said
    core.pass_ms((said or asked) * 1500 - 1)
    assert peer.heard() == []
    core.pass_ms(1_000)
    assert [(each.name, each.reason) for each in peer.heard()] == [("disconnect", 0x8D)]


def test_mqtt_3_knows_no_keep_alive_of_the_servers(core: Core) -> None:
    peer = MqttPeers(core, keep_alive_max_s=60).enter(version=V311, keep_alive=100)

    core.pass_ms(149_000)
    assert peer.ask(codec.PING)[0].name == "pingresp"


@pytest.mark.parametrize(("queues", "got"), [(True, [b"0", b"1"]), (False, [b"1"])])
def test_qos_0_waits_for_who_is_away_where_the_operator_wants_it(core: Core, queues: bool, got: list[bytes]) -> None:
    mqtt = MqttPeers(core, queue_qos0=queues)
    peer = mqtt.enter("away", properties={"session_expiry": 300})
    peer.subscribe(Filter("t", 1))
    peer.ask(codec.disconnect(V5))
    publisher = mqtt.enter()
    publisher.publish("t", b"0")
    publisher.publish("t", b"1", qos=1)

    heard = mqtt.connect("away", clean=False).heard()

    assert [each.payload for each in heard if each.name == "publish"] == got
    assert mqtt.endpoint.counters.dropped_offline == (not queues)


@pytest.mark.parametrize(
    ("strategy", "groups"),
    [
        ("round-robin", {("t/0", "0"): 3, ("t/1", "1"): 3}),
        ("sticky", {("t/0", "0"): 3, ("t/1", "0"): 3}),
    ],
)
def test_who_of_a_group_gets_a_message_is_the_operators_choice(
    core: Core, strategy: str, groups: dict[tuple[str, str], int]
) -> None:
    mqtt = MqttPeers(core, share_strategy=strategy)
    members = [mqtt.enter(str(number)) for number in range(2)]
    for member in members:
        assert member.subscribe(Filter("$share/g/t/+", 0)) == [0]
    publisher = mqtt.enter()
    for number in range(6):
        publisher.publish(f"t/{number % 2}")

    got: dict[tuple[str, str], int] = {}
    for number, member in enumerate(members):
        for each in member.heard():
            got[each.topic, str(number)] = got.get((each.topic, str(number)), 0) + 1
    assert got == groups


@pytest.mark.parametrize("strategy", ["hash-topic", "hash-publisher"])
def test_what_is_hashed_alike_goes_to_the_same_member(core: Core, strategy: str) -> None:
    mqtt = MqttPeers(core, share_strategy=strategy)
    members = [mqtt.enter(f"m{number}", version=V311 if number else V5) for number in range(3)]
    for member in members:
        member.subscribe(Filter("$share/g/t/#", 0))
    publishers = [mqtt.enter() for _ in range(20)]
    for _ in range(3):
        for number, publisher in enumerate(publishers):
            publisher.publish(f"t/{number}", b"%d" % number)

    whose: dict[bytes, set[int]] = {}
    for number, member in enumerate(members):
        for each in member.heard():
            whose.setdefault(each.payload, set()).add(number)
    assert all(len(members) == 1 for members in whose.values())
    assert len(whose) == 20
    assert len(set.union(*whose.values())) == 3


@pytest.mark.parametrize("keep_alive", [0, 60])
def test_who_is_not_read_when_the_handshakes_time_is_up_stays(core: Core, keep_alive: int) -> None:
    """Without a keep-alive nobody needs to be heard, be its reading at rest or not."""
    peer = MqttPeers(core).enter(keep_alive=keep_alive)
    peer.connection.rest(2)
    core.pass_ms(core.limits.handshake_timeout_ms + 2000)
    assert not peer.is_over
    peer.connection.go_on(2)
