"""The boundary between AMQP 0-9-1's words and the core's: errors to reply codes, property names to arguments.

The only file of this dialect that knows both vocabularies.
"""

from __future__ import annotations

from broker.core import errors

# Reply codes (AMQP 0-9-1 §1.2, RabbitMQ). A hard error closes the connection, a soft one the channel.
REPLY_NAMES = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}
HARD = frozenset((320, 402, 501, 502, 503, 504, 505, 530, 540, 541))


class AmqpError(Exception):
    """A reply code and text for the peer; `is_hard` says whether the connection or only the channel is closed."""

    def __init__(self, code: int, text: str, *, hard: bool | None = None) -> None:
        """`text` is put behind the code's name, as RabbitMQ does."""
        super().__init__(f"{REPLY_NAMES[code]} - {text}")
        self.code = code
        self.text = f"{REPLY_NAMES[code]} - {text}"
        self.is_hard = code in HARD if hard is None else hard


CODES: dict[type[errors.CoreError], int] = {
    errors.NotFound: 404,
    errors.AccessRefused: 403,
    errors.PreconditionFailed: 406,
    errors.ResourceLocked: 405,
    errors.NotImplementedHere: 540,
    errors.InvalidPath: 530,
    errors.LimitExceeded: 530,
    errors.TableError: 502,
    errors.NotAccepted: 541,
}


def reply_for(error: errors.CoreError) -> AmqpError:
    """What a refusal of the core is called in AMQP."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return AmqpError(CODES[kind], error.text)
    return AmqpError(541, error.text)
