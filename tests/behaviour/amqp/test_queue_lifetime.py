"""Who may use a queue and when it goes: exclusive, auto-delete, x-expires, purge, delete."""

from __future__ import annotations

from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.pika_client import Inbox, Scratch, bodies, closes_channel, pump, settle_down, wait_depth

LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{}' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)


def exists(scratch: Scratch, queue: str) -> bool:
    """Ask on a channel of its own: a 404 closes it. A locked queue exists."""
    connection = scratch.connect()
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as closed:
        if closed.reply_code not in (404, 405):
            raise
        return bool(closed.reply_code == 405)
    finally:
        connection.close()
    return True


def wait_gone(channel: BlockingChannel, scratch: Scratch, queue: str) -> None:
    pump(channel, lambda: not exists(scratch, queue), f"{queue} is gone")


# ---- exclusive


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: channel.queue_declare(queue, exclusive=True),
        lambda channel, queue: channel.queue_declare(queue),
        lambda channel, queue: channel.queue_declare(queue, passive=True),
        lambda channel, queue: channel.queue_bind(queue, "amq.direct", "k"),
        lambda channel, queue: channel.queue_purge(queue),
        lambda channel, queue: channel.queue_delete(queue),
        lambda channel, queue: channel.basic_get(queue),
        lambda channel, queue: channel.basic_consume(queue, lambda *_: None),
    ],
    ids=["declare", "declare-shared", "declare-passive", "bind", "purge", "delete", "get", "consume"],
)
def test_an_exclusive_queue_is_locked_for_other_connections(
    channel: BlockingChannel, scratch: Scratch, use: Any
) -> None:
    """AMQP 0-9-1 §1.7.2.1: resource-locked, 405."""
    queue = scratch.queue(channel, exclusive=True)
    other = scratch.connect().channel()
    with closes_channel(other, 405, LOCKED.format(queue)):
        use(other, queue)


def test_an_exclusive_queue_is_shared_by_the_channels_of_its_connection(
    channel: BlockingChannel, connection: BlockingConnection, scratch: Scratch
) -> None:
    """AMQP 0-9-1 §1.7.2.1: exclusive to the connection."""
    queue = scratch.queue(channel, exclusive=True)
    second = connection.channel()
    second.basic_publish("", queue, b"m")
    assert bodies(second, queue) == [b"m"]


def test_durable_means_nothing_on_an_exclusive_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: an exclusive queue is never durable, so that asking for it is no difference either way."""
    queue = scratch.queue(channel, exclusive=True, durable=True)
    channel.queue_declare(queue, exclusive=True, durable=False)


def test_other_connections_may_publish_to_an_exclusive_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """Replies of an RPC server arrive that way."""
    queue = scratch.queue(channel, exclusive=True)
    scratch.connect().channel().basic_publish("", queue, b"reply")
    wait_depth(channel, queue, 1)


def test_an_exclusive_queue_goes_with_its_connection(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.1."""
    owner = scratch.connect()
    queue = scratch.queue(owner.channel(), exclusive=True)
    owner.close()
    wait_gone(channel, scratch, queue)


@pytest.mark.parametrize("exclusive", [True, False])
def test_redeclaring_with_the_other_exclusivity_is_405(
    channel: BlockingChannel, scratch: Scratch, exclusive: bool
) -> None:
    """RabbitMQ: not 406, because exclusivity is a lock."""
    queue = scratch.queue(channel, exclusive=exclusive)
    with closes_channel(channel, 405, LOCKED.format(queue)):
        channel.queue_declare(queue, exclusive=not exclusive)


# ---- auto-delete, expires


def test_an_auto_delete_queue_goes_with_its_last_consumer(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.1."""
    queue = scratch.queue(channel, auto_delete=True)
    inboxes = [Inbox(channel, queue) for _ in range(2)]
    channel.basic_cancel(inboxes[0].consumer_tag)
    assert exists(scratch, queue)
    channel.basic_cancel(inboxes[1].consumer_tag)
    wait_gone(channel, scratch, queue)


def test_an_auto_delete_queue_goes_when_its_last_consumers_connection_ends(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """AMQP 0-9-1 §1.7.2.1."""
    queue = scratch.queue(channel, auto_delete=True)
    consuming = scratch.connect()
    Inbox(consuming.channel(), queue)
    consuming.close()
    wait_gone(channel, scratch, queue)


def test_an_auto_delete_queue_without_a_consumer_ever_stays(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.1: "if there was no consumer ever on the queue, it won't be deleted"."""
    owner = scratch.connect()
    queue = scratch.queue(owner.channel(), auto_delete=True)
    owner.close()
    assert exists(scratch, queue)


def test_x_expires_deletes_an_unused_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: queue TTL."""
    queue = scratch.queue(channel, {"x-expires": 200})
    settle_down(channel, 0.8)  # asking sooner would be a use
    assert not exists(scratch, queue)


def test_x_expires_does_not_touch_a_queue_with_a_consumer(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: queue TTL counts from the last use."""
    queue = scratch.queue(channel, {"x-expires": 200})
    inbox = Inbox(channel, queue)
    settle_down(channel, 0.6)
    assert exists(scratch, queue)
    channel.basic_cancel(inbox.consumer_tag)
    settle_down(channel, 0.8)
    assert not exists(scratch, queue)


def test_basic_get_and_redeclaration_put_x_expires_off(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: unused means no consumers, no basic.get, no redeclaration."""
    queue = scratch.queue(channel, {"x-expires": 500})
    for _ in range(4):
        settle_down(channel, 0.2)
        channel.basic_get(queue)
        channel.queue_declare(queue, arguments={"x-expires": 500})
    assert exists(scratch, queue)


# ---- purge, delete


def test_purge_removes_what_is_ready_and_counts_it(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.7: messages awaiting acknowledgement stay."""
    queue = scratch.queue(channel)
    for number in range(4):
        channel.basic_publish("", queue, str(number).encode())
    method, _, _ = channel.basic_get(queue)
    assert channel.queue_purge(queue).method.message_count == 3
    channel.basic_nack(method.delivery_tag, requeue=True)
    wait_depth(channel, queue, 1)
    assert bodies(channel, queue) == [b"0"]


def test_purging_an_absent_queue_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.7."""
    with closes_channel(channel, 404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.queue_purge("absent")


def test_delete_tells_how_many_messages_went(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.10."""
    queue = scratch.queue(channel)
    for _ in range(3):
        channel.basic_publish("", queue, b"")
    assert channel.queue_delete(queue).method.message_count == 3
    assert not exists(scratch, queue)


def test_deleting_an_absent_queue_is_fine(channel: BlockingChannel) -> None:
    """RabbitMQ: delete is idempotent."""
    assert channel.queue_delete("absent").method.message_count == 0


def test_delete_if_empty_of_a_queue_with_messages_is_406(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.9."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"")
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
        channel.queue_delete(queue, if_empty=True)
    assert exists(scratch, queue)


def test_delete_if_unused_of_a_queue_with_consumers_is_406(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.9."""
    queue = scratch.queue(channel)
    Inbox(channel, queue)
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
        channel.queue_delete(queue, if_unused=True)
    assert exists(scratch, queue)


def test_delete_if_unused_and_if_empty_of_such_a_queue_works(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.9."""
    queue = scratch.queue(channel)
    channel.queue_delete(queue, if_unused=True, if_empty=True)
    assert not exists(scratch, queue)


def test_a_deleted_queue_leaves_its_bindings_behind_nowhere(channel: BlockingChannel, scratch: Scratch) -> None:
    """A namesake starts without bindings and without messages."""
    exchange = scratch.exchange(channel, "fanout")
    queue = scratch.bound_queue(channel, exchange)
    channel.queue_delete(queue)
    channel.queue_declare(queue)
    channel.basic_publish(exchange, "", b"lost")
    assert bodies(channel, queue) == []
