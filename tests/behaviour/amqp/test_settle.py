"""basic.ack, reject, nack and recover: what becomes of a delivery."""

from __future__ import annotations

from typing import Any

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
