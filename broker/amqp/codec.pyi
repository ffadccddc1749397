"""Typed signatures of the Python half of `codec.pyx`."""

from typing import Any

class SyntaxFault(Exception):  # noqa: N818 (the specification's word)
    """The arguments are not what the method's signature says."""

def arguments_of(payload: bytes, signature: bytes) -> list[Any]: ...
def method_frame(channel: int, name: str, *arguments: Any) -> bytes: ...
def frame(type: int, channel: int, payload: bytes) -> bytes: ...
