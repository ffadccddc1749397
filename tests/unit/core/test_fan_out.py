"""A turn of the loop hands messages to so many targets and no more: who publishes to many rests, others do not wait."""

from __future__ import annotations

import pytest

from broker.core.binding import QUEUE
from broker.core.clock import ManualClock
from broker.core.fan_out import STEP, FanOut
from broker.core.watch import watch
from tests.support import mqtt_codec
from tests.support.mqtt_codec import V5
from tests.support.mqtt_peer import MqttPeers
from tests.support.peer import Core, publication
from tests.support.websocket_frames import TEXT, frame
from tests.unit.websocket.native_peer import Native


def slow(fan_out: FanOut, clock: ManualClock, ms_per_look: int) -> None:
    """Each look at the time finds it later in the turn; a new turn begins when time passes."""
    looks = {clock.now_ms: 0}

    def time_ms() -> int:
        looks[clock.now_ms] = looks.get(clock.now_ms, 0) + 1
        return clock.now_ms + looks[clock.now_ms] * ms_per_look

    fan_out.time_ms = time_ms


def test_the_time_is_looked_at_now_and_then_and_the_next_turn_has_its_own():
    clock = ManualClock()
    fan_out = FanOut(clock, 20)
    slow(fan_out, clock, 15)
    fan_out.spend(STEP)
    assert fan_out.left == 0
    fan_out.spend(1)
    assert fan_out.left == STEP
    fan_out.spend(STEP + 1)
    assert fan_out.left < 0
    clock.pass_ms(1)
    fan_out.spend(1)
    assert fan_out.left == STEP


def test_who_rests_is_called_once_in_the_next_turn():
    clock = ManualClock()
    fan_out = FanOut(clock, 0)
    fan_out.spend(STEP + 1)
    called: list[str] = []
    fan_out.rest(lambda: called.append("first"))
    fan_out.rest(lambda: called.append("second"))
    assert called == []
    clock.pass_ms(1)
    assert (called, fan_out.left, fan_out.rested_count) == (["first", "second"], STEP, 2)
    clock.pass_ms(1)
    assert called == ["first", "second"]


QUEUES = 1024


@pytest.fixture
def spread(make_core) -> Core:
    """So many queues get what is published to amq.fanout that a turn is over with the fifth such message."""
    core: Core = make_core(fan_out_ms_per_turn_max=1)
    slow(core.broker.fan_out, core.clock, 1)
    peer = core.connect()
    for number in range(QUEUES):
        peer.declare(f"q{number}")
        peer.bind("amq.fanout", name=f"q{number}")
    core.pass_ms(1)
    return core


def test_a_publisher_to_many_rests_until_the_next_turn(spread):
    peer = spread.connect()
    peer.feed(publication("", b"m", exchange="amq.fanout") * 11)
    assert spread.queue("q0").ready_count == 5
    spread.pass_ms(1)
    peer.resume()
    assert spread.queue("q0").ready_count == 10
    spread.pass_ms(1)
    peer.resume()
    assert {queue.ready_count for queue in spread.vhost.queues.values()} == {11}


def test_who_is_watched_rests_as_well(spread):
    watch(spread.vhost, lambda event: None)
    peer = spread.connect()
    peer.feed(publication("", b"m", exchange="amq.fanout") * 7)
    assert spread.queue("q0").ready_count == 5


def test_another_publisher_gets_through_with_one_message_a_turn(spread):
    first, second = spread.connect(), spread.connect()
    first.feed(publication("", b"m", exchange="amq.fanout") * 7)
    second.feed(publication("q0", b"m") * 5)
    assert spread.queue("q0").ready_count == 5 + 1
    spread.pass_ms(1)
    second.resume()
    assert spread.queue("q0").ready_count == 5 + 5


def test_a_body_in_frames_of_its_own_counts_as_well(spread):
    peer = spread.connect()
    for byte in publication("", b"m" * 50, exchange="amq.fanout", frame_bytes_max=20) * 6:
        peer.feed(bytes([byte]))
    assert spread.queue("q0").ready_count == 5


def test_an_mqtt_publisher_to_many_rests_as_well(spread):
    publisher = MqttPeers(spread).connect("p")
    for queue in spread.vhost.queues.values():
        spread.vhost.bind(spread.vhost.exchanges["amq.topic"], queue, QUEUE, b"t")
    publisher.feed(mqtt_codec.publish(V5, "t", b"m") * 7)
    assert spread.queue("q0").ready_count == 5
    spread.pass_ms(1)
    publisher.heard()
    assert spread.queue("q0").ready_count == 7


def test_a_native_client_that_publishes_to_many_rests_as_well(spread):
    client = Native(spread)
    client.hello()
    client.feed(frame(TEXT, b'{"type":"publish","exchange":"amq.fanout","body":"m"}') * 7)
    assert spread.queue("q0").ready_count == 5
    spread.pass_ms(1)
    client.feed()
    assert spread.queue("q0").ready_count == 7
