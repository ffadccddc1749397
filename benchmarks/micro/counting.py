"""Instructions per message, counted by callgrind: steady to 1 % where times on a shared machine differ by 30 %.

Owns the run of valgrind and the reading of what it wrote. One process does all paths: `measured` marks where each
path's work begins and ends, and callgrind writes a part down at each mark. Nothing is subtracted: the loop that feeds
a whole chunk of messages costs a few instructions per message, the same in every run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

MARK = "getppid"
"""The C function that `measured.mark` calls, and nothing else."""
MARKS_PER_PATH = 4
TIMEOUT_S = 600
ROOT = Path(__file__).parents[2]


class CountingError(Exception):
    """Nothing could be counted; the text says why."""


def is_installed() -> bool:
    """Whether there is a valgrind to count with."""
    return shutil.which("valgrind") is not None


def count(messages: Mapping[str, int], keep: Path | None = None) -> dict[str, float]:
    """Instructions per message of each path, by `messages` (how many, by the path's name).

    `keep`: a directory in which each path's profile stays, for callgrind_annotate. Raises CountingError.
    """
    if not is_installed():
        raise CountingError("valgrind is not installed (Debian and Ubuntu: apt install valgrind)")
    with tempfile.TemporaryDirectory(prefix="hubbub-micro-") as directory:
        moved = _run(messages, Path(directory))
        counted = {}
        for index, (name, number) in enumerate(zip(messages, moved, strict=True), start=1):
            part = Path(directory, f"part.{index * MARKS_PER_PATH}")
            counted[name] = total_of(part.read_text()) / number
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(part, keep / f"{name}.callgrind")
    return counted


def _run(messages: Mapping[str, int], directory: Path) -> list[int]:
    """One run of `measured`, whose parts are written to the directory. How many messages each path moved."""
    command = [
        "valgrind",
        "--quiet",
        "--tool=callgrind",
        f"--dump-before={MARK}",
        f"--callgrind-out-file={directory / 'part'}",
        sys.executable,
        "-m",
        "benchmarks.micro.measured",
        *(f"{name}:{number}" for name, number in messages.items()),
    ]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        # A `rep movsb` counts as an instruction per byte and costs nothing like it.
        "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1073741824",
    }
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if finished.returncode != 0:
        raise CountingError(f"the paths failed under valgrind:\n{finished.stderr.strip()[-4000:]}")
    expected = len(messages) * MARKS_PER_PATH
    if not (directory / f"part.{expected}").exists() or (directory / f"part.{expected + 1}").exists():
        raise CountingError(f"callgrind has not written {expected} parts: is {MARK} called by somebody else?")
    return [int(line) for line in finished.stdout.split()]


def total_of(part: str) -> int:
    """What callgrind counted, of one part of its output. Raises CountingError."""
    found = re.search(r"^(?:totals|summary): (\d+)", part, re.MULTILINE)
    if found is None:
        raise CountingError("a part of callgrind's output lacks its total")
    return int(found.group(1))
