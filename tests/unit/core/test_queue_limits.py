"""What a full queue does, and what goes first: limits and priorities."""

from __future__ import annotations

from storage.memory_store import MemoryStore


def publish_all(peer, *bodies):
    for body in bodies:
        peer.publish("q", body)


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_drop_head_lets_the_oldest_give_way(core, peer):
    peer.declare("q", max_length=2)
    publish_all(peer, b"1", b"2", b"3")
    assert core.queue().counts["dropped_maxlen"] == 1
    assert peer.drain() == [b"2", b"3"]


def test_a_limit_in_bytes_counts_bodies_of_ready_messages(core, peer):
    peer.declare("q", max_length_bytes=10)
    publish_all(peer, b"1" * 4, b"2" * 4)
    peer.got()  # unacked bytes do not count
    publish_all(peer, b"3" * 6, b"4" * 5)
    assert peer.drain() == [b"4" * 5]


def test_requeueing_into_a_full_queue_drops_the_head(core, peer):
    peer.declare("q", max_length=1)
    peer.publish("q", b"1")
    content = peer.got()
    peer.publish("q", b"2")
    peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert peer.drain() == [b"2"]


def test_reject_publish_dlx_refuses_and_dead_letters(core, peer):
    peer.declare("dead")
    arguments = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    peer.declare("q", max_length=1, overflow="reject-publish-dlx", **arguments)
    peer.call("confirm.select")
    publish_all(peer, b"1", b"2")
    assert peer.confirms() == [("ack", 1, False), ("nack", 2, False)]
    assert peer.drain("dead") == [b"2"]


def test_drop_tail_drops_the_newest_and_tells_its_publisher_yes(core, peer):
    peer.declare("dead")
    peer.declare("q", max_length=1, overflow="drop-tail", dead_letter_exchange="", dead_letter_routing_key="dead")
    peer.call("confirm.select")
    publish_all(peer, b"1", b"2")
    assert peer.confirms() == [("ack", 1, False), ("ack", 2, False)]
    counts = core.queue().counts
    assert (counts["accepted"], counts["dropped_tail"], counts["unaccounted"]) == (2, 1, 0)
    assert peer.drain() == [b"1"]
    assert peer.drain("dead") == [b"2"]


def test_transient_messages_may_be_dropped_while_nobody_has_credit(core, peer):
    peer.declare("q")
    queue = core.queue()
    queue.drops_transient_offline = True
    queue.change(queue.settings)
    for channel in (2, 3):
        peer.call("channel.open", channel)
        peer.call("basic.qos", channel, prefetch_count=2)
        peer.consume("q", f"c{channel}", channel=channel)
    for number in range(6):
        peer.publish("q", b"%d" % number)

    got = [(content.fields["consumer_tag"], content.body) for content in peer.deliveries()]

    assert got == [("c2", b"0"), ("c3", b"1"), ("c2", b"2"), ("c3", b"3")]  # asking uses up nobody's turn
    assert (queue.counts["dropped_offline"], queue.ready_count, queue.counts["unaccounted"]) == (2, 0, 0)


def test_transient_messages_do_not_wait_where_nobody_is_there(core, peer):
    peer.declare("q", durable=True)
    queue = core.queue()
    queue.drops_transient_offline = True
    queue.change(queue.settings)
    peer.publish("q", b"transient")
    peer.publish("q", b"persistent", delivery_mode=2)
    counts = queue.counts
    assert (counts["accepted"], counts["dropped_offline"], counts["unaccounted"]) == (2, 1, 0)
    peer.consume("q", no_ack=True)
    peer.publish("q", b"somebody is there")
    assert peer.bodies() == [b"persistent", b"somebody is there"]


def test_a_chain_of_full_queues_dead_letters_without_exhausting_the_stack(core, peer):
    for index in range(300):
        arguments = {"dead_letter_exchange": "", "dead_letter_routing_key": f"q{index + 1}"}
        peer.declare(f"q{index}", max_length=0, **arguments)
    peer.declare("q300")
    peer.publish("q0", b"m")
    content = peer.got("q300")
    assert content.body == b"m"
    assert len(content.properties["headers"]["x-death"]) == 300


def test_two_full_queues_that_dead_letter_into_each_other_come_to_an_end(core, peer):
    peer.declare("a", max_length=0, dead_letter_exchange="", dead_letter_routing_key="b")
    peer.declare("b", max_length=0, dead_letter_exchange="", dead_letter_routing_key="a")
    peer.publish("a", b"m")
    assert [core.queue(name).ready_count for name in "ab"] == [0, 0]
    assert [core.queue(name).counts["unaccounted"] for name in "ab"] == [0, 0]


# ── priorities ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_higher_priority_is_delivered_first_and_equals_in_order(peer):
    peer.declare("q", max_priority=5)
    for body, priority in ((b"1", 0), (b"2", 3), (b"3", 9), (b"4", 5), (b"5", 3), (b"6", 0)):
        peer.publish("q", body, priority=priority)  # above the maximum counts as the maximum
    assert peer.drain() == [b"3", b"4", b"2", b"5", b"1", b"6"]


def test_a_requeued_message_returns_to_its_priority(peer):
    peer.declare("q", max_priority=2)
    peer.publish("q", b"low")
    peer.publish("q", b"high", priority=2)
    content = peer.got()
    peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert peer.drain() == [b"high", b"low"]


def test_priorities_survive_a_restart(make_core):
    core = make_core()
    peer = core.connect()
    peer.declare("q", durable=True, max_priority=2)
    for body, priority in ((b"1", 0), (b"2", 2), (b"3", 1), (b"4", 2)):
        peer.publish("q", body, priority=priority, delivery_mode=2)
    core.commit()
    again = make_core(MemoryStore(state=core.crash()))
    assert again.connect().drain() == [b"2", b"4", b"3", b"1"]
