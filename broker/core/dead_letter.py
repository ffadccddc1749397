"""What a message says of itself after it was dead-lettered: the x-death headers, RabbitMQ's way.

Owns the history in the headers and the decision that a queue is in its own cycle. Refuses to know exchanges and queues:
the vhost routes.

    x-death                 one table per (queue, reason), the newest first: count, reason, queue, time, exchange,
                            routing-keys and, where the message had one, original-expiration
    x-first-death-*         queue, reason, exchange of the first time; never changed again
    x-last-death-*          of this time

The message loses its own expiration, or it would expire again in the queue that it is meant to wait in. Every other
property and header stays byte for byte.

Deviation: RabbitMQ routes a dead letter by BCC keys too; here BCC is gone since the first publish.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from broker.core.message import Message
from broker.core.properties import (
    Long,
    Timestamp,
    add_headers,
    decode_properties,
    encode_table,
    header_value,
    replace_headers,
    replace_properties,
)

REJECTED = "rejected"
COUNT_MAX = 2**63 - 2
HEADERS_FLAG = 0x20
"""In the first octet of a property list (AMQP 0-9-1 §4.2.6.1): it has headers."""
FIRST_DEATHS_REMEMBERED_MAX = 256
"""Tables that say the same of all who died alike within a second."""


def text(value: bytes) -> str:
    """Names and keys as header values; what is not UTF-8 survives the way back."""
    return value.decode("utf-8", "surrogateescape")


def carbon_copies(raw_properties: bytes) -> list[str]:
    """The further routing keys in the CC header; none where it is no array."""
    copies = header_value(raw_properties, "CC")
    if not isinstance(copies, list):
        return []
    return [text(copy) if isinstance(copy, bytes) else copy for copy in copies if isinstance(copy, str | bytes)]


def routing_keys(message: Message, dead_letter_routing_key: str | None) -> list[bytes]:
    """The keys by which a dead letter is routed: the queue's own, or else those the message was published with."""
    if dead_letter_routing_key is not None:
        return [dead_letter_routing_key.encode("utf-8", "surrogateescape")]
    copies = carbon_copies(message.raw_properties)
    return [message.routing_key, *(copy.encode("utf-8", "surrogateescape") for copy in copies)]


def letter(message: Message, *, queue: str, reason: str, exchange: str, routing_key: bytes, now_ms: int) -> Message:
    """The message as it goes to the dead-letter exchange.

    `queue`, `reason`: where and why it died; `exchange`, `routing_key`: where it goes; `now_ms`: since 1970.
    """
    raw, published_with = message.raw_properties, message.routing_key
    died_in = text(message.exchange)
    expiration = decode_properties(raw).get("expiration") if message.expiration_ms >= 0 else None
    if expiration is not None:
        raw = replace_properties(raw, expiration=None)
    if not raw[0] & HEADERS_FLAG:  # not Message.has_headers, which of MQTT's user properties knows nothing
        told = add_headers(raw, first_death(queue, reason, died_in, published_with, now_ms // 1000, expiration))
    else:
        keys = [text(published_with), *carbon_copies(raw)]
        death = one_death(queue, reason, died_in, keys, now_ms // 1000, expiration)
        changes = last_death(deaths_with(header_value(raw, "x-death"), death), queue, reason, died_in)
        if header_value(raw, "x-first-death-reason") is None:
            changes |= first_of_deaths(queue, reason, died_in)
        # The queue's own routing key replaces the carbon copies as well, or the next death would route by them again.
        told = replace_headers(raw, changes, ("CC",) if routing_key != published_with else ())
    return message.readdressed(exchange.encode("utf-8", "surrogateescape"), routing_key, told)


@lru_cache(maxsize=FIRST_DEATHS_REMEMBERED_MAX)
def first_death(
    queue: str, reason: str, died_in: str, routing_key: bytes, time_s: int, expiration: str | None
) -> bytes:
    """The headers of a message that had none, as a field table."""
    death = one_death(queue, reason, died_in, [text(routing_key)], time_s, expiration)
    return encode_table(last_death([death], queue, reason, died_in) | first_of_deaths(queue, reason, died_in))


def one_death(
    queue: str, reason: str, died_in: str, keys: list[str], time_s: int, expiration: str | None
) -> dict[str, Any]:
    """An entry of x-death."""
    death: dict[str, Any] = {
        "count": Long(1),
        "reason": reason,
        "queue": queue,
        "time": Timestamp(time_s),
        "exchange": died_in,
        "routing-keys": keys,
    }
    return death if expiration is None else {**death, "original-expiration": expiration}


def last_death(deaths: list[object], queue: str, reason: str, died_in: str) -> dict[str, object]:
    """What every death says anew."""
    return {
        "x-death": deaths,
        "x-last-death-reason": reason,
        "x-last-death-queue": queue,
        "x-last-death-exchange": died_in,
    }


def first_of_deaths(queue: str, reason: str, died_in: str) -> dict[str, object]:
    """What only the first says."""
    return {"x-first-death-reason": reason, "x-first-death-queue": queue, "x-first-death-exchange": died_in}


def died_of(entry: dict[str, Any], queue: str, reason: str | None = None) -> bool:
    """True where an entry of the history tells of this queue (and reason)."""
    named = entry.get("queue")
    return (text(named) if isinstance(named, bytes) else named) == queue and reason in (None, entry.get("reason"))


def deaths_with(deaths: object, death: dict[str, Any]) -> list[object]:
    """The history with one more death: the entry of this queue and reason counts on and comes to the front.

    Several of one queue and reason, as old brokers wrote them, become one (RabbitMQ). A header that a client turned
    into something else than an array begins anew.
    """
    if not isinstance(deaths, list):
        return [death]
    queue, reason = death["queue"], death["reason"]
    others: list[object] = []
    kinds: dict[str, dict[str, Any]] = {}
    for entry in deaths:
        if not isinstance(entry, dict):
            others.append(entry)
            continue
        count = entry.get("count")
        # A client may have written anything; what does not fit into 64 bits could not be encoded again.
        known = {**entry, "count": Long(min(count, COUNT_MAX) if isinstance(count, int) else 1)}
        kind = repr((entry.get("queue"), entry.get("reason")))  # a client may have written what has no hash
        if kind in kinds:
            kinds[kind]["count"] = Long(min(kinds[kind]["count"] + known["count"], COUNT_MAX))
            continue
        kinds[kind] = known
        if died_of(entry, queue, reason):
            # The first time, exchange and keys stay: the entry tells of the first death of its kind.
            known["count"] = Long(known["count"] + 1)
            death = known
        else:
            others.append(known)
    return [death, *others]


def would_cycle(raw_properties: bytes, queue_name: str) -> bool:
    """True where the message died in that queue before and nobody rejected it since: it would go round for ever."""
    deaths = header_value(raw_properties, "x-death")
    if not isinstance(deaths, list):
        return False
    for entry in deaths:
        # Whatever is no table was put there by a client: then the way round was not automatic.
        if not isinstance(entry, dict) or entry.get("reason") == REJECTED:
            return False
        if died_of(entry, queue_name):
            return True
    return False
