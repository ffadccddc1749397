"""The disk under the data directories: how long an fdatasync of 4 KiB takes.

Two patterns, since they differ. *overwrite* is a page of a file that has its blocks already, which is what a store that
reuses its pages does: the floor for the confirm latency is computed from it, as the stricter of the two. *append* grows
the file, so that the file system has to commit its journal, too.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

BLOCK_BYTES = 4096
SYNCS = 300


def measure_fdatasync(directory: Path) -> dict[str, float]:
    """Medians and 99th percentiles in microseconds: overwrite_p50, overwrite_p99, append_p50, append_p99."""
    path = directory / "fdatasync"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        append = [_timed(file, number * BLOCK_BYTES) for number in range(SYNCS)]
        overwrite = [_timed(file, number * 7 % SYNCS * BLOCK_BYTES) for number in range(SYNCS)]
    finally:
        os.close(file)
        path.unlink()
    return {
        "overwrite_p50": statistics.median(overwrite),
        "overwrite_p99": sorted(overwrite)[SYNCS * 99 // 100],
        "append_p50": statistics.median(append),
        "append_p99": sorted(append)[SYNCS * 99 // 100],
    }


def _timed(file: int, offset: int) -> float:
    block = os.urandom(BLOCK_BYTES)
    begun = time.perf_counter_ns()
    os.pwrite(file, block, offset)
    os.fdatasync(file)
    return (time.perf_counter_ns() - begun) / 1000
