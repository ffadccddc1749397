"""Typed signatures of the Python half of `ready.pyx`."""

from broker.core.delivery_counts import DeliveryCounts
from storage.interface import Store

class ReadyList:
    """The messages of one queue, of one priority, that wait for a consumer."""

    def __init__(self, store: Store, delivery_counts: DeliveryCounts, store_id: int, memory_bytes_max: int) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def bytes(self) -> int: ...
