"""May the user do this? RabbitMQ's rules of configure, write and read, and its words where the answer is no (403)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.errors import AccessRefused, NotFound

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.core.exchange import Exchange


def check_configure(channel: Channel, what: str, name: str) -> None:
    """May the user declare and delete it?"""
    refuse_unless(channel.user.may_configure(channel.vhost.name, name, what), channel, what, name)


def check_write(channel: Channel, what: str, name: str) -> None:
    """May the user bring messages in?"""
    refuse_unless(channel.user.may_write(channel.vhost.name, name, what), channel, what, name)


def check_read(channel: Channel, what: str, name: str) -> None:
    """May the user take messages out?"""
    refuse_unless(channel.user.may_read(channel.vhost.name, name, what), channel, what, name)


def exchange_to_publish_to(channel: Channel, name: bytes) -> Exchange:
    """The exchange of a publish, where there is one and the user may: kept for the next publish."""
    text = name.decode("utf-8", "surrogateescape")
    exchange = channel.vhost.exchanges.get(text)
    if exchange is None:
        raise NotFound(f"no exchange '{text}' in vhost '{channel.vhost.name}'")
    check_write(channel, "exchange", text or "amq.default")
    if exchange.internal:
        raise AccessRefused(f"cannot publish to internal exchange '{text}' in vhost '{channel.vhost.name}'")
    return exchange


def refuse_unless(allowed: bool, channel: Channel, what: str, name: str) -> None:
    """403 with RabbitMQ's text, where the user's permission does not cover it."""
    if not allowed:
        raise AccessRefused(
            f"access to {what} '{name}' in vhost '{channel.vhost.name}' refused for user '{channel.user.name}'"
        )
