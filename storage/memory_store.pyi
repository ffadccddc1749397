from collections.abc import Callable

from storage.replay import State
from storage.segment_store import SegmentStore

class MemoryStore(SegmentStore):
    """The store in dicts. `state`: what an earlier one left, to go on from."""

    @property
    def state(self) -> State: ...
    def __init__(
        self,
        *,
        state: State | None = None,
        durability: str = "memory",
        interval_ms: int = 0,
        linger_ms: int = 0,
        segment_bytes_max: int = 4194304,
        tidy_ms: int = 1000,
        on_status: Callable[[str, str], object] | None = None,
    ) -> None: ...
