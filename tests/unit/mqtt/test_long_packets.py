"""A SUBSCRIBE or UNSUBSCRIBE with very many topic filters: a slice per turn, and others are served in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import mqtt_codec as codec
from tests.support.in_process import watched
from tests.support.mqtt_codec import V5, V311, Filter
from tests.support.mqtt_in_process import MqttClient, MqttInProcess

COUNT = 50
SLICE = 7
PING = codec.frame(codec.PINGREQ)
FILTERS = [Filter(f"t/{number}", 1) for number in range(COUNT)]


@pytest.fixture
def inside() -> Iterator[MqttInProcess]:
    broker = MqttInProcess()
    broker.mqtt.long_packets.per_turn_max = SLICE
    with watched():
        yield broker
        for connection in list(broker.mqtt.connections):
            connection.output.abort()
            connection.lost("closed by peer")
    broker.close()


def arrive(inside: MqttInProcess, client_id: str, version: int = V5, **settings: object) -> MqttClient:
    client = inside.arrive(version)
    client.hear(codec.connect(version, client_id, **settings))  # type: ignore[arg-type]
    client.talk()
    return client


def held(inside: MqttInProcess, client_id: str) -> int:
    return len(inside.mqtt.sessions.by_name["/", client_id].subscriptions)


def turn(inside: MqttInProcess) -> None:
    """What one turn of the loop does."""
    inside.clock.advance(inside.clock.now_ms)


def kinds(client: MqttClient) -> list[int]:
    return [each.kind for each in client.talk()]


@pytest.mark.parametrize("version", [V311, V5])
def test_a_long_subscribe_takes_a_slice_per_turn_and_is_answered_whole(inside: MqttInProcess, version: int) -> None:
    client = arrive(inside, "long", version)

    client.hear(codec.subscribe(version, 1, FILTERS))

    steps = [held(inside, "long")]
    while steps[-1] < COUNT:
        assert client.talk() == []
        turn(inside)
        steps.append(held(inside, "long"))
    assert steps == [*range(0, COUNT, SLICE), COUNT]
    (suback,) = client.talk()
    assert (suback.kind, suback.packet_id, suback.reasons) == (codec.SUBACK, 1, (1,) * COUNT)


@pytest.mark.parametrize("version", [V311, V5])
def test_a_long_unsubscribe_takes_a_slice_per_turn_and_is_answered_whole(inside: MqttInProcess, version: int) -> None:
    client = arrive(inside, "long", version)
    for first in range(0, COUNT, SLICE):
        client.hear(codec.subscribe(version, 1, FILTERS[first : first + SLICE]))
    assert len(client.talk()) == -(-COUNT // SLICE)

    client.hear(codec.unsubscribe(version, 2, [f"t/{number}" for number in range(COUNT)]))

    steps = [held(inside, "long")]
    while steps[-1]:
        assert client.talk() == []
        turn(inside)
        steps.append(held(inside, "long"))
    assert steps == [*range(COUNT, 0, -SLICE), 0]
    (unsuback,) = client.talk()
    assert (unsuback.kind, unsuback.packet_id) == (codec.UNSUBACK, 2)
    assert unsuback.reasons == ((0,) * COUNT if version == V5 else ())


def test_what_comes_behind_is_answered_behind_and_others_are_answered_meanwhile(inside: MqttInProcess) -> None:
    client, other = arrive(inside, "long"), arrive(inside, "other")

    client.hear(codec.subscribe(V5, 1, FILTERS) + PING + codec.subscribe(V5, 2, FILTERS[:1]))

    for _ in range(COUNT // SLICE):
        other.hear(PING)
        assert kinds(other) == [codec.PINGRESP]
        assert client.talk() == []
        turn(inside)
    turn(inside)
    client.hear(b"")
    assert kinds(client) == [codec.SUBACK, codec.PINGRESP, codec.SUBACK]


def test_however_many_long_packets_there_are_a_turn_does_one_slice(inside: MqttInProcess) -> None:
    clients = [arrive(inside, f"long {number}") for number in range(5)]

    for client in clients:
        client.hear(codec.subscribe(V5, 1, FILTERS))

    done = 0
    while done < COUNT * len(clients):
        before = done
        turn(inside)
        done = sum(held(inside, f"long {number}") for number in range(5))
        assert 0 < done - before <= SLICE
    assert [kinds(client) for client in clients] == [[codec.SUBACK]] * len(clients)
    assert not inside.mqtt.long_packets.waiting


def test_what_a_stored_session_holds_is_on_disk_before_the_answer(inside: MqttInProcess) -> None:
    client = arrive(inside, "stored", properties={"session_expiry": 100})
    client.hear(codec.subscribe(V5, 1, FILTERS))
    for _ in range(COUNT):
        turn(inside)

    assert client.connection.output.take() == b""  # it was not committed

    inside.commit()
    assert kinds(client) == [codec.SUBACK]


def test_a_client_that_goes_in_the_middle_leaves_nothing_to_be_done(inside: MqttInProcess) -> None:
    client = arrive(inside, "gone")
    client.hear(codec.subscribe(V5, 1, FILTERS))
    turn(inside)

    client.lose()
    for _ in range(COUNT):
        turn(inside)

    assert not inside.mqtt.long_packets.waiting
    assert ("/", "gone") not in inside.mqtt.sessions.by_name


def test_a_user_who_is_deleted_in_the_middle_gets_no_more(inside: MqttInProcess) -> None:
    inside.broker.access.add_user("ann", b"pw")
    inside.broker.access.set_permission("/", "ann", ".*", ".*", ".*")
    client = arrive(inside, "ann's", user="ann", password="pw")
    client.hear(codec.subscribe(V5, 1, FILTERS))
    turn(inside)

    inside.broker.access.delete_user("ann")
    for _ in range(COUNT):
        turn(inside)

    assert [each.reason for each in client.talk()] == [0x98]
    assert not inside.mqtt.long_packets.waiting


def test_each_filter_has_its_own_answer_where_some_are_refused(inside: MqttInProcess) -> None:
    client = arrive(inside, "partly")
    filters = [Filter("$queue/none" if number % 5 == 0 else f"t/{number}", 1) for number in range(COUNT)]

    client.hear(codec.subscribe(V5, 1, filters))
    for _ in range(COUNT):
        turn(inside)

    (suback,) = client.talk()
    assert [reason >= 0x80 for reason in suback.reasons] == [number % 5 == 0 for number in range(COUNT)]
