"""What may wait for an MQTT client, as arguments of the core queue in which it waits.

Owns the words of the settings `mqtt.session_*` and what they mean to a queue. Refuses to do anything itself: limits,
drops and their account are the queue's.

    session_overflow   queue
    drop-head          the oldest gives way
    drop-tail          the newest is dropped; its publisher is told "yes"
    reject             the newest is refused: PUBACK and PUBREC say 0x97 (MQTT 5.0 §3.4.2.1)
    dead-letter        the oldest gives way to the dead-letter exchange, as what expires does
"""

from __future__ import annotations

from typing import Any

OVERFLOWS = {"drop-head": "drop-head", "drop-tail": "drop-tail", "reject": "reject-publish", "dead-letter": "drop-head"}


def queue_arguments(
    *, messages_max: int, bytes_max: int, overflow: str, dead_letter_exchange: str | None
) -> dict[str, Any]:
    """x-arguments of a session's or a share's queue. `bytes_max`: of payloads. 0: no limit."""
    arguments: dict[str, Any] = {}
    if messages_max:
        arguments["x-max-length"] = messages_max
    if bytes_max:
        arguments["x-max-length-bytes"] = bytes_max
    if arguments:
        arguments["x-overflow"] = OVERFLOWS[overflow]
    if overflow == "dead-letter" and dead_letter_exchange is not None:
        arguments["x-dead-letter-exchange"] = dead_letter_exchange
    return arguments
