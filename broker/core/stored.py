"""Definitions as the store has them: by kind, unpacked. Owns nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from storage.layout import Database, definition_prefix
from storage.scanning import Scannable, every


def definitions(store: Scannable, kind: str) -> Iterator[dict[str, Any]]:
    """Every committed definition of a kind. The names are in the values: long keys are cut."""
    for _key, value in every(store, Database.DEFINITIONS, *definition_prefix(kind)):
        yield msgpack.unpackb(value)
