"""Sender-selected distribution (RabbitMQ): the CC and BCC headers are further routing keys of a message.

Owns what the two headers may hold, and that nobody sees BCC. Refuses to know exchanges: who routes asks for the keys.
"""

from __future__ import annotations

from broker.core.arguments import type_name
from broker.core.errors import PreconditionFailed
from broker.core.message import Message
from broker.core.properties import header_value, replace_headers


def routing_keys(message: Message) -> list[bytes]:
    """The message's own key and those of its copies. Raises PreconditionFailed where a header is no array."""
    keys = [message.routing_key]
    for name in ("CC", "BCC"):
        copies = header_value(message.raw_properties, name)
        if copies is None:
            continue
        if not isinstance(copies, list):
            raise PreconditionFailed(f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name(copies)}}}')
        keys.extend(copy if isinstance(copy, bytes) else str(copy).encode() for copy in copies)
    return keys


def without_blind_copies(message: Message) -> Message:
    """The message as it is delivered."""
    properties = replace_headers(message.raw_properties, {}, remove=("BCC",))
    if properties == message.raw_properties:
        return message
    return Message(message.exchange, message.routing_key, properties, message.body)
