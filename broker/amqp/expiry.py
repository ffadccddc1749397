"""A user whom a token names is one for as long as the token says.

Owns the timer of one connection, which each `update-secret` sets anew, and what is said at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.amqp.ending import fail
from broker.amqp.states import CLOSED, CLOSING
from broker.amqp.translate import AmqpError

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection


def watch_expiry(connection: AmqpConnection) -> None:
    """From now on, or no more where the user does not expire."""
    negotiation = connection.negotiation
    if negotiation.expiry is not None:
        negotiation.expiry.cancel()
        negotiation.expiry = None
    if connection.user.expires_ms:
        negotiation.expiry = connection.broker.clock.call_at(connection.user.expires_ms, lambda: on_expired(connection))


def on_expired(connection: AmqpConnection) -> None:
    """The token was not renewed in time: 320, after which clients connect again."""
    connection.negotiation.expiry = None
    if connection.state not in (CLOSING, CLOSED):
        fail(connection, AmqpError(320, "the credentials have expired"))
