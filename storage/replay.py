"""Replays the bytes of a batch onto a state in dicts. Slow and plain: it says what a batch means.

Owns the meaning of the four verbs (`batch.pxd` draws the bytes). `memory_store` lives on it; the tests prove that LMDB
ends up in the same state.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from storage.compaction import compact
from storage.layout import Database, segment_key

State = dict[int, dict[bytes, bytes]]
"""Per database number: key → value."""

PUT, DELETE, COMPACT, DROP = 1, 2, 3, 4

_HEADER = struct.Struct("<IHHQQ")
_OPERATION = struct.Struct("<BBHI")
_MAGIC = 0x54414248
_VERSION = 1


def empty_state() -> State:
    """A state in which nothing was ever stored."""
    return {int(database): {} for database in Database}


def operations(batch: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """The (verb, database, key, value) of a batch, in order. ValueError where the bytes are not a whole batch."""
    if len(batch) < _HEADER.size:
        raise ValueError("a batch is cut short")
    magic, version, _, _, size = _HEADER.unpack_from(batch)
    if magic != _MAGIC or version != _VERSION or size != len(batch) - _HEADER.size:
        raise ValueError("not a batch, or cut short")
    at = _HEADER.size
    while at < len(batch):
        verb, database, key_size, value_size = _OPERATION.unpack_from(batch, at)
        at += _OPERATION.size
        yield verb, database, batch[at : at + key_size], batch[at + key_size : at + key_size + value_size]
        at += key_size + value_size


def replay(batch: bytes, state: State) -> None:
    """Apply one batch to `state`, in place."""
    for verb, database, key, value in operations(batch):
        if verb == PUT:
            state[database][key] = value
        elif verb == DELETE:
            state[database].pop(key, None)
        elif verb == COMPACT:
            _compact(state, key, value)
        elif verb == DROP:
            _drop(state, key, *struct.unpack("<II", value))
        else:
            raise ValueError(f"unknown verb {verb} in a batch")


def _compact(state: State, key: bytes, settled: bytes) -> None:
    (segment,) = struct.unpack(">Q", key)
    segments = state[Database.SEGMENTS]
    values: list[bytes] = []
    while (value := segments.pop(segment_key(segment, len(values)), None)) is not None:
        values.append(value)
    segments[segment_key(segment, 0)] = compact(values, settled)
    state[Database.SETTLED].pop(key, None)


def _drop(state: State, key: bytes, parts: int, chunks: int) -> None:
    (segment,) = struct.unpack(">Q", key)
    for part in range(parts):
        del state[Database.SEGMENTS][segment_key(segment, part)]
    for chunk in range(chunks):
        del state[Database.CHUNKS][segment_key(segment, chunk)]
    state[Database.SETTLED].pop(key, None)
