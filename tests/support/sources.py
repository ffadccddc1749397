"""The files that are ours: what git knows or would add; without git (an unpacked archive) what is not built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = frozenset(("build", "dist", "node_modules", "data", "__pycache__"))


def source_files(*suffixes: str) -> list[Path]:
    """All with one of the suffixes, in order."""
    paths = _listed_by_git() if shutil.which("git") and (ROOT / ".git").exists() else _walked()
    return sorted(path for path in paths if path.suffix in suffixes and path.is_file())


def _listed_by_git() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines()]


def _walked() -> list[Path]:
    found = []
    for directory, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in BUILT]
        found += [Path(directory, name) for name in files]
    return found
