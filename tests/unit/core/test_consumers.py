"""Whose turn it is within a priority: in turn, the same one, or whom a hash of the message names."""

from __future__ import annotations

from collections import Counter

import pytest

TOPICS = [f"room.{number}.temperature" for number in range(64)]


@pytest.fixture
def group(core, peer):
    """A queue bound to every topic, and three consumers on channels of their own with room for 1000 each."""
    peer.declare("q")
    peer.bind("amq.topic", "#")
    for channel in (2, 3, 4):
        peer.call("channel.open", channel)
        peer.call("basic.qos", channel, prefetch_count=1000)
        peer.consume("q", f"c{channel}", channel=channel)
    return core.queue()


def publish(peer, topic, body=b"x"):
    peer.publish(topic, body, exchange="amq.topic")


def tags(peer) -> list[str]:
    return [content.fields["consumer_tag"] for content in peer.deliveries()]


def owners(peer) -> dict[str, str]:
    """Who got which topic."""
    return {content.fields["routing_key"]: content.fields["consumer_tag"] for content in peer.deliveries()}


def test_in_turn_each_gets_the_next(peer, group):
    for _ in range(6):
        publish(peer, "a")
    assert tags(peer) == ["c2", "c3", "c4"] * 2


def test_sticky_stays_with_one_until_it_has_no_credit(peer, group):
    group.consumers.serve_by("sticky")
    for _ in range(5):
        publish(peer, "a")
    first = set(tags(peer))
    assert len(first) == 1

    channel = int(first.pop()[1:])
    peer.call("channel.flow", channel, active=False)
    for _ in range(5):
        publish(peer, "a")
    second = set(tags(peer))

    assert len(second) == 1
    assert second != {f"c{channel}"}


def test_by_topic_the_same_topic_goes_to_the_same_consumer(peer, group):
    group.consumers.serve_by("hash-topic")
    for topic in TOPICS:
        publish(peer, topic)
    first = owners(peer)
    for topic in TOPICS:
        publish(peer, topic)

    assert owners(peer) == first
    shares = Counter(first.values())
    assert len(shares) == 3
    assert min(shares.values()) >= 64 // 3 // 3  # 21 each on average


def test_by_topic_only_the_share_of_who_leaves_moves(peer, group):
    group.consumers.serve_by("hash-topic")
    for topic in TOPICS:
        publish(peer, topic)
    first = owners(peer)
    peer.call("basic.cancel", 3, consumer_tag="c3")
    for topic in TOPICS:
        publish(peer, topic)
    second = owners(peer)

    assert {topic for topic in TOPICS if first[topic] != second[topic]} == {t for t in TOPICS if first[t] == "c3"}
    assert "c3" not in second.values()


def test_by_topic_a_consumer_without_credit_holds_up_nobody(peer, group):
    group.consumers.serve_by("hash-topic")
    peer.call("channel.flow", 3, active=False)
    for topic in TOPICS:
        publish(peer, topic)
    assert len(owners(peer)) == len(TOPICS)


def test_by_publisher_each_publisher_keeps_its_consumer(core, peer, group):
    group.consumers.serve_by("hash-publisher")
    publishers = [core.connect() for _ in range(16)]
    for _ in range(2):
        for number, publisher in enumerate(publishers):
            publish(publisher, "a", b"%d" % number)
    got: dict[bytes, set[str]] = {}
    for content in peer.deliveries():
        got.setdefault(content.body, set()).add(content.fields["consumer_tag"])

    assert all(len(each) == 1 for each in got.values())
    assert len(set.union(*got.values())) > 1


def test_a_strategy_that_is_none_is_an_error_of_ours(group):
    with pytest.raises(KeyError):
        group.consumers.serve_by("loudest")
