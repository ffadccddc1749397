import os
from collections.abc import Callable
from pathlib import Path

from storage.segment_store import SegmentStore

class LmdbStore(SegmentStore):
    """The store on disk, in `directory`. Raises StoreLockedError, StoreCorruptError, StoreVersionError, StoreError."""

    @property
    def directory(self) -> Path: ...
    @property
    def node_id(self) -> str: ...
    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        durability: str = "fsync",
        interval_ms: int = 0,
        map_bytes: int | None = None,
        disk_free_min_bytes: int = 50_000_000,
        segment_bytes_max: int = 4194304,
        tidy_ms: int = 1000,
        on_status: Callable[[str, str], object] | None = None,
    ) -> None: ...
