"""Who holds a delivery for too long loses the channel, and everybody else gets the message."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.policy import Policy
from tests.support.peer import Core, Peer

MINUTE_MS = 60_000


@pytest.fixture
def holding(core: Core, peer: Peer) -> Peer:
    """A client that has taken a message and does not settle it, where a minute is allowed."""
    core.endpoint.ack_timeouts.timeout_ms = MINUTE_MS
    peer.declare("q")
    peer.publish("q", b"m")
    peer.got()
    return peer


def pass_seconds(core: Core, seconds: int) -> None:
    for _ in range(seconds):
        core.pass_ms(1_000)


def closed(peer: Peer) -> list[tuple[int, str, int, int]]:
    return [
        (each.fields["reply_code"], each.fields["reply_text"], each.fields["class_id"], each.fields["method_id"])
        for each in peer.take("channel.close")
        if hasattr(each, "fields")
    ]


def test_a_delivery_that_is_held_too_long_closes_the_channel_in_rabbitmqs_words(core: Core, holding: Peer) -> None:
    pass_seconds(core, 60)
    assert closed(holding) == []
    pass_seconds(core, 20)

    assert closed(holding) == [
        (
            406,
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 60000 ms. This "
            "timeout value can be configured, see consumers doc guide to learn more",
            0,
            0,
        )
    ]
    assert core.endpoint.ack_timeouts.timed_out == 1
    content = core.connect().got()
    assert (content.body, content.redelivered) == (b"m", True)
    assert core.queue().counts["unaccounted"] == 0


def test_who_settles_in_time_may_go_on_for_ever(core: Core, peer: Peer) -> None:
    core.endpoint.ack_timeouts.timeout_ms = MINUTE_MS
    peer.declare("q")
    peer.consume()
    for _ in range(10):
        peer.publish("q", b"m")
        pass_seconds(core, 50)
        peer.send("basic.ack", delivery_tag=peer.deliveries()[0].tag)
    peer.publish("q", b"m")
    pass_seconds(core, 50)

    assert closed(peer) == []


def test_the_oldest_counts_whatever_is_settled_behind_it(core: Core, holding: Peer) -> None:
    for _ in range(12):
        holding.publish("q", b"n")
        pass_seconds(core, 5)
        holding.send("basic.ack", delivery_tag=holding.got().tag)
    assert closed(holding) == []
    pass_seconds(core, 20)

    assert len(closed(holding)) == 1


def test_0_is_no_timeout(core: Core, holding: Peer) -> None:
    core.endpoint.ack_timeouts.timeout_ms = 0
    pass_seconds(core, 300)

    assert closed(holding) == []


@pytest.mark.parametrize(
    ("own_ms", "seconds", "ends"), [(30_000, 40, True), (120_000, 100, False), (120_000, 140, True)]
)
def test_a_queue_may_have_a_timeout_of_its_own(core: Core, peer: Peer, own_ms: int, seconds: int, ends: bool) -> None:
    core.endpoint.ack_timeouts.timeout_ms = MINUTE_MS
    peer.declare("q", consumer_timeout=own_ms)
    peer.publish("q", b"m")
    peer.got()
    pass_seconds(core, seconds)

    assert [f"Timeout value used: {own_ms} ms" in text for _, text, _, _ in closed(peer)] == [True] * ends


def test_a_policy_changes_the_timeout_of_what_is_held_already(core: Core, holding: Peer) -> None:
    policy = Policy("t", "^q$", {"consumer-timeout": 20_000}, apply_to="queues", priority=0, operator=False)
    core.vhost.policies.put(policy)
    pass_seconds(core, 30)

    assert len(closed(holding)) == 1


def test_of_the_declared_timeout_and_a_policys_the_shorter_one_counts(core: Core, peer: Peer) -> None:
    peer.declare("q", consumer_timeout=30_000)
    for value, expected in ((20_000, 20_000), (40_000, 30_000)):
        core.vhost.policies.put(
            Policy("t", "^q$", {"consumer-timeout": value}, apply_to="queues", priority=0, operator=False)
        )
        assert core.queue().settings.consumer_timeout_ms == expected


@pytest.mark.parametrize("value", [0, -1, "1000", True])
def test_what_is_no_timeout_is_refused(peer: Peer, value: Any) -> None:
    answer = peer.call("queue.declare", queue="q", arguments={"x-consumer-timeout": value})

    assert answer.fields["reply_code"] == 406
    assert "x-consumer-timeout" in answer.fields["reply_text"]


def test_other_channels_of_the_connection_go_on(core: Core, holding: Peer) -> None:
    holding.call("channel.open", 2)
    pass_seconds(core, 80)

    assert len(closed(holding)) == 1
    assert holding.call("queue.declare", 2, queue="q").name == "queue.declare-ok"


def test_many_channels_are_looked_at_over_several_turns(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.amqp.ack_timeouts.CHANNELS_AT_ONCE", 2)
    core.endpoint.ack_timeouts.timeout_ms = MINUTE_MS
    peers = [core.connect() for _ in range(5)]
    peers[0].declare("q")
    for peer in peers:
        peers[0].publish("q", b"m")
        peer.got()
    pass_seconds(core, 80)

    assert [len(closed(peer)) for peer in peers] == [1] * 5


def test_without_connections_nothing_ticks(core: Core, peer: Peer) -> None:
    peer.connection.lost("gone")
    core.pass_ms(10_000)

    assert core.endpoint.ack_timeouts.timer is None
