"""basic.get, consume, cancel and qos: how messages reach a client, and how many at a time."""

from __future__ import annotations

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import (
    Inbox,
    Scratch,
    closes_channel,
    closes_connection,
    depth,
    pump,
    settle_down,
)


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


def test_delivery_tags_count_per_channel(
    channel: BlockingChannel, connection: BlockingConnection, scratch: Scratch
) -> None:
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


def test_global_prefetch_leaves_no_queue_behind(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: what is free of the channel's limit goes round its queues."""
    queues = [scratch.queue(channel) for _ in range(3)]
    for queue in queues:
        publish(channel, queue, 10)
    channel.basic_qos(prefetch_count=1, global_qos=True)
    inboxes = [Inbox(channel, queue) for queue in queues]
    for taken in range(1, 13):
        pump(channel, lambda taken=taken: sum(len(inbox.deliveries) for inbox in inboxes) == taken)  # type: ignore[misc]
        channel.basic_ack(taken)
    settle_down(channel)
    assert sorted(len(inbox.deliveries) for inbox in inboxes) == [4, 4, 5]


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
