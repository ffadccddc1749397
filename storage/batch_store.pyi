from collections.abc import Callable

from storage.open_batch import OpenBatch

class BatchStore(OpenBatch):
    """Sealing, collecting, compacting, telling; the settings that every store has.

    `durability` is "fsync", "interval" (then `interval_ms` is at least 1) or "memory". ValueError for anything else.
    """

    journal: Callable[[bytes], object] | None
    @property
    def interval_ms(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def __init__(
        self,
        *,
        durability: str = "fsync",
        interval_ms: int = 0,
        segment_bytes_max: int = 4194304,
        tidy_ms: int = 1000,
        on_status: Callable[[str, str], object] | None = None,
    ) -> None: ...
