"""Messages that expire: at the head, on time, whoever was there before them."""

from __future__ import annotations

from broker.core.clock import ManualClock
from storage.memory_store import MemoryStore


def declare(peer, **arguments):
    peer.declare("dead")
    peer.declare("q", durable=True, dead_letter_exchange="", dead_letter_routing_key="dead", **arguments)


def test_a_message_expires_at_its_time_though_nobody_touches_the_queue(core, peer):
    declare(peer)
    peer.publish("q", b"m", expiration="100")
    core.pass_ms(99)
    assert core.queue("dead").ready_count == 0
    core.pass_ms(1)
    content = peer.got("dead")
    assert content.body == b"m"
    assert "expiration" not in content.properties
    assert content.properties["headers"]["x-death"][0]["original-expiration"] == "100"


def test_the_nearer_of_the_queues_and_the_messages_own_time_counts(core, peer):
    declare(peer, message_ttl=50)
    peer.publish("q", b"1", expiration="100")
    core.pass_ms(49)
    assert core.queue().ready_count == 1
    core.pass_ms(1)
    assert core.queue().ready_count == 0
    peer.publish("q", b"2", expiration="10")
    core.pass_ms(10)
    assert peer.drain("dead") == [b"1", b"2"]


def test_a_message_waits_behind_one_that_lives_longer(core, peer):
    declare(peer)
    peer.publish("q", b"long", expiration="1000")
    peer.publish("q", b"short", expiration="10")
    core.pass_ms(500)
    assert core.queue().ready_count == 2
    core.pass_ms(500)
    assert peer.drain("dead") == [b"long", b"short"]


def test_a_time_to_live_of_zero_delivers_at_once_or_never(core, peer):
    declare(peer)
    peer.publish("q", b"nobody", expiration="0")
    assert peer.drain("dead") == [b"nobody"]
    peer.consume(no_ack=True)
    peer.publish("q", b"somebody", expiration="0")
    assert peer.bodies() == [b"somebody"]


# The head that the timer was set for may be gone when it fires, or another may have come in front of it.


def test_the_next_head_expires_on_time_when_the_one_before_it_was_got(core, peer):
    declare(peer)
    peer.publish("q", b"long", expiration="10000")
    peer.publish("q", b"short", expiration="100")
    peer.got()
    core.pass_ms(100)
    assert peer.drain("dead") == [b"short"]


def test_the_next_head_expires_on_time_when_the_one_before_it_was_delivered(core, peer):
    declare(peer)
    peer.publish("q", b"long", expiration="10000")
    peer.publish("q", b"short", expiration="100")
    peer.call("basic.qos", prefetch_count=1)
    peer.consume()
    assert peer.bodies() == [b"long"]
    core.pass_ms(100)
    assert peer.drain("dead") == [b"short"]


def test_the_next_head_expires_on_time_when_the_one_before_it_overflowed(core, peer):
    declare(peer, max_length=2)
    peer.publish("q", b"long", expiration="10000")
    peer.publish("q", b"short", expiration="100")
    peer.publish("q", b"endless")
    core.pass_ms(100)
    assert peer.drain("dead") == [b"long", b"short"]


def test_a_requeued_message_expires_on_time_in_front_of_one_that_lives_longer(core, peer):
    declare(peer)
    tag = peer.consume()
    peer.publish("q", b"short", expiration="100")  # delivered at once: nobody watched it
    content = peer.deliveries()[0]
    peer.call("basic.cancel", consumer_tag=tag)
    peer.publish("q", b"long", expiration="10000")
    peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    core.pass_ms(100)
    assert peer.drain("dead") == [b"short"]


def test_each_priority_expires_on_its_own_time(core, peer):
    declare(peer, max_priority=2)
    peer.publish("q", b"low", priority=0, expiration="1000")
    peer.publish("q", b"high", priority=2, expiration="100")
    core.pass_ms(100)
    assert peer.drain("dead") == [b"high"]
    core.pass_ms(900)
    assert peer.drain("dead") == [b"low"]


def test_messages_expire_after_a_restart_as_before(make_core):
    core = make_core()
    peer = core.connect()
    peer.declare("q", durable=True)
    peer.publish("q", b"m", delivery_mode=2, expiration="1000")
    core.commit()
    again = make_core(MemoryStore(state=core.crash()), ManualClock(core.clock.now_ms + 400))
    again.pass_ms(599)
    assert again.queue().ready_count == 1
    again.pass_ms(1)
    assert again.queue().ready_count == 0
    assert again.queue().counts["expired"] == 1


def test_a_queue_keeps_at_most_two_timers_however_many_messages_expire(core, peer):
    declare(peer)
    before = core.clock.pending_count
    for index in range(1000):
        peer.publish("q", b"", expiration=str(100_000 - index))
    for _ in range(500):
        peer.got()
    assert core.clock.pending_count <= before + 70  # cancelled ones are thrown out once they prevail
    core.pass_ms(100_000)
    assert core.queue().counts["expired"] == 500
