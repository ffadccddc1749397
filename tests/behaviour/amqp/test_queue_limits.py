"""Message TTL, length limits, overflow, priorities: RabbitMQ's queue extensions."""

from __future__ import annotations

from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.pika_client import (
    Inbox,
    Scratch,
    bodies,
    closes_channel,
    depth,
    get,
    get_soon,
    settle_down,
    wait_depth,
)


def expiring(milliseconds: str) -> pika.BasicProperties:
    return pika.BasicProperties(expiration=milliseconds)


def priority(level: int | None) -> pika.BasicProperties:
    return pika.BasicProperties(priority=level)


def publish_all(channel: BlockingChannel, queue: str, *messages: bytes) -> None:
    for body in messages:
        channel.basic_publish("", queue, body)


# ---- TTL


def test_x_message_ttl_expires_messages(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: per-queue message TTL."""
    queue = scratch.queue(channel, {"x-message-ttl": 150})
    publish_all(channel, queue, b"1", b"2")
    wait_depth(channel, queue, 2)
    wait_depth(channel, queue, 0)


def test_x_message_ttl_0_delivers_at_once_or_never(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the surrogate for the removed immediate flag."""
    queue = scratch.queue(channel, {"x-message-ttl": 0})
    publish_all(channel, queue, b"nobody there")
    wait_depth(channel, queue, 0)
    inbox = Inbox(channel, queue, auto_ack=True)
    publish_all(channel, queue, b"somebody there")
    inbox.wait(1)
    assert inbox.bodies == [b"somebody there"]


def test_expiration_expires_one_message(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: per-message TTL."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"short", expiring("150"))
    publish_all(channel, queue, b"long")
    wait_depth(channel, queue, 2)
    wait_depth(channel, queue, 1)
    assert bodies(channel, queue) == [b"long"]


def test_the_shorter_of_both_ttls_counts(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the minimum of queue and message TTL."""
    queue = scratch.queue(channel, {"x-message-ttl": 60_000})
    channel.basic_publish("", queue, b"", expiring("100"))
    wait_depth(channel, queue, 0)
    other = scratch.queue(channel, {"x-message-ttl": 100})
    channel.basic_publish("", other, b"", expiring("60000"))
    wait_depth(channel, other, 0)


def test_expiration_0_is_delivered_to_a_waiting_consumer(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: expires on reaching the queue unless delivered at once."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"lost", expiring("0"))
    wait_depth(channel, queue, 0)
    inbox = Inbox(channel, queue, auto_ack=True)
    channel.basic_publish("", queue, b"found", expiring("0"))
    inbox.wait(1)
    assert inbox.bodies == [b"found"]


def test_unacknowledged_messages_do_not_expire(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: TTL is about messages in the queue; after a requeue the old deadline holds."""
    queue = scratch.queue(channel, {"x-message-ttl": 200})
    publish_all(channel, queue, b"m")
    method, _, _ = channel.basic_get(queue)
    settle_down(channel, 0.4)
    channel.basic_ack(method.delivery_tag)  # still ours: 406 otherwise
    channel.basic_qos()
    publish_all(channel, queue, b"n")
    method, _, _ = channel.basic_get(queue)
    settle_down(channel, 0.4)
    channel.basic_nack(method.delivery_tag, requeue=True)
    wait_depth(channel, queue, 0)


def test_the_expiration_property_is_delivered_unchanged(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: only dead-lettering removes it."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"", expiring("60000"))
    _, properties, _ = channel.basic_get(queue, auto_ack=True)
    assert properties.expiration == "60000"


@pytest.mark.parametrize("expiration", ["soon", "", "-1", "1.5", "10s", str(1 << 50)])
def test_a_bad_expiration_is_406(channel: BlockingChannel, expiration: str) -> None:
    """RabbitMQ: checked on publish, wherever the message would go. After the colon stands an Erlang term."""
    with closes_channel(channel, 406) as refusal:
        channel.basic_publish("", "nowhere", b"", expiring(expiration))
    assert refusal.text.startswith(f"PRECONDITION_FAILED - invalid expiration '{expiration}': ")


# ---- length


def test_x_max_length_drops_the_oldest(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: drop-head is the default."""
    queue = scratch.queue(channel, {"x-max-length": 2})
    publish_all(channel, queue, b"1", b"2", b"3", b"4")
    assert bodies(channel, queue) == [b"3", b"4"]


def test_x_max_length_bytes_counts_bodies(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: bodies only, no properties."""
    queue = scratch.queue(channel, {"x-max-length-bytes": 10})
    for body in (b"aaaa", b"bbbb", b"cccc"):
        channel.basic_publish("", queue, body, pika.BasicProperties(headers={"h": "x" * 100}))
    assert bodies(channel, queue) == [b"bbbb", b"cccc"]


def test_a_message_larger_than_x_max_length_bytes_is_dropped(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the queue empties from its head until it fits, down to the message itself."""
    queue = scratch.queue(channel, {"x-max-length-bytes": 10})
    publish_all(channel, queue, b"small", b"x" * 11)
    assert bodies(channel, queue) == []


def test_x_max_length_0_keeps_nothing(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: but a consumer that waits gets its message."""
    queue = scratch.queue(channel, {"x-max-length": 0})
    publish_all(channel, queue, b"1")
    assert bodies(channel, queue) == []
    inbox = Inbox(channel, queue, auto_ack=True)
    publish_all(channel, queue, b"2")
    inbox.wait(1)


def test_unacknowledged_messages_do_not_count_to_the_length(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: ready messages only."""
    queue = scratch.queue(channel, {"x-max-length": 2})
    publish_all(channel, queue, b"1", b"2")
    channel.basic_get(queue)
    channel.basic_get(queue)
    publish_all(channel, queue, b"3", b"4")
    assert bodies(channel, queue) == [b"3", b"4"]


def test_reject_publish_keeps_the_oldest_and_nacks_the_newest(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: overflow reject-publish."""
    queue = scratch.queue(channel, {"x-max-length": 2, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    publish_all(channel, queue, b"1", b"2")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", queue, b"3")
    assert bodies(channel, queue) == [b"1", b"2"]
    channel.basic_publish("", queue, b"4")
    assert bodies(channel, queue) == [b"4"]


def test_reject_publish_drops_quietly_without_confirms(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: only publisher confirms tell."""
    queue = scratch.queue(channel, {"x-max-length": 1, "x-overflow": "reject-publish"})
    publish_all(channel, queue, b"1", b"2")
    assert bodies(channel, queue) == [b"1"]


def test_reject_publish_of_one_queue_nacks_a_message_for_many(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: any target that rejects makes it a nack; the others keep their copy."""
    exchange = scratch.exchange(channel, "fanout")
    full = scratch.queue(channel, {"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.queue_bind(full, exchange)
    roomy = scratch.bound_queue(channel, exchange)
    channel.confirm_delivery()
    channel.basic_publish(exchange, "", b"1")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish(exchange, "", b"2")
    wait_depth(channel, roomy, 2)
    assert (bodies(channel, full), bodies(channel, roomy)) == ([b"1"], [b"1", b"2"])


def test_reject_publish_by_bytes(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: rejects once the limit is reached."""
    queue = scratch.queue(channel, {"x-max-length-bytes": 10, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"x" * 10)
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", queue, b"y")


def test_reject_publish_dlx_dead_letters_the_newest(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: overflow reject-publish-dlx."""
    graves = scratch.queue(channel)
    queue = scratch.queue(
        channel,
        {
            "x-max-length": 1,
            "x-overflow": "reject-publish-dlx",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": graves,
        },
    )
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"1")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", queue, b"2")
    dead = get_soon(channel, graves)
    assert (dead.body, dead.properties.headers["x-death"][0]["reason"]) == (b"2", "maxlen")
    assert bodies(channel, queue) == [b"1"]


# ---- priorities


def test_higher_priorities_come_first_and_equals_in_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: priority queues."""
    queue = scratch.queue(channel, {"x-max-priority": 10})
    for body, level in ((b"1a", 1), (b"5a", 5), (b"1b", 1), (b"9a", 9), (b"5b", 5)):
        channel.basic_publish("", queue, body, priority(level))
    assert bodies(channel, queue) == [b"9a", b"5a", b"5b", b"1a", b"1b"]


def test_no_priority_is_the_lowest(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: messages without the property count as 0."""
    queue = scratch.queue(channel, {"x-max-priority": 3})
    channel.basic_publish("", queue, b"none")
    channel.basic_publish("", queue, b"zero", priority(0))
    channel.basic_publish("", queue, b"one", priority(1))
    assert bodies(channel, queue) == [b"one", b"none", b"zero"]


def test_priorities_above_the_maximum_count_as_the_maximum(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: and the property is delivered as it was published."""
    queue = scratch.queue(channel, {"x-max-priority": 3})
    channel.basic_publish("", queue, b"three", priority(3))
    channel.basic_publish("", queue, b"two hundred", priority(200))
    channel.basic_publish("", queue, b"two", priority(2))
    first, second, third = (get_soon(channel, queue) for _ in range(3))
    assert [first.body, second.body, third.body] == [b"three", b"two hundred", b"two"]
    assert second.properties.priority == 200


def test_a_requeued_message_keeps_its_priority(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: priority queues."""
    queue = scratch.queue(channel, {"x-max-priority": 3})
    channel.basic_publish("", queue, b"high", priority(3))
    channel.basic_publish("", queue, b"low", priority(1))
    method, _, _ = channel.basic_get(queue)
    channel.basic_publish("", queue, b"high2", priority(3))
    channel.basic_nack(method.delivery_tag, requeue=True)
    wait_depth(channel, queue, 3)
    assert bodies(channel, queue) == [b"high", b"high2", b"low"]


def test_priorities_mean_nothing_to_a_plain_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-max-priority makes the difference."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"low", priority(1))
    channel.basic_publish("", queue, b"high", priority(9))
    assert bodies(channel, queue) == [b"low", b"high"]


def test_x_max_length_drops_the_head_even_if_that_has_the_highest_priority(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ's guide says so: "higher priority messages might be dropped to make way for lower priority ones"."""
    queue = scratch.queue(channel, {"x-max-priority": 3, "x-max-length": 2})
    for body, level in ((b"1", 1), (b"3", 3), (b"2", 2)):
        channel.basic_publish("", queue, body, priority(level))
    assert bodies(channel, queue) == [b"2", b"1"]


# ---- delivery limit


def test_x_delivery_limit_drops_a_message_that_was_returned_too_often(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ quorum queues: x-delivery-limit redeliveries, then dead-lettered; x-delivery-count tells how many."""
    graves = scratch.queue(channel)
    queue = scratch.queue(
        channel,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": 2,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": graves,
        },
        durable=True,
    )
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"poison")
    counts = []
    for _ in range(3):
        delivery = get_soon(channel, queue, auto_ack=False)
        counts.append((delivery.properties.headers or {}).get("x-delivery-count"))
        channel.basic_nack(delivery.method.delivery_tag, requeue=True)
    dead = get_soon(channel, graves)
    assert (dead.body, dead.properties.headers["x-death"][0]["reason"]) == (b"poison", "delivery_limit")
    assert (counts[0] or 0, *counts[1:]) == (0, 1, 2)  # the first time RabbitMQ 3.10 says 0, later versions nothing
    assert depth(channel, queue) == 0


@pytest.mark.hubbub_only
def test_a_quorum_queue_has_a_delivery_limit_of_20_by_default(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ 4.0: 20; RabbitMQ 3.10 has none."""
    queue = scratch.queue(channel, {"x-queue-type": "quorum"}, durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"poison")
    deliveries = 0
    while (got := channel.basic_get(queue))[0] is not None:
        deliveries += 1
        assert deliveries < 100
        channel.basic_nack(got[0].delivery_tag, requeue=True)
        channel.basic_qos()
    assert deliveries == 21


@pytest.mark.hubbub_only
def test_x_delivery_limit_works_on_classic_queues(channel: BlockingChannel, scratch: Scratch) -> None:
    """Deviation: RabbitMQ refuses the argument there; one queue class serves both types."""
    queue = scratch.queue(channel, {"x-delivery-limit": 1})
    channel.basic_publish("", queue, b"poison")
    for _ in range(2):
        delivery = get_soon(channel, queue, auto_ack=False)
        channel.basic_nack(delivery.method.delivery_tag, requeue=True)
    wait_depth(channel, queue, 0)
    assert get(channel, queue) is None


@pytest.mark.parametrize(
    "argument",
    [
        pytest.param({"x-delivery-limit": 3}, marks=pytest.mark.peer_only),
        {"x-dead-letter-strategy": "at-least-once"},
        {"x-quorum-initial-group-size": 1},
        {"x-max-age": "1D"},
    ],
    ids=str,
)
def test_arguments_of_other_queue_types_are_refused_on_classic_queues(
    channel: BlockingChannel, scratch: Scratch, argument: dict[str, Any]
) -> None:
    """RabbitMQ: 406; the text names the type by its Erlang module."""
    queue = scratch.name("q")
    (name,) = argument
    with closes_channel(channel, 406) as refusal:
        channel.queue_declare(queue, arguments=argument)
    assert refusal.text.startswith(
        f"PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/' of queue type"
    )


@pytest.mark.parametrize("argument", [{"x-max-priority": 3}, {"x-queue-mode": "lazy"}], ids=str)
def test_arguments_of_classic_queues_are_refused_on_quorum_queues(
    channel: BlockingChannel, scratch: Scratch, argument: dict[str, Any]
) -> None:
    """RabbitMQ 3.10: 406."""
    queue = scratch.name("q")
    (name,) = argument
    with closes_channel(channel, 406) as refusal:
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", **argument})
    assert refusal.text.startswith(
        f"PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/' of queue type"
    )
