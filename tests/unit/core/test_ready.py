"""The ready list: a long queue leaves memory, and comes back in order."""

from __future__ import annotations

import pytest

from storage.memory_store import MemoryStore

BODY = 1000
MEMORY_MAX = 10 * BODY


@pytest.fixture
def core(make_core):
    return make_core(MemoryStore(segment_bytes_max=20 * BODY), queue_memory_bytes_max=MEMORY_MAX)


def fill(core, peer, count, first=0, **properties):
    """Publish, with a commit now and then."""
    for index in range(first, first + count):
        peer.publish("q", b"%06d" % index + b"." * (BODY - 6), **properties)
        if index % 7 == 6:
            core.commit()


def numbers(bodies):
    return [int(body[:6]) for body in bodies]


@pytest.mark.parametrize("delivery_mode", [1, 2])
@pytest.mark.parametrize("durable", [False, True])
def test_what_exceeds_the_memory_budget_waits_on_disk_and_comes_back_in_order(core, peer, durable, delivery_mode):
    peer.declare("q", durable=durable)
    fill(core, peer, 500, delivery_mode=delivery_mode)
    queue = core.queue()
    assert (queue.ready_count, queue.ready_bytes) == (500, 500 * BODY)
    assert queue.memory_bytes < 100 * BODY  # the front, and one segment that is not complete
    assert numbers(peer.drain()) == list(range(500))
    assert (queue.ready_bytes, queue.memory_bytes) == (0, 0)
    core.commit()
    assert core.store.statistics()["segments"] == 0


def test_what_is_not_yet_on_disk_stays_in_memory(core, peer):
    peer.declare("q", durable=True)
    for index in range(50):
        peer.publish("q", b"%06d" % index + b"." * (BODY - 6))
    assert core.queue().memory_bytes > 50 * BODY
    assert numbers(peer.drain()) == list(range(50))


def test_reading_back_while_writing_keeps_the_order(core, peer):
    peer.declare("q", durable=True)
    taken = []
    for round_ in range(20):
        fill(core, peer, 30, first=30 * round_, delivery_mode=2)
        taken += [peer.got(no_ack=True).body for _ in range(25)]
    taken += peer.drain()
    assert numbers(taken) == list(range(600))
    assert core.queue().counts["unaccounted"] == 0


def test_a_requeued_message_goes_in_front_of_what_is_on_disk(core, peer):
    peer.declare("q", durable=True)
    fill(core, peer, 100, delivery_mode=2)
    held = [peer.got() for _ in range(40)]  # the front is empty, the rest on disk
    for content in held[::-1][::2] + held[::2]:
        peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert numbers(peer.drain()) == list(range(100))


def test_purge_settles_front_runs_and_tail_but_not_what_is_unacked(core, peer):
    peer.declare("q", durable=True)
    fill(core, peer, 100, delivery_mode=2)
    fill(core, peer, 3, first=100, delivery_mode=2)
    held = [peer.got(), peer.got()]
    assert peer.call("queue.purge", queue="q").fields["message_count"] == 101
    core.commit()
    assert core.queue().counts["unaccounted"] == 0
    assert core.queue().memory_bytes == 0
    fill(core, peer, 2, first=200, delivery_mode=2)
    for content in held:
        peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    assert numbers(peer.drain()) == [0, 1, 200, 201]
    core.commit()
    assert core.store.statistics()["segments"] == 0


def test_a_queue_on_disk_can_be_deleted_without_being_read(core, peer):
    peer.declare("q", durable=True)
    fill(core, peer, 100, delivery_mode=2)
    assert peer.call("queue.delete", queue="q").fields["message_count"] == 100
    core.commit()
    assert core.store.statistics()["segments"] == 0


def test_drop_head_drops_from_disk(core, peer):
    peer.declare("q", durable=True, max_length=30)
    fill(core, peer, 100, delivery_mode=2)
    assert core.queue().counts["dropped_maxlen"] == 70
    assert numbers(peer.drain()) == list(range(70, 100))


def test_messages_on_disk_expire(core, peer):
    peer.declare("q", durable=True, message_ttl=1000)
    fill(core, peer, 100, delivery_mode=2)
    core.pass_ms(1000)
    assert (core.queue().ready_count, core.queue().counts["expired"]) == (0, 100)


def test_two_long_queues_share_segments_without_mixing(core, peer):
    peer.declare("q", durable=True)
    peer.declare("r", durable=True)
    peer.bind("amq.fanout")
    peer.bind("amq.fanout", name="r")
    for index in range(100):
        peer.publish("", b"%06d" % index + b"." * (BODY - 6), exchange="amq.fanout", delivery_mode=2)
        if index % 7 == 6:
            core.commit()
    assert numbers(peer.drain("q")) == list(range(100))
    assert peer.call("queue.purge", queue="r").fields["message_count"] == 100
    core.commit()
    assert core.store.statistics()["segments"] == 0


def test_a_long_queue_is_restored_without_its_bodies_and_drains_in_order(make_core, core, peer):
    peer.declare("q", durable=True)
    fill(core, peer, 200, delivery_mode=2)
    core.commit()
    again = make_core(MemoryStore(state=core.crash()), queue_memory_bytes_max=MEMORY_MAX)
    assert (again.restored.queues, again.restored.messages) == (1, 200)
    assert again.queue().ready_bytes == 200 * BODY
    bodies = again.connect().drain()
    assert numbers(bodies) == list(range(200))
    assert again.queue().counts["unaccounted"] == 0


def test_a_transient_message_of_a_paging_queue_is_gone_after_a_restart(make_core, core, peer):
    peer.declare("q", durable=True)
    for index in range(60):
        fill(core, peer, 1, first=index, delivery_mode=1 + index % 2)
        core.commit()
    again = make_core(MemoryStore(state=core.crash()))
    assert numbers(again.connect().drain()) == list(range(1, 60, 2))


def test_priorities_page_each_for_itself(core, peer):
    peer.declare("q", durable=True, max_priority=1)
    for index in range(100):
        fill(core, peer, 1, first=index, delivery_mode=2, priority=index % 2)
        core.commit()
    assert numbers(peer.drain()) == [*range(1, 100, 2), *range(0, 100, 2)]


def test_a_consumer_drains_a_long_queue_in_order(core, peer):
    peer.declare("q", durable=True)
    fill(core, peer, 150, delivery_mode=2)
    peer.call("basic.qos", prefetch_count=10)
    peer.consume()
    seen = []
    while contents := peer.deliveries():
        seen += [content.body for content in contents]
        peer.send("basic.ack", delivery_tag=contents[-1].tag, multiple=True)
    assert numbers(seen) == list(range(150))
