"""What a result needs beside it to mean anything: the machine, the source's state, the date."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def describe_host(directory: Path) -> dict[str, str | int]:
    """The machine, as far as it bears on the figures; `directory` is where the data is kept."""
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count() or 0,
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": _file_system(directory),
    }


def describe_commit() -> str:
    """The commit that is checked out, "-dirty" behind it where the tree differs; "uncommitted" where there is none."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return "uncommitted"
    return commit + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")


def now() -> datetime.datetime:
    """The time of the result, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return finished.stdout.strip() if finished.returncode == 0 else ""


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _file_system(directory: Path) -> str:
    """The type of the file system that holds the directory: durable figures on a tmpfs are worth nothing."""
    best, kind = "", ""
    resolved = str(directory.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _device, mount, file_system, *_rest = line.split()
        if (resolved + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, file_system
    return kind
