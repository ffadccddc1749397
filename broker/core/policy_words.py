"""What is wrong with a policy, a limit or a parameter, in RabbitMQ's words.

Owns the sentences. Where RabbitMQ shows a value as Erlang's term (`<<"x">>`), it is shown as JSON here.
"""

from __future__ import annotations

import json
from typing import Any

MEANINGS = {
    "message-ttl": "message TTL",
    "expires": "queue expiry",
    "max-length": "maximum length",
    "max-length-bytes": "maximum length in bytes",
    "delivery-limit": "delivery limit",
    "consumer-timeout": "consumer timeout",
    "overflow": "overflow value",
    "dead-letter-exchange": "dead letter exchange name",
    "dead-letter-routing-key": "dead letter routing key",
    "alternate-exchange": "alternate exchange name",
}


def shown(value: Any) -> str:
    """A value in a sentence."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def failed(sentence: str) -> str:
    """RabbitMQ's frame around what its validation says."""
    return f"Validation failed\n\n{sentence}\n"


def not_valid(word: str, value: Any) -> str:
    """A word of a policy's definition with a value that means nothing."""
    return failed(f"{shown(value)} is not a valid {MEANINGS.get(word, word)}")
