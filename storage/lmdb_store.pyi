import os
from collections.abc import Callable

from storage.lmdb_reader import LmdbReader

class LmdbStore(LmdbReader):
    """The store on disk, in `directory`. Raises StoreLockedError, StoreCorruptError, StoreVersionError, StoreError."""

    @property
    def replayed(self) -> int:
        """Batches that were in the journal alone when the store was opened."""

    def checkpoint(self, timeout_s: float = 60.0) -> None:
        """Wait until all that was committed is in LMDB. Any thread; raises StoreFailedError."""

    @property
    def node_id(self) -> str: ...
    disk_free_min_bytes: int
    """Below this much free space the status is "full". It may change while the store is open."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        durability: str = "fsync",
        interval_ms: int = 0,
        linger_ms: int = 0,
        map_bytes: int | None = None,
        disk_free_min_bytes: int = 50_000_000,
        journal_bytes: int = 67_108_864,
        checkpoint_ms: int = 1000,
        segment_bytes_max: int = 4194304,
        tidy_ms: int = 1000,
        on_status: Callable[[str, str], object] | None = None,
    ) -> None: ...
