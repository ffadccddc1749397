"""Typed signatures of `callback_target.pyx`."""

from collections.abc import Callable

from broker.core.message import Message
from broker.core.target import Target

class CallbackTarget(Target):
    """Calls `taken(message)`, which returns ROUTED, STORED, REFUSED or'ed."""

    name: str

    def __init__(self, name: str, taken: Callable[[Message], int]) -> None: ...
