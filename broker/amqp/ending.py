# cython: annotation_typing=False
"""How a connection or a channel ends, and in which words (AMQP 0-9-1 §1.2, §2.2.4): close, and what is given back then.

Owns every end, whoever wants it. Refuses to know the methods that come (`negotiation`, `dispatch`).
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from broker.amqp.codec import method_frame
from broker.amqp.states import CLOSED, CLOSING, RUNNING
from broker.amqp.telling import connection_event, tell_of_channel
from broker.amqp.translate import AmqpError

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.amqp.connection import AmqpConnection

BASIC_PUBLISH = 60 << 16 | 40

log = logging.getLogger("hubbub.amqp")


# ── a connection ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fail(connection: AmqpConnection, error: AmqpError, method: int = 0) -> None:
    """Close the connection with a reply code (§2.2.4: close, then only close-ok is awaited)."""
    if connection.state in (CLOSING, CLOSED):
        finish(connection)
        return
    log.warning("%s: connection closed: %s", connection.peer, error.text)
    connection.endpoint.connections_failed += 1
    connection.write(method_frame(0, "connection.close", error.code, error.text, method >> 16, method & 0xFFFF))
    release(connection)
    connection.state = CLOSING
    if error.code == 501:
        finish(connection)  # frames can't be told apart any more: no close-ok can be read
    else:
        connection.negotiation.timer = connection.broker.clock.call_at(
            connection.broker.clock.now_ms + connection.endpoint.handshake_timeout_ms, partial(finish, connection)
        )


def on_internal_error(connection: AmqpConnection, error: Exception) -> None:
    """Our bug: the peer gets 541, the log the traceback."""
    log.error("%s: internal error", connection.peer, exc_info=error)
    fail(connection, AmqpError(541, "an error of the broker; its log has the details"))


def shut_down(connection: AmqpConnection, text: str) -> None:
    """The operator stops the broker."""
    if connection.state == RUNNING:
        fail(connection, AmqpError(320, text))
    else:
        finish(connection)


def finish(connection: AmqpConnection) -> None:
    """Send what is left, then close the socket."""
    connection.state = CLOSED
    connection.output.close()


def end(connection: AmqpConnection, reason: str) -> None:
    """The socket is gone."""
    if connection.state == RUNNING:
        log.info("%s: connection lost: %s", connection.peer, reason)
    connection.state = CLOSED
    release(connection)
    connection.endpoint.connections.discard(connection)
    connection.negotiation.mechanism = None


def release(connection: AmqpConnection) -> None:
    """Give back everything that the connection holds: channels, consumers, exclusive queues. Once."""
    connection.negotiation.stop_timers()
    if connection.vhost is None:
        return
    connection.endpoint.connections_closed += connection.state in (RUNNING, CLOSED)
    connection.endpoint.heartbeats.forget(connection)
    connection.broker.publishing.discard(connection)
    vhost = connection.vhost
    # What one channel gives back must not be handed to a consumer of the next, which cannot settle it any more.
    for channel in connection.channels.values():
        for consumer in channel.consumers.values():
            consumer.stop()
    for channel in list(connection.channels.values()):
        channel.close()
        tell_of_channel(connection, "channel.closed", channel.number)
        connection.endpoint.on_channel_ended(channel)
        connection.broker.presence.close_channel(connection.user.name)
    connection.channels.clear()
    for queue in list(connection.endpoint.exclusive_queues.pop(connection, ())):
        vhost.remove_queue(queue)
    connection.broker.publish_rates.leave(connection)
    connection.broker.presence.leave(connection.user.name, vhost.name, connection)
    if connection.broker.events.wanted:
        connection.broker.events.tell("connection.closed", **connection_event(connection))
    connection.vhost = None


# ── a channel ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def fail_channel(channel: Channel, error: AmqpError, method: int | None) -> None:
    """Close a channel with a reply code; what it held returns. `method` 0: content, None: nothing was said."""
    method = 0 if method is None else method or BASIC_PUBLISH  # an error in content is its publish's
    connection = channel.connection
    if channel.is_closing:
        return
    log.warning("%s channel %d closed: %s", connection.peer, channel.number, error.text)
    connection.endpoint.channels_failed += 1
    channel.close()
    connection.write(
        method_frame(channel.number, "channel.close", error.code, error.text, method >> 16, method & 0xFFFF)
    )


def end_channel(channel: Channel) -> None:
    """The channel's number is free again."""
    connection = channel.connection
    tell_of_channel(connection, "channel.closed", channel.number)
    connection.endpoint.on_channel_ended(channel)
    connection.broker.presence.close_channel(connection.user.name)
    connection.forget_channel(channel.number)
