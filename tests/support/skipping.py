"""Skipping for what a developer's machine may lack and CI may not."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_unless_ci(reason: str) -> NoReturn:
    """Skip with `reason`, but fail in CI (CI=true): there a missing tool is a broken machine, not a missing nicety."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"must not be skipped in CI: {reason}")
    pytest.skip(reason)
