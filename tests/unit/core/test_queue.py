"""The queue: who gets what, in which order, and what becomes of the rest. Driven by real frames."""

from __future__ import annotations

import pytest

from broker.core.exchange import accept_all
from broker.core.message import Message
from tests.support.peer import Core, Peer

ROUTED, STORED, REFUSED = 1, 2, 4
NO_PROPERTIES = b"\0\0"
PERSISTENT = b"\x10\x00\x02"


def publish_all(peer: Peer, *bodies: bytes, **settings: object) -> None:
    for body in bodies:
        peer.publish("q", body, **settings)


def ack_all(peer: Peer) -> list[bytes]:
    """Acknowledge what came; its bodies."""
    contents = peer.deliveries()
    for content in contents:
        peer.send("basic.ack", content.channel, delivery_tag=content.tag)
    return [content.body for content in contents]


# ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("durable", "properties", "outcome"),
    [
        (True, PERSISTENT, ROUTED | STORED),
        (True, NO_PROPERTIES, ROUTED),
        (False, PERSISTENT, ROUTED),
        (False, NO_PROPERTIES, ROUTED),
    ],
)
def test_only_a_persistent_message_in_a_durable_queue_waits_for_the_disk(core, peer, durable, properties, outcome):
    peer.declare("q", durable=durable)
    assert accept_all(Message(b"", b"q", properties, b""), [core.queue()]) == outcome
    assert core.queue().ready_count == 1


def test_a_full_queue_that_rejects_says_refused_and_counts_it(core, peer):
    peer.declare("q", max_length=1, overflow="reject-publish")
    message = Message(b"", b"q", NO_PROPERTIES, b"")
    assert [accept_all(message, [core.queue()]) for _ in range(3)] == [ROUTED, REFUSED, REFUSED]
    assert core.queue().counts["refused_maxlen"] == 2
    assert core.queue().counts["accepted"] == 1


def test_a_deleted_queue_takes_nothing(core, peer):
    peer.declare("q")
    queue = core.queue()
    peer.call("queue.delete", queue="q")
    assert accept_all(Message(b"", b"q", NO_PROPERTIES, b""), [queue]) == 0
    assert queue.ready_count == 0


def test_bytes_of_ready_and_unacked_bodies_are_known(core, peer):
    peer.declare("q")
    publish_all(peer, b"123", b"45")
    assert (core.queue().ready_bytes, core.queue().unacked_bytes) == (5, 0)
    peer.got()
    assert (core.queue().ready_bytes, core.queue().unacked_bytes) == (2, 3)


# ── out: whose turn it is ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_goes_to_a_waiting_consumer_at_once_and_stays_unacked(core, peer):
    peer.declare("q")
    peer.consume()
    peer.publish("q", b"m")
    assert peer.bodies() == [b"m"]
    assert (core.queue().ready_count, core.queue().unacked_count) == (0, 1)


def test_a_consumer_that_does_not_acknowledge_settles_by_the_delivery(core, peer):
    peer.declare("q", durable=True)
    peer.consume(no_ack=True)
    peer.publish("q", b"m", delivery_mode=2)
    assert (core.queue().ready_count, core.queue().unacked_count) == (0, 0)
    assert core.queue().counts["delivered_no_ack"] == 1
    assert core.store.statistics()["slots_appended"] == 0  # never written


def test_what_a_consumer_acknowledges_before_the_batch_is_sealed_is_never_written(core, peer):
    peer.declare("q", durable=True)
    peer.consume()
    peer.publish("q", b"m", delivery_mode=2)
    ack_all(peer)
    core.commit()
    assert core.store.statistics()["slots_written"] == 0


def test_prefetch_holds_messages_back_until_one_is_settled(peer):
    peer.declare("q")
    peer.call("basic.qos", prefetch_count=2)
    peer.consume()
    publish_all(peer, b"1", b"2", b"3")
    assert ack_all(peer) == [b"1", b"2"]
    assert peer.bodies() == [b"3"]


def test_the_channels_limit_counts_all_its_consumers(peer):
    peer.declare("a")
    peer.declare("b")
    peer.call("basic.qos", prefetch_count=1, global_=True)
    peer.consume("a")
    peer.consume("b")
    peer.publish("a", b"1")
    peer.publish("b", b"2")
    assert ack_all(peer) == [b"1"]
    assert peer.bodies() == [b"2"]


def test_consumers_of_one_priority_take_turns(peer):
    peer.declare("q")
    tags = [peer.consume(tag=f"c{index}") for index in range(3)]
    publish_all(peer, *(b"%d" % index for index in range(6)))
    assert [content.fields["consumer_tag"] for content in peer.deliveries()] == tags * 2


def test_a_higher_consumer_priority_is_served_first_while_it_has_credit(peer):
    peer.declare("q")
    peer.call("basic.qos", prefetch_count=2)
    peer.consume(tag="low", arguments={"x-priority": -1})
    peer.consume(tag="high", arguments={"x-priority": 5})
    peer.consume(tag="middle")
    publish_all(peer, *(b"%d" % index for index in range(6)))
    tags = [content.fields["consumer_tag"] for content in peer.deliveries()]
    assert tags == ["high", "high", "middle", "middle", "low", "low"]


def test_a_full_output_gets_no_deliveries_and_wakes_when_it_has_drained(core):
    peer = core.connect(high_bytes=100)
    peer.declare("q")
    publish_all(peer, b"x" * 200, b"second")
    peer.consume(no_ack=True)
    assert (peer.bodies(), core.queue().ready_count) == ([b"x" * 200], 1)
    peer.connection.wake_channels()  # what the edge says when the socket has taken it all
    assert (peer.bodies(), core.queue().ready_count) == ([b"second"], 0)


def test_channel_flow_stops_deliveries_and_starts_them_again(core, peer):
    peer.declare("q")
    peer.consume()
    assert peer.call("channel.flow", active=False).fields == {"active": False}
    peer.publish("q", b"m")
    assert peer.bodies() == []
    peer.call("channel.flow", active=True)
    assert peer.bodies() == [b"m"]


def test_no_local_keeps_a_publishers_own_messages_from_it_but_not_from_others(core, peer):
    other = core.connect()
    peer.declare("q")
    peer.consume(no_local=True, no_ack=True)
    peer.publish("q", b"own")
    other.publish("q", b"foreign")
    assert peer.bodies() == [b"foreign"]  # served past the head, which waits for somebody else
    other.consume(no_ack=True)
    assert other.bodies() == [b"own"]
    assert core.queue().counts["unaccounted"] == 0


def test_a_message_that_only_its_publisher_could_get_and_refuses_is_dropped_and_counted(core, peer):
    assert peer.call("queue.declare", queue="q", exclusive=True).name == "queue.declare-ok"
    peer.consume(no_local=True)
    peer.publish("q", b"own")
    counts = core.queue().counts
    assert (counts["accepted"], counts["dropped_no_local"], counts["unaccounted"]) == (1, 1, 0)


# ── single active consumer, exclusive consumer ────────────────────────────────────────────────────────────────────────


def test_a_single_active_consumer_is_served_alone_and_followed_in_order(core, peer):
    peer.declare("q", single_active_consumer=True)
    peer.call("channel.open", 2)
    peer.consume(tag="first")
    peer.consume(tag="second", channel=2)
    publish_all(peer, b"1", b"2")
    first = peer.deliveries()
    assert {content.fields["consumer_tag"] for content in first} == {"first"}

    peer.call("basic.cancel", consumer_tag="first")
    peer.publish("q", b"3")
    assert peer.bodies() == []  # the first one still holds 1 and 2

    peer.send("basic.nack", delivery_tag=first[-1].tag, multiple=True, requeue=True)
    assert [(each.body, each.redelivered) for each in peer.deliveries()] == [(b"1", True), (b"2", True), (b"3", False)]


def test_a_higher_priority_takes_over_as_the_single_active_consumer(core, peer):
    peer.declare("q", single_active_consumer=True)
    peer.consume(tag="low")
    peer.consume(tag="high", arguments={"x-priority": 1})
    peer.publish("q", b"m")
    assert peer.deliveries()[0].fields["consumer_tag"] == "high"


@pytest.mark.parametrize("exclusive", [(True, False), (False, True), (True, True)])
def test_an_exclusive_consumer_is_alone(peer, exclusive):
    peer.declare("q")
    peer.consume(exclusive=exclusive[0])
    assert peer.call("basic.consume", queue="q", exclusive=exclusive[1]).fields["reply_code"] == 403


# ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_requeued_returns_to_its_old_place_whatever_the_order(core, peer):
    peer.declare("q")
    publish_all(peer, *(b"%d" % index for index in range(40)))
    contents = [peer.got() for _ in range(40)]
    for content in sorted(contents, key=lambda each: hash((each.tag * 7919) % 41)):
        peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    redelivered = [peer.got(no_ack=True) for _ in range(40)]
    assert [each.body for each in redelivered] == [b"%d" % index for index in range(40)]
    assert all(each.redelivered for each in redelivered)


def test_multiple_settles_up_to_the_tag_and_no_further(core, peer):
    peer.declare("q")
    publish_all(peer, *(b"%d" % index for index in range(5)))
    tags = [peer.got().tag for _ in range(5)]
    peer.send("basic.ack", delivery_tag=tags[2], multiple=True)
    assert core.queue().unacked_count == 2
    peer.send("basic.reject", delivery_tag=tags[4], requeue=True)
    peer.send("basic.ack", delivery_tag=0, multiple=True)
    assert (core.queue().unacked_count, core.queue().ready_count) == (0, 1)
    assert peer.drain() == [b"4"]


def test_basic_recover_with_requeue_returns_everything_in_order(peer):
    peer.declare("q")
    publish_all(peer, b"1", b"2", b"3")
    for _ in range(3):
        peer.got()
    assert peer.call("basic.recover", requeue=True).name == "basic.recover-ok"
    assert peer.drain() == [b"1", b"2", b"3"]


def test_basic_recover_without_requeue_gives_the_same_consumer_the_same_messages_with_new_tags(core, peer):
    peer.declare("q")
    peer.consume(tag="c")
    publish_all(peer, b"1", b"2")
    before = peer.deliveries()
    peer.call("basic.recover", requeue=False)
    again = peer.deliveries()
    assert [(each.body, each.redelivered, each.fields["consumer_tag"]) for each in again] == [
        (b"1", True, "c"),
        (b"2", True, "c"),
    ]
    assert [each.tag for each in again] == [each.tag + 2 for each in before]
    assert core.queue().unacked_count == 2
    assert core.queue().counts["unaccounted"] == 0


def test_closing_a_channel_returns_what_it_held_to_others_but_not_to_itself(core, peer):
    peer.declare("q")
    peer.call("channel.open", 2)
    peer.consume(channel=2)
    publish_all(peer, b"1", b"2")
    peer.take()
    peer.consume(channel=1)
    peer.send("channel.close", 2)
    assert [(each.channel, each.body) for each in peer.deliveries()] == [(1, b"1"), (1, b"2")]


@pytest.mark.parametrize("end", ["close", "lost"])
def test_a_connections_end_returns_everything_once_and_hands_nothing_to_its_other_channels(core, peer, end):
    peer.declare("q", delivery_limit=5)
    peer.call("channel.open", 2)
    peer.consume(channel=1)
    peer.consume(channel=2, no_ack=True)
    publish_all(peer, b"1", b"2")  # one each
    peer.take()
    if end == "close":
        peer.send("connection.close", 0, reply_code=200)
    else:
        peer.connection.lost("gone")
    queue = core.queue()
    assert (queue.ready_count, queue.unacked_count, queue.counts["requeued"]) == (1, 0, 1)
    assert core.connect().got().properties["headers"] == {"x-delivery-count": 1}


def test_a_delivery_limit_dead_letters_what_comes_back_too_often(core, peer):
    peer.declare("dead")
    peer.declare("q", delivery_limit=2, dead_letter_exchange="", dead_letter_routing_key="dead")
    peer.publish("q", b"poison")
    counts = []
    for _ in range(3):
        content = peer.got()
        counts.append(content.properties.get("headers", {}).get("x-delivery-count"))
        peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert counts == [None, 1, 2]
    assert peer.got("dead").properties["headers"]["x-death"][0]["reason"] == "delivery_limit"
    assert core.queue().counts["dropped_delivery_limit"] == 1


# ── the whole queue ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_purge_takes_what_is_ready_and_leaves_what_is_unacked(core, peer):
    peer.declare("q", durable=True)
    publish_all(peer, b"1", b"2", b"3", delivery_mode=2)
    held = peer.got()
    assert peer.call("queue.purge", queue="q").fields["message_count"] == 2
    peer.send("basic.nack", delivery_tag=held.tag, requeue=True)
    assert peer.drain() == [b"1"]
    assert core.queue().counts["purged"] == 2


def test_deleting_tells_its_consumers_and_its_unacked_messages_settle_into_nothing(core, peer):
    peer.declare("q", durable=True)
    tag = peer.consume()
    peer.publish("q", b"m", delivery_mode=2)
    content = peer.deliveries()[0]
    queue = core.queue()
    assert peer.call("queue.delete", queue="q").fields == {"consumer_tag": tag, "no_wait": True}  # basic.cancel
    core.commit()
    assert peer.take("queue.delete-ok")
    peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert (queue.ready_count, queue.unacked_count, queue.counts["unaccounted"]) == (0, 0, 0)
    assert core.store.statistics()["slots_settled"] == 1
    assert tag not in peer.connection.channels[1].consumers


def test_an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_the_first(core, peer):
    peer.call("queue.declare", queue="q", auto_delete=True)
    assert "q" in core.vhost.queues
    tags = [peer.consume(), peer.consume()]
    peer.call("basic.cancel", consumer_tag=tags[0])
    assert "q" in core.vhost.queues
    peer.call("basic.cancel", consumer_tag=tags[1])
    assert "q" not in core.vhost.queues


# ── x-expires ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_x_expires_deletes_a_queue_that_nobody_used_for_so_long(core, peer):
    peer.declare("q", expires=1000)
    core.pass_ms(999)
    assert "q" in core.vhost.queues
    core.pass_ms(1)
    assert "q" not in core.vhost.queues


@pytest.mark.parametrize("use", ["get", "declare"])
def test_using_a_queue_puts_its_end_off(core, peer, use):
    peer.declare("q", expires=1000)
    core.pass_ms(600)
    if use == "get":
        peer.get()
    else:
        peer.call("queue.declare", queue="q", passive=True)
    core.pass_ms(999)
    assert "q" in core.vhost.queues
    core.pass_ms(1)
    assert "q" not in core.vhost.queues


def test_a_queue_with_a_consumer_is_in_use_and_publishing_is_no_use(core, peer):
    peer.declare("q", expires=1000)
    tag = peer.consume()
    core.pass_ms(5000)
    assert "q" in core.vhost.queues
    peer.call("basic.cancel", consumer_tag=tag)
    core.pass_ms(500)
    peer.publish("q", b"m")
    core.pass_ms(499)
    assert "q" in core.vhost.queues
    core.pass_ms(1)
    assert "q" not in core.vhost.queues


# ── the ledger ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_ledger_counts_each_way_out_once_and_sums_up(core: Core, peer: Peer) -> None:
    peer.declare("q", message_ttl=1000)
    publish_all(peer, *(b"%d" % index for index in range(9)))
    peer.send("basic.ack", delivery_tag=peer.got().tag)
    peer.send("basic.reject", delivery_tag=peer.got().tag)
    peer.send("basic.reject", delivery_tag=peer.got().tag, requeue=True)
    peer.got(no_ack=True)
    tag = peer.consume(no_ack=True)
    peer.call("basic.cancel", consumer_tag=tag)
    publish_all(peer, b"x", b"y", b"z")
    peer.got()
    core.pass_ms(1000)
    peer.publish("q", b"last")
    peer.call("queue.purge", queue="q")
    assert {word: count for word, count in core.queue().counts.items() if count} == {
        "accepted": 13,
        "got": 4,
        "got_no_ack": 1,
        "delivered_no_ack": 6,
        "redelivered": 1,
        "acknowledged": 1,
        "rejected": 1,
        "requeued": 1,
        "expired": 2,
        "purged": 1,
    }
    assert core.queue().unacked_count == 1
