"""Which function takes which method of a channel; and the methods about the channel itself: channel, confirm, tx.

publish, ack, nack and reject never come here: the hot half of the channel reads them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.amqp import consuming, topology
from broker.amqp.codec import SyntaxFault, arguments_of, method_frame
from broker.amqp.ending import end_channel
from broker.amqp.methods import METHODS
from broker.amqp.replies import reply
from broker.amqp.transaction import Transaction
from broker.amqp.translate import AmqpError

if TYPE_CHECKING:
    from broker.amqp.channel import Channel

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
    chosen = [values[position] for position in positions]
    events = channel.vhost.broker.events
    if events.listeners:
        events.act_as(channel.user.name, call, channel, *chosen)
    else:
        call(channel, *chosen)


def on_method_while_closing(channel: Channel, number: int) -> None:
    """channel.close was sent: only its answer, or the peer's own close, matters."""
    if number == CHANNEL_CLOSE:
        channel.send_frames(method_frame(channel.number, "channel.close-ok"))
    if number in (CHANNEL_CLOSE, CHANNEL_CLOSE_OK):
        end_channel(channel)


# ── channel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_channel_open(channel: Channel) -> None:
    """The channel is open already."""
    raise AmqpError(504, "second 'channel.open' seen")


def on_channel_close(channel: Channel, _code: int, _text: str, _class_id: int, _method_id: int) -> None:
    """The client is done with it."""
    channel.close()
    reply(channel, "channel.close-ok")
    end_channel(channel)


def on_channel_close_ok(channel: Channel) -> None:
    """An answer to nothing: ignored."""


def on_channel_flow(channel: Channel, active: bool) -> None:
    """Stop or resume deliveries (§1.5.2.3)."""
    reply(channel, "channel.flow-ok", active)
    channel.set_flow(active)


def on_channel_flow_ok(channel: Channel, _active: bool) -> None:
    """We never ask; harmless."""


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


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def handled() -> dict[str, tuple[Callable[..., None], list[int]]]:
    """Per method: the function `on_CLASS_METHOD` that takes it, and where its arguments are that are not reserved."""
    functions = {
        name[3:]: function
        for place in (globals(), vars(topology), vars(consuming))
        for name, function in place.items()
        if name.startswith("on_")
    }
    table = {}
    for method in METHODS.values():
        function = functions.get(method.name.replace(".", "_").replace("-", "_"))
        if function is not None:
            positions = [index for index, name in enumerate(method.arguments) if not name.startswith("reserved")]
            table[method.name] = (function, positions)
    return table


HANDLED = handled()
