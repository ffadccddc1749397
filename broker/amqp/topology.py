"""The cold half of a channel: every method but publish, ack, nack and reject.

Each `on_…` takes the arguments of the method in the specification's order, without the reserved ones. What changes
definitions that outlive a restart is answered when the store has them (law 1): the connection rests until then.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broker.amqp.codec import SyntaxFault, arguments_of, method_frame
from broker.amqp.methods import METHODS
from broker.amqp.transaction import Transaction
from broker.amqp.translate import AmqpError
from broker.core.arguments import consume_arguments, wrong_expiration
from broker.core.binding import EXCHANGE, QUEUE
from broker.core.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from broker.core.properties import replace_headers, replace_properties

if TYPE_CHECKING:
    from broker.amqp.channel import Channel

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = 20 << 16 | 40, 20 << 16 | 41


def on_method(channel: Channel, number: int, payload: bytes) -> None:
    """Decode a method and call what stands for it below. Raises AmqpError, CoreError."""
    method = METHODS.get(number)
    entry = HANDLED.get(method.name) if method is not None else None
    if method is None or entry is None:
        if method is None:
            raise AmqpError(540, f"unknown method {number >> 16}.{number & 0xFFFF}")
        raise AmqpError(503, "unimplemented method")
    call, positions = entry
    try:
        values = arguments_of(payload, method.signature)
    except SyntaxFault as fault:
        raise AmqpError(501, f"{method.name}: {fault}") from None
    call(channel, *[values[position] for position in positions])


def on_method_while_closing(channel: Channel, number: int) -> None:
    """channel.close was sent: only its answer, or the peer's own close, matters."""
    if number == CHANNEL_CLOSE:
        channel.send_frames(method_frame(channel.number, "channel.close-ok"))
    if number in (CHANNEL_CLOSE, CHANNEL_CLOSE_OK):
        channel.connection.negotiation.end_channel(channel)


def reply(channel: Channel, name: str, *arguments: Any) -> None:
    """Answer at once."""
    channel.send_frames(method_frame(channel.number, name, *arguments))


def reply_when_stored(channel: Channel, changes_before: int, no_wait: bool, name: str, *arguments: Any) -> None:
    """Answer when the store has what the method changed; at once if it changed nothing that outlives a restart."""
    frames = b"" if no_wait else method_frame(channel.number, name, *arguments)
    if channel.vhost.broker.definitions_changed == changes_before:
        channel.send_frames(frames)
    else:
        channel.connection.answer_when_stored(frames)


def refuse_unless(allowed: bool, channel: Channel, what: str, name: str) -> None:
    """403 with RabbitMQ's text, where the user's permission does not cover it."""
    if not allowed:
        raise AccessRefused(
            f"access to {what} '{name}' in vhost '{channel.vhost.name}' refused for user '{channel.user.name}'"
        )


def check_configure(channel: Channel, what: str, name: str) -> None:
    """May the user declare and delete it?"""
    refuse_unless(channel.user.may_configure(channel.vhost.name, name), channel, what, name)


def check_write(channel: Channel, what: str, name: str) -> None:
    """May the user bring messages in?"""
    refuse_unless(channel.user.may_write(channel.vhost.name, name), channel, what, name)


def check_read(channel: Channel, what: str, name: str) -> None:
    """May the user take messages out?"""
    refuse_unless(channel.user.may_read(channel.vhost.name, name), channel, what, name)


def last_declared(channel: Channel, name: str) -> str:
    """An empty queue name means the last one that this channel declared (§1.7.2.3)."""
    if name:
        return name
    if not channel.last_queue:
        raise AmqpError(404, "no previously declared queue")
    return channel.last_queue


# ── channel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_channel_open(channel: Channel) -> None:
    """The channel is open already."""
    raise AmqpError(504, "second 'channel.open' seen")


def on_channel_close(channel: Channel, _code: int, _text: str, _class_id: int, _method_id: int) -> None:
    """The client is done with it."""
    channel.close()
    reply(channel, "channel.close-ok")
    channel.connection.negotiation.end_channel(channel)


def on_channel_close_ok(channel: Channel) -> None:
    """An answer to nothing: ignored."""


def on_channel_flow(channel: Channel, active: bool) -> None:
    """Stop or resume deliveries (§1.5.2.3)."""
    reply(channel, "channel.flow-ok", active)
    channel.set_flow(active)


def on_channel_flow_ok(channel: Channel, _active: bool) -> None:
    """We never ask; harmless."""


# ── exchange ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_exchange_declare(
    channel: Channel,
    name: str,
    type_name: str,
    passive: bool,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    no_wait: bool,
    arguments: dict[str, Any],
) -> None:
    """§1.6.2.1."""
    vhost = channel.vhost
    name = name.replace("\n", "").replace("\r", "")
    if name == "":
        raise AccessRefused("operation not permitted on the default exchange")
    if passive:
        vhost.exchange(name)
        if not no_wait:
            reply(channel, "exchange.declare-ok")
        return
    check_configure(channel, "exchange", name)
    alternate = arguments.get("alternate-exchange")
    if isinstance(alternate, str):
        check_read(channel, "exchange", name)
        check_write(channel, "exchange", alternate)
    before = vhost.broker.definitions_changed
    vhost.declare_exchange(
        name, type_name, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments
    )
    reply_when_stored(channel, before, no_wait, "exchange.declare-ok")


def on_exchange_delete(channel: Channel, name: str, if_unused: bool, no_wait: bool) -> None:
    """§1.6.2.3."""
    if name:
        check_configure(channel, "exchange", name)
    before = channel.vhost.broker.definitions_changed
    channel.vhost.delete_exchange(name, if_unused=if_unused)
    reply_when_stored(channel, before, no_wait, "exchange.delete-ok")


def on_exchange_bind(
    channel: Channel, destination: str, source: str, key: str, no_wait: bool, arguments: dict[str, Any]
) -> None:
    """RabbitMQ: exchange-to-exchange binding."""
    before = channel.vhost.broker.definitions_changed
    ends = exchange_ends(channel, destination, source)
    channel.vhost.bind(ends[1], ends[0], EXCHANGE, encoded(key), arguments)
    reply_when_stored(channel, before, no_wait, "exchange.bind-ok")


def on_exchange_unbind(
    channel: Channel, destination: str, source: str, key: str, no_wait: bool, arguments: dict[str, Any]
) -> None:
    """RabbitMQ: the opposite; what is not there is not bound."""
    before = channel.vhost.broker.definitions_changed
    with suppress(NotFound):
        ends = exchange_ends(channel, destination, source)
        channel.vhost.unbind(ends[1], ends[0], EXCHANGE, encoded(key), arguments)
    reply_when_stored(channel, before, no_wait, "exchange.unbind-ok")


def exchange_ends(channel: Channel, destination: str, source: str) -> tuple[Any, Any]:
    """Both exchanges of a binding, if the user may bind them."""
    if destination == "" or source == "":
        raise AccessRefused("operation not permitted on the default exchange")
    check_write(channel, "exchange", destination)
    check_read(channel, "exchange", source)
    return channel.vhost.exchange(destination), channel.vhost.exchange(source)


# ── queue ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_queue_declare(
    channel: Channel,
    name: str,
    passive: bool,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    no_wait: bool,
    arguments: dict[str, Any],
) -> None:
    """§1.7.2.1; without a name the server gives one."""
    vhost, connection = channel.vhost, channel.connection
    if passive and name.startswith(DIRECT_REPLY_TO):
        look_for_reply_target(channel, name)
        return
    if passive:
        queue = vhost.queue(last_declared(channel, name), connection)
        queue.last_used_ms = vhost.clock.now_ms
        channel.last_queue = queue.name
        if not no_wait:
            reply(channel, "queue.declare-ok", queue.name, queue.ready_count, len(queue.consumers))
        return
    name = name.replace("\n", "").replace("\r", "")
    durable = durable and not exclusive         # it goes with its connection (RabbitMQ)
    before = vhost.broker.definitions_changed
    if name == "":
        name = "amq.gen-" + secrets.token_urlsafe(16)
        check_configure(channel, "queue", name)
        check_dead_letter(channel, name, arguments)
        queue = vhost.create_queue(
            name, durable=durable, exclusive=exclusive, auto_delete=auto_delete, owner=connection, arguments=arguments
        )
    else:
        check_configure(channel, "queue", name)
        check_dead_letter(channel, name, arguments)
        queue = vhost.declare_queue(
            name, durable=durable, exclusive=exclusive, auto_delete=auto_delete, owner=connection, arguments=arguments
        )
    if exclusive:
        connection.endpoint.exclusive_queues[connection].add(queue)
    channel.last_queue = name
    reply_when_stored(
        channel, before, no_wait, "queue.declare-ok", queue.name, queue.ready_count, len(queue.consumers)
    )


def check_dead_letter(channel: Channel, name: str, arguments: dict[str, Any]) -> None:
    """Who sets a dead-letter exchange needs to read the queue and to write to the exchange (RabbitMQ)."""
    exchange = arguments.get("x-dead-letter-exchange")
    if isinstance(exchange, str) and exchange:
        check_read(channel, "queue", name)
        check_write(channel, "exchange", exchange)


def on_queue_bind(
    channel: Channel, name: str, exchange: str, key: str, no_wait: bool, arguments: dict[str, Any]
) -> None:
    """§1.7.2.3."""
    before = channel.vhost.broker.definitions_changed
    source, queue, key = queue_ends(channel, name, exchange, key)
    channel.vhost.bind(source, queue, QUEUE, encoded(key), arguments)
    reply_when_stored(channel, before, no_wait, "queue.bind-ok")


def on_queue_unbind(channel: Channel, name: str, exchange: str, key: str, arguments: dict[str, Any]) -> None:
    """§1.7.2.5."""
    before = channel.vhost.broker.definitions_changed
    with suppress(NotFound):
        source, queue, key = queue_ends(channel, name, exchange, key)
        channel.vhost.unbind(source, queue, QUEUE, encoded(key), arguments)
    reply_when_stored(channel, before, False, "queue.unbind-ok")


def queue_ends(channel: Channel, name: str, exchange: str, key: str) -> tuple[Any, Any, str]:
    """Exchange, queue and key of a binding, if the user may bind them; empty names mean the last declared queue."""
    if exchange == "":
        raise AccessRefused("operation not permitted on the default exchange")
    if name == "":
        name = last_declared(channel, name)
        key = key or name
    check_write(channel, "queue", name)
    check_read(channel, "exchange", exchange)
    queue = channel.vhost.queue(name, channel.connection)
    return channel.vhost.exchange(exchange), queue, key


def on_queue_purge(channel: Channel, name: str, no_wait: bool) -> None:
    """§1.7.2.7."""
    name = last_declared(channel, name)
    check_read(channel, "queue", name)
    queue = channel.vhost.queue(name, channel.connection)
    count = queue.purge()
    if not no_wait:
        channel.connection.answer_when_stored(method_frame(channel.number, "queue.purge-ok", count))


def on_queue_delete(channel: Channel, name: str, if_unused: bool, if_empty: bool, no_wait: bool) -> None:
    """§1.7.2.9; deleting what is not there succeeds (RabbitMQ)."""
    name = last_declared(channel, name)
    check_configure(channel, "queue", name)
    vhost = channel.vhost
    before = vhost.broker.definitions_changed
    count = 0
    if name in vhost.queues:
        queue = vhost.queue(name, channel.connection)
        count = vhost.delete_queue(queue, if_unused=if_unused, if_empty=if_empty)
    reply_when_stored(channel, before, no_wait, "queue.delete-ok", count)


# ── basic ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_basic_qos(channel: Channel, prefetch_size: int, prefetch_count: int, is_global: bool) -> None:
    """RabbitMQ's meaning: per consumer unless global, then per channel. Windows in bytes are not offered."""
    if prefetch_size:
        raise AmqpError(540, "prefetch_size!=0 (%d)" % prefetch_size)
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
    elif channel.reply_target is not None and channel.reply_target.tag == tag:
        channel.forget_reply_target()
    if not no_wait:
        reply(channel, "basic.cancel-ok", tag)
    if consumer is not None:
        consumer.queue.remove_consumer(consumer)


def cancel_by_queue(channel: Channel, consumer: Any) -> None:
    """Consumer cancel notify (RabbitMQ): the queue is gone."""
    if channel.consumers.pop(consumer.tag, None) is not None and channel.connection.hears_cancel:
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
    """Unacked deliveries come again: by way of the queue, or to the very consumers that had them."""
    if requeue:
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


def look_for_reply_target(channel: Channel, name: str) -> None:
    """A passive declare of a reply address asks whether the requester still waits."""
    if name != DIRECT_REPLY_TO and name not in channel.vhost.reply_targets:
        raise NotFound(f"no queue '{name}' in vhost '{channel.vhost.name}'")
    reply(channel, "queue.declare-ok", name, 0, 1)


def with_reply_address(channel: Channel, properties: bytes) -> bytes:
    """The request's properties with the reply consumer's own address instead of the alias."""
    if channel.reply_target is None:
        raise PreconditionFailed("fast reply consumer does not exist")
    return replace_properties(properties, reply_to=channel.reply_target.name)


def refuse_expiration(message: Any) -> None:
    """406: the expiration is not a number of milliseconds (RabbitMQ)."""
    text = str(message.properties["expiration"])
    raise PreconditionFailed(f"invalid expiration '{text}': {wrong_expiration(text)}")


def with_delivery_count(properties: bytes, delivery_count: int) -> bytes:
    """x-delivery-count: how often the message was delivered before (quorum queues)."""
    return replace_headers(properties, {"x-delivery-count": delivery_count})


# ── confirm, tx ───────────────────────────────────────────────────────────────────────────────────────────────────────


def on_confirm_select(channel: Channel, no_wait: bool) -> None:
    """RabbitMQ: publisher confirms."""
    if channel.transaction is not None:
        raise AmqpError(406, "cannot switch from tx to confirm mode")
    channel.select_confirms()
    if not no_wait:
        reply(channel, "confirm.select-ok")


def on_tx_select(channel: Channel) -> None:
    """§1.9.2.1."""
    if channel.confirms:
        raise AmqpError(406, "cannot switch from confirm to tx mode")
    if channel.transaction is None:
        channel.transaction = Transaction(channel)
    reply(channel, "tx.select-ok")


def on_tx_commit(channel: Channel) -> None:
    """§1.9.2.3: commit-ok when the disk has it."""
    if channel.transaction is None:
        raise AmqpError(406, "channel is not transactional")
    transaction, channel.transaction = channel.transaction, None
    try:
        transaction.commit()
    finally:
        channel.transaction = transaction
    channel.connection.answer_when_stored(method_frame(channel.number, "tx.commit-ok"))


def on_tx_rollback(channel: Channel) -> None:
    """§1.9.2.5."""
    if channel.transaction is None:
        raise AmqpError(406, "channel is not transactional")
    channel.transaction.rollback()
    reply(channel, "tx.rollback-ok")


def encoded(key: str) -> bytes:
    """A routing or binding key as the core has it."""
    return key.encode("utf-8", "surrogateescape")


def handled() -> dict[str, tuple[Callable[..., None], list[int]]]:
    """Which function takes which method, and the positions of the arguments that are not reserved."""
    functions = {name[3:]: function for name, function in globals().items() if name.startswith("on_")}
    table = {}
    for method in METHODS.values():
        function = functions.get(method.name.replace(".", "_").replace("-", "_"))
        if function is not None:
            table[method.name] = (
                function,
                [index for index, name in enumerate(method.arguments) if not name.startswith("reserved")],
            )
    return table


HANDLED = handled()

__all__ = ["NotFound", "on_method", "on_method_while_closing"]
