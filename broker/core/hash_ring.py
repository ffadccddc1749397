"""The x-consistent-hash exchange: each message goes to one destination, chosen by a hash and the destinations' weights.

Owns the choice. Every slot of a fixed number of slots belongs to the destination with the highest weighted score there
(rendezvous hashing), so that the choice depends on nothing but the set of (destination, weight): it is the same after a
restart, in whatever order bindings came; and a destination that comes or goes moves only its own share of the messages.

Deviation: a destination that is bound twice has the sum of both weights, where RabbitMQ ignores the second binding,
because then which weight counts would depend on the order of binding.

Invariant: `owners` holds only slots that were asked for since the last change of the destinations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from broker.core.errors import BindingInvalid, PreconditionFailed

SLOTS = 1 << 16
WEIGHT_MAX = 65_535
HASH_PROPERTIES = ("correlation_id", "message_id", "timestamp")
INTEGER = re.compile(rb"[+-]?[0-9]{1,18}")


class Share:
    """One destination's part of the ring."""

    __slots__ = ("destination", "seed", "weight")

    def __init__(self, destination: Any) -> None:
        """`destination.name` and its class tell destinations apart, and are the same after a restart."""
        self.destination = destination
        self.weight = 0
        self.seed = f"{type(destination).__name__}\0{destination.name}".encode("utf-8", "surrogateescape")

    def score(self, slot: int) -> float:
        """How much this destination wants the slot: the highest takes it, in proportion to the weights."""
        digest = blake2b(slot.to_bytes(4, "big"), digest_size=8, key=blake2b(self.seed, digest_size=16).digest())
        uniform = (int.from_bytes(digest.digest(), "big") + 1) / ((1 << 64) + 2)
        return -self.weight / math.log(uniform)


class HashRing:
    """The destinations of one x-consistent-hash exchange."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        """`arguments`: of the exchange; `hash-header` or `hash-property`. Raises PreconditionFailed."""
        self.header = text_argument(arguments, "hash-header")
        self.property = text_argument(arguments, "hash-property")
        if self.header is not None and self.property is not None:
            raise PreconditionFailed("hash-header and hash-property are mutually exclusive")
        if self.property is not None and self.property not in HASH_PROPERTIES:
            raise PreconditionFailed(f"Unsupported property: {self.property}")
        self.shares: dict[int, Share] = {}
        self.owners: dict[int, Any] = {}

    def add(self, binding_key: bytes, destination: Any) -> None:
        """Give `destination` the weight that the binding key names. Raises BindingInvalid."""
        weight = check_weight(binding_key)
        share = self.shares.setdefault(id(destination), Share(destination))
        share.weight += weight
        self.owners.clear()

    def remove(self, binding_key: bytes, destination: Any) -> None:
        """Take that weight away again."""
        share = self.shares[id(destination)]
        share.weight -= check_weight(binding_key)
        if share.weight <= 0:
            del self.shares[id(destination)]
        self.owners.clear()

    def find(self, routing_key: bytes, properties: Mapping[str, Any]) -> Any | None:
        """The destination of a message; None where there are no bindings."""
        if not self.shares:
            return None
        digest = blake2b(self.hashed(routing_key, properties), digest_size=4).digest()
        slot = int.from_bytes(digest, "big") % SLOTS
        owner = self.owners.get(slot)
        if owner is None:
            owner = max(self.shares.values(), key=lambda share: share.score(slot)).destination
            self.owners[slot] = owner
        return owner

    def hashed(self, routing_key: bytes, properties: Mapping[str, Any]) -> bytes:
        """What of the message is hashed. All messages that lack it go the same way."""
        if self.header is not None:
            value = (properties.get("headers") or {}).get(self.header)
        elif self.property is not None:
            value = properties.get(self.property)
        else:
            return routing_key
        if isinstance(value, bytes | bytearray):
            return bytes(value)
        return b"" if value is None else str(value).encode("utf-8", "surrogateescape")


def text_argument(arguments: Mapping[str, object], name: str) -> str | None:
    """The exchange's argument `name`. Raises PreconditionFailed where it is no text."""
    value = arguments.get(name)
    if value is not None and not isinstance(value, str):
        raise PreconditionFailed(f"invalid argument '{name}': expected longstr")
    return value


def check_weight(binding_key: bytes) -> int:
    """The weight that a binding key stands for. Raises BindingInvalid with RabbitMQ's texts."""
    if not INTEGER.fullmatch(binding_key):
        shown = binding_key.decode("utf-8", "backslashreplace")
        raise BindingInvalid(f'The binding key must be an integer: <<"{shown}">>')
    weight = int(binding_key)
    if weight < 1:
        raise BindingInvalid("The binding key must be greater than 0")
    if weight > WEIGHT_MAX:
        raise BindingInvalid(f"The binding key must not exceed {WEIGHT_MAX}")
    return weight
