"""The native dialect's messages, as they stand on the wire in JSON or MessagePack (docs/protocols/websocket.md).

Owns names, types and the two encodings. A message that has a field which is not here, or of another type, is
malformed. Refuses to know what the messages mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Id = Annotated[str, Meta(max_length=255)] | Annotated[int, Meta(ge=0, lt=2**53)]
Name = Annotated[str, Meta(max_length=255)]
Tag = Annotated[int, Meta(ge=1)]


class Properties(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A message's properties: AMQP's, by their names."""

    content_type: Name | None = None
    content_encoding: Name | None = None
    headers: dict[str, Any] | None = None
    priority: Annotated[int, Meta(ge=0, le=255)] | None = None
    correlation_id: Name | None = None
    reply_to: Name | None = None
    expiration_ms: Annotated[int, Meta(ge=0)] | None = None
    message_id: Name | None = None
    timestamp: Annotated[int, Meta(ge=0)] | None = None
    type: Name | None = None
    app_id: Name | None = None


# ── what a client says ────────────────────────────────────────────────────────────────────────────────────────────────


class Request(Struct, tag_field="type", tag=str.lower, forbid_unknown_fields=True, kw_only=True):
    """`id`, where there is one, comes back in the answer."""

    id: Id | None = None


class Hello(Request):
    """The first one."""

    user: str | None = None
    password: str = ""
    vhost: Name = "/"
    version: int = 1


class Publish(Request):
    """To a topic, to a queue, or to an exchange. Answered where it has an id."""

    topic: str | None = None
    queue: Name | None = None
    exchange: Name | None = None
    routing_key: str = ""
    body: str | None = None
    octets: bytes | None = None
    properties: Properties | None = None
    persistent: bool | None = None
    mandatory: bool = False
    retain: bool = False


class Subscribe(Request):
    """To a topic filter, or to a queue."""

    id: Id
    topic: str | None = None
    queue: Name | None = None
    ack: bool = False
    credit: Annotated[int, Meta(ge=1)] = 100
    octets: bool = False


class Unsubscribe(Request):
    """`id` is the subscription's."""

    id: Id


class Ack(Request):
    """A message was dealt with, or with `multiple` all up to it."""

    tag: Tag
    multiple: bool = False


class Nack(Request):
    """It was not: it comes again, or goes to the dead letters."""

    tag: Tag
    multiple: bool = False
    requeue: bool = True


class Declare(Request):
    """A queue."""

    queue: Name
    durable: bool = True
    arguments: dict[str, Any] | None = None


class Ping(Request):
    """Are you there?"""


AnyRequest = Hello | Publish | Subscribe | Unsubscribe | Ack | Nack | Declare | Ping


# ── what the broker says ──────────────────────────────────────────────────────────────────────────────────────────────


class Answer(Struct, tag_field="type", tag=str.lower, omit_defaults=True, kw_only=True):
    """`id` is the request's."""

    id: Id | None = None


class Welcome(Answer):
    """The login is right."""

    server: str
    user: str
    vhost: str
    version: int


class Accepted(Answer):
    """A publication is as safe as it is to be."""


class Subscribed(Answer):
    """Messages follow."""


class Unsubscribed(Answer):
    """No more messages follow."""


class Declared(Answer):
    """The queue is there, on the disk if it is durable."""

    queue: str


class Message(Answer):
    """One for a subscription, whose id this is."""

    tag: int | None = None
    topic: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    body: str | None = None
    octets: bytes | None = None
    properties: dict[str, Any] | None = None
    persistent: bool = False
    redelivered: bool = False
    retained: bool = False


class Cancelled(Answer):
    """The subscription's queue is gone."""


class Error(Answer):
    """The request was not met, or the connection is about to end."""

    code: str
    text: str


class Pong(Answer):
    """Yes."""


def _plain(value: object) -> object:
    """What AMQP's tables can carry and JSON has no type for: integers of several kinds; decimals, as text."""
    return int(value) if isinstance(value, int) else str(value)


class Encoding:
    """JSON or MessagePack: the same messages."""

    def __init__(self, name: str) -> None:
        """`name`: json or msgpack."""
        self._decode: Callable[[bytes], AnyRequest]
        if name == "json":
            self._decode = msgspec.json.Decoder(AnyRequest).decode
            self._encode = msgspec.json.Encoder(enc_hook=_plain).encode
        else:
            self._decode = msgspec.msgpack.Decoder(AnyRequest).decode
            self._encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode

    def decode(self, message: bytes) -> AnyRequest:
        """A request. Raises ValueError with a text for the client."""
        try:
            return self._decode(message)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(str(error)) from None

    def encode(self, answer: Answer) -> bytes:
        """An answer's octets."""
        return self._encode(answer)
