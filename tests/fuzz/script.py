"""A conversation as one string of bytes, so that fuzzers can keep, cut and splice it.

    kind u8 │ size u16 │ content          CLIENT_A, CLIENT_B: bytes for one of two connections that are open
                                          STRANGER: bytes for a connection that has not said anything yet
                                          LOSE: the socket of the client in the first content byte breaks
                                          WAIT: as many milliseconds as the content says, big-endian, at most a minute
                                          OTHER: bytes for a client of another dialect, where the target has one

A frame larger than 65,535 bytes is two steps. Anything at all is a script: an unknown kind is CLIENT_A, a size that
runs beyond the end is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

CLIENT_A, CLIENT_B, STRANGER, LOSE, WAIT, OTHER = range(6)
KINDS = 6
SIZE_MAX = 0xFFFF
WAIT_MS_MAX = 60_000


class Step(NamedTuple):
    """One step of a conversation."""

    kind: int
    content: bytes


def write(steps: Iterable[Step]) -> bytes:
    """The steps as bytes."""
    out = bytearray()
    for kind, content in steps:
        for start in range(0, len(content) or 1, SIZE_MAX):
            part = content[start : start + SIZE_MAX]
            out += bytes([kind]) + len(part).to_bytes(2, "big") + part
    return bytes(out)


def read(script: bytes) -> Iterator[Step]:
    """The steps that the bytes stand for."""
    at = 0
    while at + 3 <= len(script):
        kind, size = script[at], int.from_bytes(script[at + 1 : at + 3], "big")
        yield Step(kind if kind < KINDS else CLIENT_A, script[at + 3 : at + 3 + size])
        at += 3 + size
