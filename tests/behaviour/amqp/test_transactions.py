"""tx.select, tx.commit, tx.rollback (AMQP 0-9-1 §1.9)."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.pika_client import Scratch, bodies, closes_channel, depth, get_soon, settle_down, wait_depth


def test_tx_publishes_appear_with_commit(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.9.2."""
    queue = scratch.queue(channel)
    channel.tx_select()
    for body in (b"1", b"2"):
        channel.basic_publish("", queue, body)
    settle_down(channel)
    assert depth(channel, queue) == 0
    channel.tx_commit()
    assert bodies(channel, queue) == [b"1", b"2"]


def test_tx_rollback_forgets_publishes(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.9.2.6; the next transaction begins at once."""
    queue = scratch.queue(channel)
    channel.tx_select()
    channel.basic_publish("", queue, b"forgotten")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"kept")
    channel.tx_commit()
    assert bodies(channel, queue) == [b"kept"]


def test_tx_acks_count_with_commit(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.9: acknowledgements are part of the transaction."""
    queue = scratch.queue(channel)
    other = scratch.connect()
    consuming = other.channel()
    for body in (b"1", b"2"):
        channel.basic_publish("", queue, body)
    wait_depth(channel, queue, 2)
    consuming.tx_select()
    first, _, _ = consuming.basic_get(queue)
    second, _, _ = consuming.basic_get(queue)
    consuming.basic_ack(first.delivery_tag)
    consuming.tx_commit()
    consuming.basic_ack(second.delivery_tag)
    other.close()  # without a commit
    assert get_soon(channel, queue).body == b"2"
    assert bodies(channel, queue) == []


def test_recover_leaves_what_a_transaction_is_about_to_acknowledge(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: an acknowledgement that waits for its commit is not taken back by basic.recover."""
    queue = scratch.queue(channel)
    for body in (b"1", b"2", b"3", b"4"):
        channel.basic_publish("", queue, body)
    channel.tx_select()
    deliveries = [get_soon(channel, queue, auto_ack=False).method for _ in range(4)]
    channel.basic_ack(deliveries[1].delivery_tag)
    channel.basic_recover(requeue=True)
    assert bodies(channel, queue) == [b"1", b"3", b"4"]
    channel.tx_rollback()
    channel.basic_recover(requeue=True)
    assert bodies(channel, queue) == [b"2"]


def test_tx_rollback_leaves_messages_unacknowledged(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.9.2.6: unacknowledged messages are not redelivered by it; they can be acknowledged again."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"1")
    channel.tx_select()
    method = get_soon(channel, queue, auto_ack=False).method
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    assert depth(channel, queue) == 0
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.basic_recover(requeue=True)
    settle_down(channel)
    assert depth(channel, queue) == 0


def test_closing_a_channel_rolls_back(
    channel: BlockingChannel, connection: BlockingConnection, scratch: Scratch
) -> None:
    """AMQP 0-9-1 §1.9."""
    queue = scratch.queue(channel)
    other = connection.channel()
    other.tx_select()
    other.basic_publish("", queue, b"lost")
    other.close()
    settle_down(channel)
    assert depth(channel, queue) == 0


@pytest.mark.parametrize("method", ["tx_commit", "tx_rollback"])
def test_tx_without_select_is_406(channel: BlockingChannel, method: str) -> None:
    """AMQP 0-9-1 §1.9.2.4.1."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - channel is not transactional"):
        getattr(channel, method)()


def test_tx_commit_makes_persistent_messages_of_many_queues(channel: BlockingChannel, scratch: Scratch) -> None:
    """One commit, several durable queues."""
    exchange = scratch.exchange(channel, "fanout")
    queues = [scratch.queue(channel, durable=True) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange)
    channel.tx_select()
    for number in range(10):
        channel.basic_publish(exchange, "", str(number).encode(), pika.BasicProperties(delivery_mode=2))
    channel.tx_commit()
    for queue in queues:
        assert bodies(channel, queue) == [str(number).encode() for number in range(10)]
