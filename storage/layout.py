"""The databases of a data directory, and how their keys are made.

Owns the names and numbers of the databases, the schema version and the key encoders. Knows nothing of LMDB. What the
values of `segments` look like is drawn in `segment.pxd`.

    database     key                              value
    meta         name                             schema version, node id, segment ceiling, journal
    definitions  kind, vhost, name…               MessagePack, written by the core
    segments     segment u64, part u32            header, queue table, slot table, records
    settled      segment u64                      bitmap: settled slots of the segment
    chunks       segment u64, chunk u32           1 MiB of a large body
    retained     vhost, topic                     a record, written by the core
    sessions     vhost, client id                 MessagePack, written by the core
    delayed      due time ms u64, id u64          a record, written by the core
    deliveries   queue u32, segment u64, slot u32 u16: how often the slot's message came back

Integers in keys are big-endian, so that keys sort as numbers. Each text of a composed key stands behind its length in
two bytes: no text can reach into its neighbour, and whole leading texts make a prefix that can be scanned.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

SCHEMA_VERSION = 3
"""Of the data directory; `migrate.py` knows the way from older ones."""

KEY_BYTES_MAX = 511
"""LMDB's limit for a key."""

META_SCHEMA = b"schema"
META_NODE_ID = b"node_id"
META_JOURNAL = b"journal"
"""Epoch of the journal and sequence of the last batch that LMDB has, u64 each: what follows it is in the journal."""
META_SEGMENT_CEILING = b"segment_ceiling"
"""Segment numbers below this one may have been used: after a restart numbering goes on from here."""


class Database(IntEnum):
    """Number of each database; its name on disk is the lower-case name."""

    META = 0
    DEFINITIONS = 1
    SEGMENTS = 2
    SETTLED = 3
    CHUNKS = 4
    RETAINED = 5
    SESSIONS = 6
    DELAYED = 7
    DELIVERIES = 8


def _fitted(key: bytes) -> bytes:
    """`key`, or where it is too long for the database its beginning and a digest of all of it: still unique."""
    if len(key) <= KEY_BYTES_MAX:
        return key
    digest = hashlib.sha256(key).digest()
    return key[: KEY_BYTES_MAX - len(digest)] + digest


def texts_key(*texts: str | bytes) -> bytes:
    """The key of several texts. Over 511 bytes its end is a digest, so keep the full texts in the value as well."""
    encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    return _fitted(b"".join(struct.pack(">H", len(text)) + text for text in encoded))


def definition_key(kind: str, vhost: str, *names: str) -> bytes:
    """Key in `definitions`: `kind` is a word such as "queue"; `names` are what identifies one within the vhost."""
    return texts_key(kind, vhost, *names)


def definition_prefix(kind: str, vhost: str | None = None) -> tuple[bytes, bytes | None]:
    """The (start, end) to scan all definitions of a kind, in one vhost or in all."""
    prefix = texts_key(kind) if vhost is None else texts_key(kind, vhost)
    return prefix, prefix_end(prefix)


def definition_kind(key: bytes) -> str:
    """The kind that a key of `definitions` begins with."""
    (size,) = struct.unpack_from(">H", key)
    return key[2 : 2 + size].decode()


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key behind every key that begins with `prefix`; None where there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def delayed_key(due_ms: int, number: int) -> bytes:
    """Key in `delayed`: sorts by due time (milliseconds since 1970), then by `number`."""
    return struct.pack(">QQ", due_ms, number)


def delayed_parts(key: bytes) -> tuple[int, int]:
    """The (due_ms, number) of a key in `delayed`."""
    due_ms, number = struct.unpack(">QQ", key)
    return due_ms, number


def delivery_key(queue: int, segment: int, slot: int) -> bytes:
    """Key in `deliveries`: `queue` is the first number by which the store knows the queue."""
    return struct.pack(">IQI", queue, segment, slot)


def delivery_parts(key: bytes) -> tuple[int, int, int]:
    """The (queue, segment, slot) of a key in `deliveries`."""
    queue, segment, slot = struct.unpack(">IQI", key)
    return queue, segment, slot


def delivery_value(count: int) -> bytes:
    """Value in `deliveries`."""
    return struct.pack("<H", count)


def delivery_count(value: bytes) -> int:
    """The count of a value in `deliveries`."""
    (count,) = struct.unpack("<H", value)
    return int(count)


def segment_key(segment: int, part: int) -> bytes:
    """Key in `segments` (part) and `chunks` (chunk)."""
    return struct.pack(">QI", segment, part)


def settled_key(segment: int) -> bytes:
    """Key in `settled`."""
    return struct.pack(">Q", segment)
