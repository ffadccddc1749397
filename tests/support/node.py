"""Node's programs for the tests: whether there is a node, and packages installed beside a `package.json`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.skipping import skip_unless_ci


def node_with_packages(directory: Path, package: str) -> str:
    """The path of node, with what `directory/package-lock.json` names installed there; `package` is one of them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        skip_unless_ci("node and npm are not installed")
    if not (directory / "node_modules" / package).exists():
        installed = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"],
            cwd=directory, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        if installed.returncode:
            skip_unless_ci(f"npm ci failed: {installed.stderr[-500:]}")
    return node


def run_node_tests(node: str, script: Path, environment: dict[str, str]) -> int:
    """Run a script of node's test runner; how many of its tests passed, and none failed."""
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", script.name],
        cwd=script.parent, env={**os.environ, **environment}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    counts = dict(re.findall(r"^# (pass|fail) (\d+)$", ran.stdout, re.MULTILINE))
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert int(counts["fail"]) == 0
    return int(counts["pass"])
