from pathlib import Path

from storage.segment_store import SegmentStore

class LmdbReader(SegmentStore):
    """What `LmdbStore` reads with."""

    @property
    def directory(self) -> Path: ...
