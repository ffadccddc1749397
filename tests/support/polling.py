"""Waiting for something to become true, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WAIT_S = 10.0
"""How long a test waits for something that normally takes milliseconds; generous because CI machines are busy."""


def eventually(probe: Callable[[], T], timeout_s: float = WAIT_S, interval_s: float = 0.01, what: str = "") -> T:
    """Call `probe` until it returns something truthy, and return that; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or probe}; last seen: {result!r}")
        time.sleep(interval_s)
