"""basic.* but publish and the acknowledgements: consuming, getting, recovering (AMQP 0-9-1 §1.8), and direct reply-to.

Also the few changes that the broker makes to a message's properties on their way: the reply address, the delivery
count.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from broker.amqp.replies import reply
from broker.amqp.rights import check_read
from broker.amqp.topology import DIRECT_REPLY_TO, last_declared
from broker.amqp.translate import AmqpError
from broker.core.arguments import consume_arguments, wrong_expiration
from broker.core.errors import AccessRefused, PreconditionFailed, ResourceLocked
from broker.core.local import REQUEUE
from broker.core.properties import replace_headers, replace_properties

if TYPE_CHECKING:
    from broker.amqp.channel import Channel


def on_basic_qos(channel: Channel, prefetch_size: int, prefetch_count: int, is_global: bool) -> None:
    """RabbitMQ's meaning: per consumer unless global, then per channel. Windows in bytes are not offered."""
    if prefetch_size:
        raise AmqpError(540, f"prefetch_size!=0 ({prefetch_size})")
    channel.set_prefetch(prefetch_count, is_global)
    reply(channel, "basic.qos-ok")


def on_basic_consume(
    channel: Channel,
    name: str,
    tag: str,
    no_local: bool,
    no_ack: bool,
    exclusive: bool,
    no_wait: bool,
    arguments: dict[str, Any],
) -> None:
    """§1.8.3.3."""
    from broker.amqp.consumer import AmqpConsumer

    if name == DIRECT_REPLY_TO:
        consume_replies(channel, tag, no_ack, no_wait)
        return
    name = last_declared(channel, name)
    check_read(channel, "queue", name)
    queue = channel.vhost.queue(name, channel.connection)
    if tag in channel.consumers:
        raise AmqpError(530, f"attempt to reuse consumer tag '{tag}'")
    if len(channel.consumers) >= channel.connection.endpoint.consumers_per_channel_max:
        raise AmqpError(530, f"a channel has at most {channel.connection.endpoint.consumers_per_channel_max} consumers")
    tag = tag or "amq.ctag-" + secrets.token_urlsafe(16)
    consumer = AmqpConsumer(
        channel,
        queue,
        tag,
        no_ack=no_ack,
        no_local=no_local,
        exclusive=exclusive,
        priority=consume_arguments(name, channel.vhost.name, arguments, queue.settings.queue_type).priority,
        prefetch_count=channel.consumer_prefetch_count,
        arguments=arguments,
    )
    queue.check_consumer(consumer)
    channel.consumers[tag] = consumer
    if not no_wait:
        reply(channel, "basic.consume-ok", tag)
    queue.add_consumer(consumer)


def on_basic_cancel(channel: Channel, tag: str, no_wait: bool) -> None:
    """§1.8.3.5; what was delivered stays to be acknowledged."""
    consumer = channel.consumers.pop(tag, None)
    if consumer is not None:
        consumer.stop()
        channel.tally.leave(consumer)
    elif channel.reply_target is not None and channel.reply_target.tag == tag:
        channel.forget_reply_target()
    if not no_wait:
        reply(channel, "basic.cancel-ok", tag)
    if consumer is not None:
        consumer.queue.remove_consumer(consumer)


def cancel_by_queue(channel: Channel, consumer: Any) -> None:
    """Consumer cancel notify (RabbitMQ): the queue is gone."""
    if channel.consumers.pop(consumer.tag, None) is None:
        return
    channel.tally.leave(consumer)
    if channel.connection.hears_cancel:
        reply(channel, "basic.cancel", consumer.tag, True)


def on_basic_cancel_ok(channel: Channel, _tag: str) -> None:
    """The client has heard of the cancellation."""


def on_basic_get(channel: Channel, name: str, no_ack: bool) -> None:
    """§1.8.3.10."""
    name = last_declared(channel, name)
    check_read(channel, "queue", name)
    queue = channel.vhost.queue(name, channel.connection)
    if any(consumer.exclusive for consumer in queue.consumers):
        raise AccessRefused(f"queue '{name}' in vhost '{channel.vhost.name}' in exclusive use")
    if queue.settings.single_active_consumer and queue.consumers:
        raise ResourceLocked(
            f"cannot obtain access to queue '{name}' in vhost '{channel.vhost.name}'. basic.get operations are not "
            "supported by queues with a single active consumer"
        )
    if not channel.get(queue, no_ack):
        reply(channel, "basic.get-empty", "")


def on_basic_recover(channel: Channel, requeue: bool) -> None:
    """§1.8.3.15."""
    recover(channel, requeue)
    reply(channel, "basic.recover-ok")


def on_basic_recover_async(channel: Channel, requeue: bool) -> None:
    """The same without an answer (§1.8.3.14)."""
    recover(channel, requeue)


def recover(channel: Channel, requeue: bool) -> None:
    """Unacked deliveries come again: by way of the queue, or to the very consumers that had them.

    What a transaction holds back the settlement of stays where it is (RabbitMQ): it has been acknowledged.
    """
    if channel.transaction is not None and channel.transaction.settlements:
        for tag in channel.transaction.unsettled(channel.unacked.tags()):
            channel.settle(tag, False, REQUEUE)
    elif requeue:
        channel.requeue_all()
    else:
        channel.redeliver_all()


# ── direct reply-to (RabbitMQ) ────────────────────────────────────────────────────────────────────────────────────────


def consume_replies(channel: Channel, tag: str, no_ack: bool, no_wait: bool) -> None:
    """Consume from amq.rabbitmq.reply-to: one such consumer per channel, without acknowledgements."""
    from broker.amqp.consumer import ReplyTarget

    if not no_ack:
        raise PreconditionFailed("reply consumer cannot acknowledge")
    if channel.reply_target is not None:
        raise PreconditionFailed("reply consumer already set")
    tag = tag or "amq.ctag-" + secrets.token_urlsafe(16)
    target = ReplyTarget(channel, f"{DIRECT_REPLY_TO}.{secrets.token_urlsafe(24)}", tag)
    channel.reply_target = target
    channel.vhost.reply_targets[target.name] = target
    channel.vhost.default_exchange.forget_routes(target.name.encode())
    if not no_wait:
        reply(channel, "basic.consume-ok", tag)


def with_reply_address(channel: Channel, properties: bytes) -> bytes:
    """The request's properties with the reply consumer's own address instead of the alias."""
    if channel.reply_target is None:
        raise PreconditionFailed("fast reply consumer does not exist")
    return replace_properties(properties, reply_to=channel.reply_target.name)


# ── properties ────────────────────────────────────────────────────────────────────────────────────────────────────────


def refuse_expiration(message: Any) -> None:
    """406: the expiration is not a number of milliseconds (RabbitMQ)."""
    text = str(message.properties["expiration"])
    raise PreconditionFailed(f"invalid expiration '{text}': {wrong_expiration(text)}")


def with_delivery_count(properties: bytes, delivery_count: int) -> bytes:
    """x-delivery-count: how often the message was delivered before (quorum queues)."""
    return replace_headers(properties, {"x-delivery-count": delivery_count})
