"""What events (`core.events`) say of an AMQP connection and its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.events import connection_fields, connection_name, name_of
from broker.core.properties import decode_table

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection


def connection_event(connection: AmqpConnection) -> dict[str, Any]:
    """The fields of `connection.created` and `connection.closed`."""
    mechanism = connection.negotiation.mechanism
    return {
        **connection_fields(connection),
        "auth_mechanism": mechanism.name if mechanism is not None else "",
        "timeout": connection.heartbeat_s,
        "frame_max": connection.frame_max,
        "channel_max": connection.channel_max,
        "client_properties": decode_table(connection.raw_client_properties or bytes(4)),
    }


def tell_of_channel(connection: AmqpConnection, event: str, number: int) -> None:
    """`channel.created` or `channel.closed`."""
    events = connection.broker.events
    if events.wanted:
        name = connection_name(connection)
        events.tell(
            event,
            name=f"{name} ({number})",
            connection=name,
            number=number,
            user=name_of(connection.user),
            vhost=name_of(connection.vhost),
        )
