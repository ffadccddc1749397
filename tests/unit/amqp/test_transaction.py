"""tx.select: nothing happens before the commit, and then all of it (AMQP 0-9-1 §1.9)."""

from __future__ import annotations

import pytest

from storage.memory_store import MemoryStore


@pytest.fixture
def tx(peer):
    """A client in transaction mode, and a durable queue with two messages."""
    peer.declare("q", durable=True)
    for body in (b"1", b"2"):
        peer.publish("q", body, delivery_mode=2)
    assert peer.call("tx.select").name == "tx.select-ok"
    return peer


def test_publishes_and_acks_wait_for_the_commit(core, tx):
    held = tx.got()
    tx.publish("q", b"3", delivery_mode=2)
    tx.send("basic.ack", delivery_tag=held.tag)
    assert (core.queue().ready_count, core.queue().unacked_count) == (1, 1)
    assert tx.call("tx.commit").name == "tx.commit-ok"
    assert (core.queue().ready_count, core.queue().unacked_count) == (2, 0)


def test_commit_ok_follows_the_disk(core, tx):
    tx.publish("q", b"3", delivery_mode=2)
    tx.send("tx.commit")
    assert tx.take() == []
    core.commit()
    assert [each.name for each in tx.take()] == ["tx.commit-ok"]


def test_a_crash_leaves_all_of_a_transaction_or_nothing(make_core, core, tx):
    core.commit()
    held = tx.got()
    for body in (b"3", b"4"):
        tx.publish("q", body, delivery_mode=2)
    tx.send("basic.ack", delivery_tag=held.tag)
    tx.send("tx.commit")
    again = make_core(MemoryStore(state=core.crash()))  # before the commit of the store
    assert again.connect().drain() == [b"1", b"2"]


def test_rollback_forgets_publishes_and_leaves_deliveries_unacked(core, tx):
    held = tx.got()
    tx.publish("q", b"3")
    tx.send("basic.ack", delivery_tag=held.tag)
    assert tx.call("tx.rollback").name == "tx.rollback-ok"
    tx.call("tx.commit")
    assert (core.queue().ready_count, core.queue().unacked_count) == (1, 1)
    tx.send("basic.reject", delivery_tag=held.tag, requeue=True)
    tx.call("tx.commit")
    assert tx.drain() == [b"1", b"2"]


def test_a_transaction_begins_after_each_commit(core, tx):
    for number in range(3):
        tx.publish("q", b"x")
        assert core.queue().ready_count == 2 + number
        tx.call("tx.commit")
        assert core.queue().ready_count == 3 + number


def test_a_mandatory_message_is_returned_at_the_commit(tx):
    tx.publish("nowhere", b"m", mandatory=True)
    assert tx.take() == []
    tx.call("tx.commit")
    assert [each.body for each in tx.take("basic.return")] == [b"m"]


def test_nack_and_multiple_in_a_transaction(core, tx):
    last = [tx.got(), tx.got()][-1]
    tx.send("basic.nack", delivery_tag=last.tag, multiple=True, requeue=True)
    assert core.queue().unacked_count == 2
    tx.call("tx.commit")
    assert core.queue().ready_count == 2


def test_an_unknown_delivery_tag_closes_the_channel(tx):
    tx.send("basic.ack", delivery_tag=99)
    tx.send("tx.commit")
    tx.core.commit()
    assert tx.closed_with() == 406


def test_what_could_not_be_settled_is_refused_before_anything_of_the_transaction_is_done(core, tx):
    held = tx.got()
    tx.publish("q", b"3")
    tx.send("basic.ack", delivery_tag=held.tag)
    tx.send("basic.ack", delivery_tag=held.tag)
    assert tx.closed_with() == 406
    assert core.queue().ready_count == 2, "neither the publish nor the acknowledgement stands"


def test_closing_the_channel_rolls_back(core, tx):
    held = tx.got()
    tx.publish("q", b"3")
    tx.send("basic.ack", delivery_tag=held.tag)
    tx.call("channel.close")
    assert (core.queue().ready_count, core.queue().unacked_count) == (2, 0)


@pytest.mark.parametrize("limits", [{"transaction_operations_max": 3}, {"transaction_bytes_max": 350}])
def test_a_transaction_holds_back_so_much_and_no_more(make_core, limits):
    core = make_core(**limits)
    peer = core.connect()
    peer.declare("q")
    peer.call("tx.select")
    for _ in range(3):
        peer.publish("q", b"x" * 30)
    assert peer.take() == []
    peer.publish("q", b"x" * 30)
    assert peer.closed_with() == 406
    assert core.queue().ready_count == 0


@pytest.mark.parametrize("name", ["tx.commit", "tx.rollback"])
def test_without_tx_select_there_is_no_transaction(peer, name):
    peer.send(name)
    assert peer.closed_with() == 406


@pytest.mark.parametrize(("first", "second"), [("tx.select", "confirm.select"), ("confirm.select", "tx.select")])
def test_a_channel_is_transactional_or_confirms_never_both(peer, first, second):
    peer.call(first)
    peer.send(second)
    assert peer.closed_with() == 406
