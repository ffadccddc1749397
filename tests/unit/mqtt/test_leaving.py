"""A session with very many subscriptions ends: a slice at a time, and nobody is told anything by what is left of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import mqtt_codec as codec
from tests.support.in_process import watched
from tests.support.mqtt_codec import V5, Filter
from tests.support.mqtt_in_process import MqttClient, MqttInProcess

COUNT = 50
SLICE = 7


@pytest.fixture
def inside() -> Iterator[MqttInProcess]:
    broker = MqttInProcess()
    broker.mqtt.sessions.leaving.per_turn_max = SLICE
    with watched():
        yield broker
        for connection in list(broker.mqtt.connections):
            connection.output.abort()
            connection.lost("closed by peer")
    broker.close()


def subscribed(inside: MqttInProcess, client_id: str, qos: int, **settings: object) -> MqttClient:
    client = inside.arrive(V5)
    client.hear(codec.connect(V5, client_id, **settings))  # type: ignore[arg-type]
    client.hear(codec.subscribe(V5, 1, [Filter(f"t/{number}", qos) for number in range(COUNT)]))
    assert client.talk()[-1].reasons == (qos,) * COUNT
    return client


def publish_to_all(client: MqttClient) -> list[int]:
    """The reason of each PUBACK: 0x10 where nobody was there."""
    for number in range(COUNT):
        client.hear(codec.publish(V5, f"t/{number}", b"m", qos=1, packet_id=number + 1))
    return [each.reason for each in client.talk()]


def bindings(inside: MqttInProcess) -> int:
    return sum(
        1 for each in inside.broker.vhosts["/"].exchanges["amq.topic"].bindings.values() if each.key[:2] == b"t."
    )


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("known", [True, False], ids=["routes known", "routes not known"])
def test_nothing_comes_to_a_session_that_is_leaving(inside: MqttInProcess, qos: int, known: bool) -> None:
    client, publisher = subscribed(inside, "leaver", qos), inside.arrive(V5)
    publisher.hear(codec.connect(V5, "publisher"))
    publisher.talk()
    if known:
        assert publish_to_all(publisher) == [0] * COUNT

    client.lose()

    assert bindings(inside) == COUNT - SLICE
    assert publish_to_all(publisher) == [0x10] * COUNT
    assert not inside.mqtt.sessions.by_name.get(("/", "leaver"))


def test_the_subscriptions_go_by_and_by(inside: MqttInProcess) -> None:
    subscribed(inside, "leaver", 1).lose()

    left = [bindings(inside)]
    while left[-1]:
        inside.clock.advance(inside.clock.now_ms)  # what one turn of the loop does
        left.append(bindings(inside))

    assert left == [*range(COUNT - SLICE, 0, -SLICE), 0]
    assert not inside.mqtt.sessions.leaving.by_name


@pytest.mark.parametrize("again", [1, 3])
def test_a_new_session_of_the_same_name_is_not_the_one_that_leaves(inside: MqttInProcess, again: int) -> None:
    for _ in range(again):
        subscribed(inside, "same", 1).lose()
    client, publisher = subscribed(inside, "same", 1), inside.arrive(V5)
    publisher.hear(codec.connect(V5, "publisher"))
    publisher.talk()

    for _ in range(COUNT):
        inside.pass_ms(1)

    assert not inside.mqtt.sessions.leaving.by_name
    assert bindings(inside) == COUNT
    assert publish_to_all(publisher) == [0] * COUNT
    assert len(client.talk()) == COUNT


def test_a_vhost_is_deleted_while_a_session_of_it_leaves_or_is_away(inside: MqttInProcess) -> None:
    """The operator got an internal error, and half of the vhost was left."""
    inside.broker.add_vhost("other")
    inside.broker.access.set_permission("other", "guest", ".*", ".*", ".*")
    for client_id, expiry in (("leaver", 0), ("away", 10)):
        client = subscribed(
            inside, client_id, 1, user="other:guest", password="guest", properties={"session_expiry": expiry}
        )
        client.lose()

    inside.broker.delete_vhost("other")
    inside.pass_ms(60_000)

    assert not inside.mqtt.sessions.leaving.by_name
    assert not len(inside.mqtt.sessions)
