"""What a change of a user's rights does to its open connections: nothing that was allowed before goes on unasked.

Owns the end of connections whose user is gone (320) or may not enter the vhost any more (403), of consumers whose queue
may not be read any more (basic.cancel), and that every next publish is asked about again. Refuses to know who changed
what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.amqp import consuming
from broker.amqp.ending import fail
from broker.amqp.states import RUNNING
from broker.amqp.translate import AmqpError
from broker.core.undecided import Undecided

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection


def on_rights_changed(connection: AmqpConnection) -> None:
    """The user's rights are not what they were, or there is no such user any more."""
    if connection.state != RUNNING:
        return
    user, vhost = connection.user, connection.vhost
    assert vhost is not None
    if user.is_deleted:
        fail(connection, AmqpError(320, f"user '{user.name}' is deleted"))
        return
    if not user.asks_others and not user.may_access(vhost.name):
        text = f"access to vhost '{vhost.name}' refused for user '{user.name}'"
        fail(connection, AmqpError(403, text, hard=True))
        return
    connection.be_metered()
    for channel in list(connection.channels.values()):
        channel.forget_rights()
        for consumer in list(channel.consumers.values()):
            if not may_go_on(connection, consumer):
                consumer.queue.remove_consumer(consumer)
                consumer.stop()
                consuming.cancel_by_queue(channel, consumer)


def may_go_on(connection: AmqpConnection, consumer: Any) -> bool:
    """May the user read the consumer's queue still? What others have to be asked anew about stays granted."""
    vhost = connection.vhost
    assert vhost is not None
    try:
        return connection.user.may_read(vhost.name, consumer.queue.name)
    except Undecided:
        return True
