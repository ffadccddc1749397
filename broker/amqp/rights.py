"""May the user do this? RabbitMQ's rules of configure, write and read, and its words where the answer is no (403)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core import carbon_copies
from broker.core.errors import AccessRefused, NotFound
from broker.core.undecided import Undecided

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.core.exchange import Exchange
    from broker.core.message import Message
    from broker.core.topic_rights import TopicRights


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


def topic_rights(channel: Channel, exchange: Exchange) -> TopicRights | None:
    """What the user may by topic there; None: everything."""
    found: TopicRights | None = channel.vhost.broker.access.topics.rights(channel.user, channel.vhost.name, exchange)
    return found


def check_topic_bind(channel: Channel, source: Exchange, key: bytes) -> None:
    """May the user have what this binding key matches?"""
    rights = topic_rights(channel, source)
    if rights is not None:
        rights.check_bind(key)


def check_carbon_copies(rights: TopicRights, message: Message) -> None:
    """A message whose headers name more routing keys (CC, BCC) needs the right for each."""
    try:
        for key in carbon_copies.routing_keys(message):
            rights.check_write(key)
    except Undecided:  # its content is here already: it cannot come again
        text = "routing keys in CC and BCC are for who was asked about them before, as the routing key of a message"
        raise AccessRefused(text) from None


def refuse_unless(allowed: bool, channel: Channel, what: str, name: str) -> None:
    """403 with RabbitMQ's text, where the user's permission does not cover it."""
    if not allowed:
        raise AccessRefused(
            f"access to {what} '{name}' in vhost '{channel.vhost.name}' refused for user '{channel.user.name}'"
        )
