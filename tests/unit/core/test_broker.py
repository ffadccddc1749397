"""The broker: start-up, orderly stop, alarms, totals."""

from __future__ import annotations

import pytest

from broker.core.errors import InvalidPath
from broker.core.message import Message
from broker.core.stored import definitions
from storage.memory_store import MemoryStore


def test_a_new_store_gets_the_default_vhost_and_user(core):
    assert list(core.broker.vhosts) == ["/"]
    assert list(core.broker.access.users) == ["guest"]
    assert core.broker.vhost("/") is core.vhost
    with pytest.raises(InvalidPath):
        core.broker.vhost("other")


def test_a_vhost_takes_what_it_retains_with_it(make_core, core):
    vhost = core.broker.add_vhost("gone")
    vhost.retained.keep(Message(b"amq.topic", b"a", b"\0\0", b"kept"))
    core.vhost.retained.keep(Message(b"amq.topic", b"b", b"\0\0", b"kept"))
    core.commit()
    core.broker.delete_vhost("gone")
    core.broker.add_vhost("gone")
    core.commit()
    restarted = make_core(MemoryStore(state=core.crash()))
    assert core.broker.retained_counts()["cleared"] == 1
    assert len(restarted.broker.vhost("gone").retained) == 0
    assert restarted.broker.retained_counts()["messages"] == 1


def test_vhosts_are_created_once_and_come_back(make_core, core):
    vhost = core.broker.add_vhost("other")
    assert core.broker.add_vhost("other") is vhost
    core.commit()
    again = make_core(MemoryStore(state=core.crash()))
    assert set(again.broker.vhosts) == {"/", "other"}


def backlog(peer, *bodies):
    peer.declare("q", durable=True)
    for body in bodies:
        peer.publish("q", body, delivery_mode=2)


def test_after_a_crash_everything_says_it_may_have_been_delivered(make_core, core, peer):
    backlog(peer, b"1", b"2")
    core.commit()
    again = make_core(MemoryStore(state=core.crash()))
    peer = again.connect()
    assert [(each.body, each.redelivered) for each in (peer.got(), peer.got())] == [(b"1", True), (b"2", True)]


def test_an_orderly_stop_remembers_what_was_delivered(make_core, core, peer):
    backlog(peer, b"1", b"2", b"3")
    peer.got()
    again = make_core(MemoryStore(state=core.stop()))
    peer = again.connect()
    assert [(each.body, each.redelivered) for each in (peer.got(), peer.got())] == [(b"1", True), (b"2", False)]
    once_more = make_core(MemoryStore(state=again.crash()))  # the note of the orderly stop is used once
    assert all(once_more.connect().got().redelivered for _ in range(3))


def test_what_was_not_committed_is_gone_after_a_crash_and_what_was_acknowledged_and_committed_too(
    make_core, core, peer
):
    backlog(peer, b"1", b"2")
    core.commit()
    peer.send("basic.ack", delivery_tag=peer.got().tag)
    core.commit()
    peer.publish("q", b"3", delivery_mode=2)
    again = make_core(MemoryStore(state=core.crash()))
    assert again.connect().drain() == [b"2"]


def test_positions_go_on_after_a_restart(make_core, core, peer):
    backlog(peer, b"1", b"2")
    again = make_core(MemoryStore(state=core.stop()))
    peer = again.connect()
    held = peer.got()
    peer.publish("q", b"3", delivery_mode=2)
    peer.send("basic.nack", delivery_tag=held.tag, requeue=True)
    assert peer.drain() == [b"1", b"2", b"3"]
    assert again.queue().counts["unaccounted"] == 0


def test_totals_keep_the_counts_of_deleted_queues(core, peer):
    backlog(peer, b"1", b"2")
    peer.got(no_ack=True)
    peer.call("queue.delete", queue="q")
    counts = core.broker.deleted_counts
    assert (counts["accepted"], counts["got_no_ack"], counts["purged"]) == (2, 1, 1)
    assert (core.broker.queues_declared, core.broker.queues_deleted) == (1, 1)


# ── alarms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alarm_blocks_who_publishes_and_leaves_others_alone(core, peer):
    consumer = core.connect()
    peer.declare("q")
    peer.publish("q", b"1")
    core.broker.raise_alarm("disk", "the disk is full")
    assert [each.fields for each in peer.take("connection.blocked")] == [{"reason": "the disk is full"}]
    peer.publish("q", b"2")
    assert consumer.drain() == [b"1"]
    assert consumer.take("connection.blocked") == []

    core.broker.clear_alarm("disk")
    assert len(peer.take("connection.unblocked")) == 1
    peer.resume()
    assert consumer.drain() == [b"2"]


def test_publishing_goes_on_only_when_the_last_alarm_is_gone(core, peer):
    peer.declare("q")
    peer.publish("q", b"1")
    core.broker.raise_alarm("disk", "disk")
    core.broker.raise_alarm("memory", "memory")
    assert core.broker.blocked_reason == "disk; memory"
    peer.publish("q", b"2")
    core.broker.clear_alarm("disk")
    peer.resume()
    assert core.queue().ready_count == 1
    core.broker.clear_alarm("memory")
    peer.resume()
    assert core.queue().ready_count == 2
    core.broker.clear_alarm("memory")  # nothing to clear
    assert len(peer.take("connection.unblocked")) == 1


def test_who_publishes_first_during_an_alarm_is_blocked_then(core, peer):
    peer.declare("q")
    core.broker.raise_alarm("memory", "no memory")
    assert peer.take("connection.blocked") == []
    peer.publish("q", b"1")
    assert len(peer.take("connection.blocked")) == 1
    peer.publish("q", b"2")
    core.broker.clear_alarm("memory")
    peer.resume()
    assert core.queue().ready_count == 2


def test_a_client_that_does_not_know_blocked_is_not_told_but_waits_all_the_same(core):
    peer = core.connect(capabilities={"connection.blocked": False})
    peer.declare("q")
    peer.publish("q", b"1")
    core.broker.raise_alarm("disk", "full")
    peer.publish("q", b"2")
    assert peer.take() == []
    assert core.queue().ready_count == 1


# ── answers wait for the disk ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_declaration_that_must_last_is_answered_after_the_commit(core, peer):
    peer.send("queue.declare", queue="q", durable=True)
    assert peer.take() == []
    peer.send("queue.declare", queue="r")  # rests behind it
    assert "r" not in core.vhost.queues
    core.commit()
    assert [each.fields["queue"] for each in peer.take("queue.declare-ok")] == ["q", "r"]


def test_a_declaration_that_changes_nothing_is_answered_at_once(core, peer):
    peer.declare("q", durable=True)
    peer.send("queue.declare", queue="q", durable=True)
    assert len(peer.take("queue.declare-ok")) == 1


def test_a_vhost_is_deleted_in_steps_and_what_comes_meanwhile_goes_too(make_core, core):
    vhost = core.broker.add_vhost("gone")
    core.broker.access.set_permission("gone", "guest", ".*", ".*", ".*")
    for number in range(3):
        exchange = vhost.declare_exchange(f"x{number}", "topic", durable=True)
        vhost.bind(exchange, vhost.declare_queue(f"q{number}", durable=True), "queue", b"#")
    core.commit()

    steps = core.broker.deleting_vhost(vhost)
    next(steps)
    assert not core.broker.access.users["guest"].may_access("gone")
    late = vhost.declare_queue("late", durable=True)
    again = core.broker.deleting_vhost(vhost)
    for work in (again, steps):
        for _ in work:
            pass
    core.commit()

    assert late.deleted
    assert list(core.broker.vhosts) == ["/"]
    assert core.broker.queues_deleted == 4
    restarted = make_core(MemoryStore(state=core.crash()))
    assert list(restarted.broker.vhosts) == ["/"]
    assert not list(definitions(restarted.broker.store, "queue"))
    assert not list(definitions(restarted.broker.store, "binding"))


def test_a_crash_while_a_vhost_is_deleted_leaves_one_that_can_be_deleted(make_core, core):
    vhost = core.broker.add_vhost("gone")
    for number in range(3):
        vhost.declare_queue(f"q{number}", durable=True)
    steps = core.broker.deleting_vhost(vhost)
    next(steps)
    core.commit()

    restarted = make_core(MemoryStore(state=core.crash()))

    assert list(restarted.broker.vhost("gone").queues) == ["q1", "q2"]
    restarted.broker.delete_vhost("gone")
    assert list(restarted.broker.vhosts) == ["/"]


def test_an_exchange_takes_the_bindings_to_it_along(core):
    vhost = core.vhost
    first, gone = vhost.declare_exchange("first", "direct"), vhost.declare_exchange("gone", "direct")
    queue = vhost.declare_queue("q")
    vhost.bind(first, gone, "exchange", b"a")
    vhost.bind(first, queue, "queue", b"b")
    vhost.bind(gone, gone, "exchange", b"round")
    vhost.bind(gone, queue, "queue", b"c")

    vhost.delete_exchange("gone")

    assert [binding.key for binding in vhost.bindings()] == [b"b"]
    assert vhost.binding_count == 1
    assert not queue.bindings - set(first.bindings.values())
