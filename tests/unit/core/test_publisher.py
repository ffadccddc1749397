"""Acceptance: a publisher is told yes only when the store has it, in order, with as few words as possible (law 1)."""

from __future__ import annotations

import pytest


@pytest.fixture
def publisher(peer):
    peer.declare("durable", durable=True)
    peer.declare("transient")
    peer.declare("full", max_length=0, overflow="reject-publish")
    peer.call("confirm.select")
    return peer


def persistent(peer, count=1):
    for _ in range(count):
        peer.publish("durable", b"m", delivery_mode=2)


def test_nobody_hears_yes_before_the_commit(core, publisher):
    persistent(publisher)
    assert publisher.confirms() == []
    core.commit()
    assert publisher.confirms() == [("ack", 1, False)]


def test_one_commit_is_one_confirm_however_many_messages_it_carries(core, publisher):
    persistent(publisher, 100)
    core.commit()
    assert publisher.confirms() == [("ack", 100, True)]


def test_what_need_not_last_is_confirmed_at_the_end_of_its_read(core, publisher):
    from tests.support.peer import publication

    publisher.feed(publication("transient") * 3)
    assert publisher.confirms() == [("ack", 3, True)]


def test_what_follows_a_message_that_waits_waits_too(core, publisher):
    persistent(publisher)
    publisher.publish("transient")
    publisher.publish("nowhere")
    assert publisher.confirms() == []
    core.commit()
    assert publisher.confirms() == [("ack", 3, True)]


def test_what_came_before_a_message_that_waits_does_not_wait(core, publisher):
    publisher.publish("transient")
    persistent(publisher)
    assert publisher.confirms() == [("ack", 1, False)]
    core.commit()
    assert publisher.confirms() == [("ack", 2, False)]


def test_an_unroutable_message_is_confirmed(publisher):
    publisher.publish("nowhere")
    assert publisher.confirms() == [("ack", 1, False)]


def test_a_mandatory_message_is_returned_before_it_is_confirmed(publisher):
    publisher.publish("nowhere", b"m", mandatory=True)
    assert [each.name for each in publisher.take()] == ["basic.return", "basic.ack"]


def test_a_refused_message_is_refused_at_once(core, publisher):
    publisher.publish("full")
    assert publisher.confirms() == [("nack", 1, False)]


def test_a_refusal_among_others_is_told_once_and_alone(core, publisher):
    publisher.publish("transient")
    publisher.publish("full")
    publisher.publish("transient")
    publisher.publish("full")
    confirms = publisher.confirms()
    assert [each for each in confirms if each[0] == "nack"] == [("nack", 2, False), ("nack", 4, False)]
    assert [each for each in confirms if each[0] == "ack"] == [("ack", 1, False), ("ack", 3, False)]


def test_a_refusal_does_not_confirm_what_still_waits(core, publisher):
    persistent(publisher)
    publisher.publish("full")
    persistent(publisher)
    assert publisher.confirms() == [("nack", 2, False)]
    core.commit()
    assert publisher.confirms() == [("ack", 3, True)]


def test_a_fanout_with_one_refusal_is_refused_though_others_took_it(core, publisher):
    for name in ("durable", "full"):
        publisher.bind("amq.fanout", name=name)
    publisher.publish("", b"m", exchange="amq.fanout", delivery_mode=2)
    assert publisher.confirms() == [("nack", 1, False)]
    assert core.queue("durable").ready_count == 1
    core.commit()
    assert publisher.confirms() == []


def test_each_batch_confirms_its_own(core, publisher):
    for count in (2, 3, 4):
        persistent(publisher, count)
        core.commit()
    assert publisher.confirms() == [("ack", 2, True), ("ack", 5, True), ("ack", 9, True)]


def test_while_one_batch_is_written_the_next_fills_and_neither_is_confirmed_early(core, publisher):
    persistent(publisher, 2)
    assert core.store.seal()
    persistent(publisher, 3)
    assert publisher.confirms() == []
    core.store.collect()
    publisher.read()
    assert publisher.confirms() == [("ack", 2, True)]
    core.commit()
    assert publisher.confirms() == [("ack", 5, True)]


def test_two_channels_are_told_apart(core, publisher):
    publisher.call("channel.open", 2)
    publisher.call("confirm.select", 2)
    persistent(publisher, 2)
    publisher.publish("durable", b"m", channel=2, delivery_mode=2)
    core.commit()
    told = [(each.channel, each.fields["delivery_tag"]) for each in publisher.take("basic.ack")]
    assert sorted(told) == [(1, 2), (2, 1)]


def test_a_channel_that_is_gone_is_not_told(core, publisher):
    persistent(publisher)
    publisher.call("channel.close")
    core.commit()
    assert publisher.take() == []


def test_a_message_that_was_consumed_and_acknowledged_before_the_commit_is_confirmed_without_one(core, publisher):
    publisher.consume("durable")
    persistent(publisher)
    content = publisher.deliveries()[0]
    publisher.send("basic.ack", delivery_tag=content.tag)
    core.commit()
    assert publisher.confirms() == [("ack", 1, False)]
    assert core.store.statistics()["slots_written"] == 0


def test_publishing_without_confirms_is_not_numbered(core, peer):
    peer.declare("durable", durable=True)
    persistent(peer)
    assert peer.connection.channels[1].published == 0
    core.commit()
    assert peer.take() == []


def test_numbers_begin_with_confirm_select(core, peer):
    peer.declare("transient")
    peer.publish("transient")
    peer.call("confirm.select")
    peer.publish("transient")
    assert peer.confirms() == [("ack", 1, False)]
