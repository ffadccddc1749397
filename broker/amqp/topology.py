"""exchange.* and queue.*: declaring, deleting, binding (AMQP 0-9-1 §1.6, §1.7).

Each `on_…` takes the arguments of the method in the specification's order, without the reserved ones. What changes
definitions that outlive a restart is answered when the store has them: the connection rests until then.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broker.amqp.codec import method_frame
from broker.amqp.replies import reply, reply_when_stored
from broker.amqp.rights import check_configure, check_read, check_topic_bind, check_write
from broker.amqp.translate import AmqpError
from broker.core.binding import EXCHANGE, QUEUE
from broker.core.errors import AccessRefused, NotFound

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.amqp.connection import AmqpConnection

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
OWNED_LOOKED_AT = 64
"""At every so many exclusive queues of one connection those that are gone are looked for."""


def encoded(key: str) -> bytes:
    """A routing or binding key as the core has it."""
    return key.encode("utf-8", "surrogateescape")


def last_declared(channel: Channel, name: str) -> str:
    """An empty queue name means the last one that this channel declared (§1.7.2.3)."""
    if name:
        return name
    if not channel.last_queue:
        raise AmqpError(404, "no previously declared queue")
    return channel.last_queue


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
    check_topic_bind(channel, ends[1], encoded(key))
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
    durable = durable and not exclusive  # it goes with its connection (RabbitMQ)
    before = vhost.broker.definitions_changed
    if name == "":
        name = channel.chosen_name = channel.chosen_name or "amq.gen-" + secrets.token_urlsafe(16)
        check_configure(channel, "queue", name)
        check_dead_letter(channel, name, arguments)
        channel.chosen_name = ""
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
        own_queue(connection, queue)
    channel.last_queue = name
    reply_when_stored(channel, before, no_wait, "queue.declare-ok", queue.name, queue.ready_count, len(queue.consumers))


def look_for_reply_target(channel: Channel, name: str) -> None:
    """A passive declare of a reply address asks whether the requester still waits."""
    if name != DIRECT_REPLY_TO and name not in channel.vhost.reply_targets:
        raise NotFound(f"no queue '{name}' in vhost '{channel.vhost.name}'")
    reply(channel, "queue.declare-ok", name, 0, 1)


def own_queue(connection: AmqpConnection, queue: Any) -> None:
    """The queue goes with its connection; those that went before are forgotten now and then (one per request, say)."""
    owned = connection.endpoint.exclusive_queues[connection]
    owned.add(queue)
    if len(owned) % OWNED_LOOKED_AT == 0:
        owned.difference_update([each for each in owned if each.deleted])


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
    check_topic_bind(channel, source, encoded(key))
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
