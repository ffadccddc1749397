from typing import TypedDict

class QueueShare(TypedDict):
    """One queue's part of a part value."""

    slots: int
    live: int
    durable: int

class PartContents(TypedDict):
    """What a part value holds."""

    slots: int
    live: int
    records: int
    chunks: int
    bytes: int
    queues: dict[int, QueueShare]

def describe(value: bytes | memoryview, settled: bytes = b"") -> PartContents: ...
