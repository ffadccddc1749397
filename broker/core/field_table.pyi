"""Typed signatures of the Python half of `field_table.pyx`."""

from collections.abc import Mapping
from typing import Any

class Timestamp(int):
    """Seconds since 1970, carried by field type 'T'."""

class Long(int):
    """An integer that is carried by field type 'l' however small it is."""

def decode_table(raw: bytes | bytearray | memoryview) -> dict[str, Any]: ...
def encode_table(table: Mapping[str, object]) -> bytes: ...
