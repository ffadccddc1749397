"""basic.consume, get, qos, ack, reject, nack, recover, cancel, and what RabbitMQ adds to them."""

from __future__ import annotations

from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import (
    Inbox,
    Scratch,
    bodies,
    closes_channel,
    closes_connection,
    depth,
    get_soon,
    pump,
    settle_down,
    wait_depth,
)
from tests.support.server import Server


def publish(channel: BlockingChannel, queue: str, count: int) -> list[bytes]:
    """`count` messages, 0, 1, 2…"""
    sent = [str(number).encode() for number in range(count)]
    for body in sent:
        channel.basic_publish("", queue, body)
    return sent


# ---- get


def test_get_tells_how_many_remain(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.11 message-count."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    counts = [channel.basic_get(queue, auto_ack=True)[0].message_count for _ in range(3)]
    assert counts == [2, 1, 0]


def test_get_of_an_empty_queue_is_get_empty(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.12."""
    assert channel.basic_get(scratch.queue(channel)) == (None, None, None)


def test_get_of_an_absent_queue_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.10."""
    with closes_channel(channel, 404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.basic_get("absent")


def test_get_is_not_limited_by_prefetch(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.3: prefetch is for consumers."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    channel.basic_qos(prefetch_count=1)
    assert [channel.basic_get(queue)[2] for _ in range(3)] == [b"0", b"1", b"2"]


def test_auto_ack_forgets_at_once(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.10 no-ack: there is no delivery tag to acknowledge any more."""
    queue = scratch.queue(channel)
    publish(channel, queue, 1)
    method, _, _ = channel.basic_get(queue, auto_ack=True)
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - unknown delivery tag {method.delivery_tag}"):
        channel.basic_ack(method.delivery_tag)


# ---- consume and cancel


def test_consume_delivers_what_is_there_and_what_comes(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.3."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"before")
    inbox = Inbox(channel, queue, auto_ack=True)
    channel.basic_publish("", queue, b"after")
    inbox.wait(2)
    assert inbox.bodies == [b"before", b"after"]


def test_delivery_tags_count_per_channel(channel: BlockingChannel, connection: BlockingConnection, scratch: Scratch) -> None:
    """AMQP 0-9-1 §2.3.7: from 1, over all consumers and gets of a channel."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    assert channel.basic_get(queue)[0].delivery_tag == 1
    assert connection.channel().basic_get(queue)[0].delivery_tag == 1
    assert Inbox(channel, queue).wait(1)[0].method.delivery_tag == 2


def test_a_consumer_tag_is_made_up_when_none_is_given(raw_open: RawConnection) -> None:
    """RabbitMQ: amq.ctag-…"""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    tags = {raw_open.rpc("basic.consume", queue=queue).fields["consumer_tag"] for _ in range(3)}
    assert len(tags) == 3
    assert all(tag.startswith("amq.ctag-") for tag in tags)


def test_a_consumer_tag_used_twice_on_a_channel_is_530(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.8.3.3; RabbitMQ closes the connection."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, consumer_tag="mine")
    raw_open.send("basic.consume", queue=queue, consumer_tag="mine")
    close = raw_open.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["reply_text"]) == (
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'mine'",
    )


def test_a_consumer_tag_is_free_again_after_cancel_and_on_other_channels(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.8.3.3: local to a channel."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, consumer_tag="mine")
    raw_open.open_channel(2)
    raw_open.rpc("basic.consume", 2, queue=queue, consumer_tag="mine")
    raw_open.rpc("basic.cancel", consumer_tag="mine")
    raw_open.rpc("basic.consume", queue=queue, consumer_tag="mine")


def test_consuming_an_absent_queue_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.3."""
    with closes_channel(channel, 404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.basic_consume("absent", lambda *_: None)


def test_after_cancel_ok_nothing_is_delivered(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.5."""
    queue = scratch.queue(channel)
    inbox = Inbox(channel, queue, auto_ack=True)
    channel.basic_cancel(inbox.consumer_tag)
    publish(channel, queue, 1)
    settle_down(channel)
    assert inbox.bodies == []
    assert depth(channel, queue) == 1


def test_cancel_leaves_delivered_messages_to_be_acknowledged(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.8.3.5: already delivered messages are not affected."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, consumer_tag="c")
    raw_open.publish("", queue, b"m")
    tag = raw_open.expect("basic.deliver").fields["delivery_tag"]
    raw_open.rpc("basic.cancel", consumer_tag="c")
    raw_open.rpc("basic.qos")
    assert raw_open.rpc("queue.declare", queue=queue, passive=True).fields["message_count"] == 0
    raw_open.send("basic.ack", delivery_tag=tag)
    raw_open.rpc("basic.qos")


def test_cancelling_an_unknown_consumer_is_fine(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.8.3.5.1: a client may cancel twice."""
    assert raw_open.rpc("basic.cancel", consumer_tag="never").fields == {"consumer_tag": "never"}


def test_deleting_a_queue_cancels_its_consumers(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: consumer cancel notification."""
    queue = scratch.queue(channel)
    cancelled: list[str] = []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    inbox = Inbox(channel, queue)
    scratch.connect().channel().queue_delete(queue)
    pump(channel, lambda: cancelled)
    assert cancelled == [inbox.consumer_tag]


def test_clients_without_the_capability_are_not_told_of_a_cancelled_consumer(raw: RawConnection) -> None:
    """RabbitMQ: only to those who announced consumer_cancel_notify."""
    raw.open(capabilities={}).open_channel()
    queue = raw.rpc("queue.declare", exclusive=True).fields["queue"]
    raw.rpc("basic.consume", queue=queue)
    raw.rpc("queue.delete", queue=queue)
    raw.rpc("basic.qos")  # its answer is the next thing that is heard


def test_consumers_of_a_queue_take_turns(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: round robin among equal consumers with credit."""
    queue = scratch.queue(channel)
    inboxes = [Inbox(channel, queue, auto_ack=True) for _ in range(3)]
    publish(channel, queue, 9)
    pump(channel, lambda: sum(len(inbox.deliveries) for inbox in inboxes) == 9)
    assert [len(inbox.deliveries) for inbox in inboxes] == [3, 3, 3]


# ---- qos


def test_prefetch_limits_unacknowledged_messages_per_consumer(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: basic.qos global=false is for each new consumer."""
    queue = scratch.queue(channel)
    publish(channel, queue, 10)
    channel.basic_qos(prefetch_count=3)
    first = Inbox(channel, queue)
    second = Inbox(channel, queue)
    first.wait(3)
    second.wait(3)
    first.stays_at(3)
    second.stays_at(3)


def test_each_ack_makes_room_for_one(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.1."""
    queue = scratch.queue(channel)
    publish(channel, queue, 5)
    channel.basic_qos(prefetch_count=2)
    inbox = Inbox(channel, queue)
    inbox.stays_at(2)
    channel.basic_ack(inbox.deliveries[0].method.delivery_tag)
    inbox.stays_at(3)
    channel.basic_ack(inbox.deliveries[2].method.delivery_tag, multiple=True)
    inbox.stays_at(5)


def test_qos_does_not_change_consumers_that_are_there(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: "applied separately to each new consumer on the channel"."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue)
    channel.basic_qos(prefetch_count=5)
    publish(channel, queue, 5)
    inbox.stays_at(1)


def test_global_prefetch_is_shared_by_the_consumers_of_a_channel(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: global=true is per channel."""
    queue = scratch.queue(channel)
    publish(channel, queue, 10)
    channel.basic_qos(prefetch_count=4, global_qos=True)
    inboxes = [Inbox(channel, queue) for _ in range(2)]
    pump(channel, lambda: sum(len(inbox.deliveries) for inbox in inboxes) == 4)
    settle_down(channel)
    assert sum(len(inbox.deliveries) for inbox in inboxes) == 4


def test_global_prefetch_counts_for_consumers_that_are_there(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: Celery lowers and raises it while it consumes."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=1, global_qos=True)
    inbox = Inbox(channel, queue)
    publish(channel, queue, 5)
    inbox.stays_at(1)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    inbox.stays_at(3)
    channel.basic_qos(prefetch_count=0, global_qos=True)
    inbox.stays_at(5)


def test_both_prefetch_limits_hold_together(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: per consumer and per channel at once."""
    queue = scratch.queue(channel)
    publish(channel, queue, 10)
    channel.basic_qos(prefetch_count=2)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    inboxes = [Inbox(channel, queue) for _ in range(2)]
    pump(channel, lambda: sum(len(inbox.deliveries) for inbox in inboxes) == 3)
    settle_down(channel)
    counts = [len(inbox.deliveries) for inbox in inboxes]
    assert sum(counts) == 3
    assert max(counts) == 2


def test_prefetch_0_is_no_limit(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.1."""
    queue = scratch.queue(channel)
    publish(channel, queue, 500)
    channel.basic_qos(prefetch_count=0)
    Inbox(channel, queue).wait(500)


def test_prefetch_does_not_bind_auto_ack_consumers(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.1: "the prefetch-count is ignored if the no-ack option is set"."""
    queue = scratch.queue(channel)
    publish(channel, queue, 20)
    channel.basic_qos(prefetch_count=1)
    Inbox(channel, queue, auto_ack=True).wait(20)


def test_prefetch_size_is_540(channel: BlockingChannel) -> None:
    """RabbitMQ: not implemented; a connection error."""
    with closes_connection(channel, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)"):
        channel.basic_qos(prefetch_size=10)


def test_a_slow_consumer_does_not_hold_up_the_others(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: who has no credit is passed over."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=1)
    slow = Inbox(channel, queue)
    quick = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, 20)
    quick.wait(19)
    assert len(slow.deliveries) == 1


# ---- ack, reject, nack


def test_ack_multiple_acknowledges_all_up_to_the_tag(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.13."""
    queue = scratch.queue(channel)
    publish(channel, queue, 5)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(5)]
    channel.basic_ack(tags[2], multiple=True)
    channel.basic_recover(requeue=True)
    wait_depth(channel, queue, 2)
    assert bodies(channel, queue) == [b"3", b"4"]


def test_ack_0_multiple_acknowledges_everything(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.13.2; and it is no error when there is nothing."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    for _ in range(3):
        channel.basic_get(queue)
    channel.basic_ack(0, multiple=True)
    channel.basic_ack(0, multiple=True)
    channel.basic_recover(requeue=True)
    settle_down(channel)
    assert depth(channel, queue) == 0


def test_acks_in_any_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.13: singly, each tag once."""
    queue = scratch.queue(channel)
    publish(channel, queue, 50)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(50)]
    for tag in sorted(tags, key=lambda tag: tag * 37 % 50):
        channel.basic_ack(tag)
    channel.basic_recover(requeue=True)
    settle_down(channel)
    assert depth(channel, queue) == 0


@pytest.mark.parametrize(
    "settle",
    [
        lambda channel: channel.basic_ack(99),
        lambda channel: channel.basic_ack(99, multiple=True),
        lambda channel: channel.basic_nack(99),
        lambda channel: channel.basic_nack(99, multiple=True),
        lambda channel: channel.basic_reject(99),
    ],
    ids=["ack", "ack-multiple", "nack", "nack-multiple", "reject"],
)
def test_an_unknown_delivery_tag_is_406(channel: BlockingChannel, settle: Any) -> None:
    """AMQP 0-9-1 §1.8.3.13.1."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - unknown delivery tag 99"):
        settle(channel)


def test_acknowledging_twice_is_406(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.13.1."""
    queue = scratch.queue(channel)
    publish(channel, queue, 1)
    tag = channel.basic_get(queue)[0].delivery_tag
    channel.basic_ack(tag)
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        channel.basic_ack(tag)


def test_ack_0_without_multiple_is_406(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.13: no delivery has tag 0."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - unknown delivery tag 0"):
        channel.basic_ack(0)


def test_a_tag_of_another_channel_is_unknown(
    channel: BlockingChannel, connection: BlockingConnection, scratch: Scratch
) -> None:
    """AMQP 0-9-1 §2.3.7: tags are per channel."""
    queue = scratch.queue(channel)
    publish(channel, queue, 1)
    tag = channel.basic_get(queue)[0].delivery_tag
    other = connection.channel()
    with closes_channel(other, 406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        other.basic_ack(tag)


def test_acknowledging_after_the_queue_is_gone_is_fine(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the tag was real."""
    queue = scratch.queue(channel)
    publish(channel, queue, 1)
    tag = channel.basic_get(queue)[0].delivery_tag
    channel.queue_delete(queue)
    channel.basic_ack(tag)
    channel.basic_qos()


@pytest.mark.parametrize("settle", ["reject", "nack"])
def test_requeued_messages_come_back_in_their_place(channel: BlockingChannel, scratch: Scratch, settle: str) -> None:
    """RabbitMQ: requeued to the original position if possible; and marked redelivered."""
    queue = scratch.queue(channel)
    publish(channel, queue, 4)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(2)]
    for tag in reversed(tags):
        getattr(channel, f"basic_{settle}")(tag, requeue=True)
    wait_depth(channel, queue, 4)
    found = [get_soon(channel, queue) for _ in range(4)]
    assert [delivery.body for delivery in found] == [b"0", b"1", b"2", b"3"]
    assert [delivery.method.redelivered for delivery in found] == [True, True, False, False]


def test_nack_multiple_requeues_all_in_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: basic.nack."""
    queue = scratch.queue(channel)
    publish(channel, queue, 5)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(4)]
    channel.basic_nack(tags[2], multiple=True, requeue=True)
    wait_depth(channel, queue, 4)
    assert bodies(channel, queue) == [b"0", b"1", b"2", b"4"]


def test_rejected_without_requeue_and_without_dlx_is_gone(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.14."""
    queue = scratch.queue(channel)
    publish(channel, queue, 2)
    channel.basic_reject(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    channel.basic_recover(requeue=True)
    assert bodies(channel, queue) == [b"1"]


def test_a_rejected_message_may_go_to_the_same_consumer_again(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: when it is the only one."""
    queue = scratch.queue(channel)
    publish(channel, queue, 1)
    inbox = Inbox(channel, queue)
    channel.basic_nack(inbox.wait(1)[0].method.delivery_tag, requeue=True)
    again = inbox.wait(2)[1]
    assert (again.body, again.method.redelivered) == (b"0", True)


@pytest.mark.parametrize("end", ["channel", "connection", "socket"])
def test_unacknowledged_messages_return_when_their_channel_ends(
    channel: BlockingChannel, scratch: Scratch, server: Server, end: str
) -> None:
    """AMQP 0-9-1 §1.8.3.13: in order, before what came later, marked redelivered."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    wait_depth(channel, queue, 3)
    if end == "socket":
        lost = RawConnection(server.address).open().open_channel()
        lost.send("basic.get", queue=queue)
        lost.send("basic.get", queue=queue)
        lost.expect("basic.get-ok")
        lost.expect("basic.get-ok")
        lost.close()
    else:
        other = scratch.connect()
        consuming = other.channel()
        consuming.basic_get(queue)
        consuming.basic_get(queue)
        (consuming if end == "channel" else other).close()
    wait_depth(channel, queue, 3)
    found = [get_soon(channel, queue) for _ in range(3)]
    assert [(delivery.body, delivery.method.redelivered) for delivery in found] == [
        (b"0", True),
        (b"1", True),
        (b"2", False),
    ]


def test_recover_with_requeue_returns_everything_in_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.16."""
    queue = scratch.queue(channel)
    publish(channel, queue, 3)
    for _ in range(2):
        channel.basic_get(queue)
    channel.basic_recover(requeue=True)
    wait_depth(channel, queue, 3)
    found = [get_soon(channel, queue) for _ in range(3)]
    assert [(delivery.body, delivery.method.redelivered) for delivery in found] == [
        (b"0", True),
        (b"1", True),
        (b"2", False),
    ]


def test_recover_async_requeues_without_an_answer(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.8.3.15; deprecated, and still sent by old clients."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.publish("", queue, b"m")
    raw_open.send("basic.get", queue=queue)
    raw_open.expect("basic.get-ok")
    raw_open.send("basic.recover-async", requeue=True)
    raw_open.send("basic.get", queue=queue)
    assert raw_open.expect("basic.get-ok").fields["redelivered"] is True


@pytest.mark.hubbub_only
def test_recover_without_requeue_delivers_to_the_same_consumer_again(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """AMQP 0-9-1 §1.8.3.16.1; RabbitMQ answers 540."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=2)
    inbox = Inbox(channel, queue)
    publish(channel, queue, 2)
    inbox.wait(2)
    channel.basic_recover(requeue=False)
    inbox.stays_at(4)
    assert inbox.bodies == [b"0", b"1", b"0", b"1"]
    assert [delivery.method.redelivered for delivery in inbox.deliveries] == [False, False, True, True]


@pytest.mark.peer_only
def test_rabbitmq_does_not_implement_recover_without_requeue(channel: BlockingChannel) -> None:
    """RabbitMQ: a connection error."""
    with closes_connection(channel, 540, "NOT_IMPLEMENTED - requeue=false"):
        channel.basic_recover(requeue=False)


# ---- no-local, exclusive, priorities, single active consumer


@pytest.mark.hubbub_only
def test_no_local_keeps_a_connections_own_messages_from_it(raw_open: RawConnection, server: Server) -> None:
    """AMQP 0-9-1 §1.8.3.3 no-local; RabbitMQ ignores it."""
    queue = raw_open.rpc("queue.declare", auto_delete=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, no_local=True, no_ack=True)
    raw_open.publish("", queue, b"mine")
    other = RawConnection(server.address).open().open_channel()
    other.publish("", queue, b"theirs")
    assert raw_open.expect("basic.deliver").body == b"theirs"
    other.close()


@pytest.mark.parametrize("exclusive_first", [True, False])
def test_an_exclusive_consumer_stays_alone(
    channel: BlockingChannel, scratch: Scratch, exclusive_first: bool
) -> None:
    """AMQP 0-9-1 §1.8.3.3 exclusive: access-refused either way."""
    queue = scratch.queue(channel)
    Inbox(channel, queue, exclusive=exclusive_first)
    other = scratch.connect().channel()
    with closes_channel(other, 403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        other.basic_consume(queue, lambda *_: None, exclusive=not exclusive_first)


def test_the_place_of_an_exclusive_consumer_is_free_after_it(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.3."""
    queue = scratch.queue(channel)
    inbox = Inbox(channel, queue, exclusive=True)
    channel.basic_cancel(inbox.consumer_tag)
    Inbox(scratch.connect().channel(), queue, exclusive=True)


def test_consumers_of_higher_priority_are_served_first(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-priority; the others get what those have no credit for."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=3)
    low = Inbox(channel, queue)
    high = Inbox(channel, queue, arguments={"x-priority": 10})
    publish(channel, queue, 4)
    high.wait(3)
    low.wait(1)
    assert (high.bodies, low.bodies) == ([b"0", b"1", b"2"], [b"3"])


def test_negative_consumer_priorities_are_below_the_default(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the default is 0."""
    queue = scratch.queue(channel)
    low = Inbox(channel, queue, auto_ack=True, arguments={"x-priority": -1})
    plain = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, 5)
    plain.stays_at(5)
    assert low.bodies == []


def test_a_consumer_priority_must_be_a_number(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: 406."""
    queue = scratch.queue(channel)
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "
        '"expected integer, got longstr"'
    )
    with closes_channel(channel, 406, text):
        channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": "high"})


def test_single_active_consumer_serves_the_first_alone(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-single-active-consumer; the next takes over when the active one goes."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    first, second, third = (Inbox(channel, queue, auto_ack=True) for _ in range(3))
    publish(channel, queue, 6)
    first.stays_at(6)
    channel.basic_cancel(first.consumer_tag)
    channel.basic_publish("", queue, b"next")
    second.wait(1)
    assert (second.bodies, third.bodies) == ([b"next"], [])


def test_the_next_single_active_consumer_gets_what_the_first_left(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: unacknowledged messages are requeued and come first."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    going = scratch.connect()
    leaving = going.channel()
    leaving.basic_qos(prefetch_count=2)
    first = Inbox(leaving, queue)
    second = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, 4)
    first.stays_at(2)
    assert second.bodies == []
    going.close()
    second.wait(4)
    assert second.bodies == [b"0", b"1", b"2", b"3"]


def test_single_active_and_exclusive_do_not_mix(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: 403."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    with closes_channel(channel, 403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        channel.basic_consume(queue, lambda *_: None, exclusive=True)


# ---- direct reply-to

REPLY_TO = "amq.rabbitmq.reply-to"


def test_direct_reply_to_answers_without_a_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the server sees a reply-to that it can publish to by the default exchange."""
    requests = scratch.queue(channel)
    replies = Inbox(channel, REPLY_TO, auto_ack=True)
    properties = pika.BasicProperties(reply_to=REPLY_TO, correlation_id="42")
    channel.basic_publish("", requests, b"question", properties)
    answering = scratch.connect().channel()
    request = get_soon(answering, requests)
    assert request.properties.reply_to.startswith(f"{REPLY_TO}.")
    answering.basic_publish(
        "", request.properties.reply_to, b"answer", pika.BasicProperties(correlation_id="42"), mandatory=True
    )
    reply = replies.wait(1)[0]
    assert (reply.body, reply.properties.correlation_id) == (b"answer", "42")
    assert reply.method.exchange == ""


def test_direct_reply_to_can_be_asked_for_by_passive_declare(channel: BlockingChannel) -> None:
    """RabbitMQ: servers look whether the client still waits."""
    told = channel.queue_declare(REPLY_TO, passive=True).method
    assert (told.queue, told.message_count) == (REPLY_TO, 0)


def test_direct_reply_to_needs_auto_ack(channel: BlockingChannel) -> None:
    """RabbitMQ: 406."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
        channel.basic_consume(REPLY_TO, lambda *_: None)


def test_direct_reply_to_is_once_per_channel(channel: BlockingChannel) -> None:
    """RabbitMQ: 406."""
    Inbox(channel, REPLY_TO, auto_ack=True)
    with closes_channel(channel, 406, "PRECONDITION_FAILED - reply consumer already set"):
        channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)


def test_direct_reply_to_without_a_consumer_is_406(channel: BlockingChannel) -> None:
    """RabbitMQ: checked when the request is published."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.basic_publish("", "nowhere", b"", pika.BasicProperties(reply_to=REPLY_TO))


def test_a_reply_to_a_client_that_went_is_dropped(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: replies may be lost, and the answering side is not harmed."""
    requests = scratch.queue(channel)
    asking = scratch.connect()
    other = asking.channel()
    Inbox(other, REPLY_TO, auto_ack=True)
    other.basic_publish("", requests, b"question", pika.BasicProperties(reply_to=REPLY_TO))
    request = get_soon(channel, requests)
    asking.close()
    channel.basic_publish("", request.properties.reply_to, b"too late")
    channel.basic_qos()


# ---- clients that do not wait


def test_a_consumer_that_does_not_read_does_not_hold_up_the_broker(server: Server, scratch: Scratch) -> None:
    """What a full socket cannot take stays in the queue; others are served."""
    lazy = RawConnection(server.address).open().open_channel()
    queue = lazy.rpc("queue.declare", exclusive=True).fields["queue"]
    lazy.rpc("basic.consume", queue=queue, no_ack=True)
    channel = scratch.connect().channel()
    body = b"x" * 100_000
    for _ in range(200):
        channel.basic_publish("", queue, body)
    other = scratch.queue(channel)
    publish(channel, other, 1)
    assert get_soon(channel, other).body == b"0"
    assert sum(len(lazy.expect("basic.deliver").body) for _ in range(200)) == 200 * len(body)
    lazy.close()


def test_select_connection_consumes_what_it_publishes(amqp_url: str, scratch: Scratch) -> None:
    """pika's asynchronous adapter: open, declare, consume, publish, acknowledge, close, all by callbacks."""
    queue = scratch.name("q")
    heard: list[bytes] = []

    def on_open(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel: Any) -> None:
        def on_message(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            heard.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(heard) == 10:
                channel.connection.close()

        def on_declared(_frame: Any) -> None:
            channel.basic_consume(queue, on_message)
            for number in range(10):
                channel.basic_publish("", queue, str(number).encode())

        channel.queue_declare(queue, callback=on_declared)

    connection = pika.SelectConnection(
        pika.URLParameters(amqp_url),
        on_open_callback=on_open,
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
        on_open_error_callback=lambda connection, _error: connection.ioloop.stop(),
    )
    connection.ioloop.call_later(20, connection.ioloop.stop)
    connection.ioloop.start()
    assert heard == [str(number).encode() for number in range(10)]
