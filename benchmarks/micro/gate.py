"""The gate: no path may need more than 1.3 × the instructions that are written down in `baseline.json`.

Owns the baseline and the verdict. The baseline says which commit and which tools it was counted with; another compiler
or another Python shifts the figures by some percent, which is what the room up to 1.3 is for.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.host import describe_commit

BASELINE = Path(__file__).parent / "baseline.json"
FACTOR_MAX = 1.3
FACTOR_STALE = 0.8
"""Below this the baseline is so old that the gate would let a good part of the gain go again."""


@dataclass(frozen=True)
class Verdict:
    """One path beside its baseline. `baseline` None: it has none yet."""

    path: str
    instructions: float
    baseline: float | None

    @property
    def factor(self) -> float | None:
        """Instructions per message, in multiples of the baseline."""
        return None if self.baseline is None else self.instructions / self.baseline

    @property
    def passes(self) -> bool:
        """False also without a baseline: a path that nobody compares is not gated."""
        return self.factor is not None and self.factor <= FACTOR_MAX

    @property
    def word(self) -> str:
        """For people."""
        if self.factor is None:
            return "no baseline"
        if not self.passes:
            return f"FAILS: above {FACTOR_MAX:g} x"
        return "better: renew the baseline" if self.factor < FACTOR_STALE else "ok"


def judge(counted: Mapping[str, float], baseline: Mapping[str, float]) -> list[Verdict]:
    """A verdict for each path that was counted."""
    return [Verdict(path, instructions, baseline.get(path)) for path, instructions in counted.items()]


def format_verdicts(verdicts: list[Verdict]) -> str:
    """The table."""
    lines = [f"{'path':<16}{'instructions':>14}{'baseline':>12}{'factor':>9}  verdict"]
    for verdict in verdicts:
        baseline = "-" if verdict.baseline is None else f"{verdict.baseline:,.0f}"
        factor = "-" if verdict.factor is None else f"{verdict.factor:.3f}"
        lines.append(f"{verdict.path:<16}{verdict.instructions:>14,.0f}{baseline:>12}{factor:>9}  {verdict.word}")
    return "\n".join(lines)


def read_baseline(path: Path = BASELINE) -> dict[str, float]:
    """Instructions per message by path."""
    instructions: dict[str, float] = json.loads(path.read_text())["instructions_per_message"]
    return instructions


def write_baseline(counted: Mapping[str, float], path: Path = BASELINE) -> None:
    """Put the counts, and what they were counted with, in place of the old ones."""
    value = {
        "commit": describe_commit(),
        **describe_tools(),
        "instructions_per_message": {name: round(instructions, 1) for name, instructions in counted.items()},
    }
    path.write_text(json.dumps(value, indent=2) + "\n")


def describe_tools() -> dict[str, str]:
    """What the compiled modules, and the count, depend on."""
    return {
        "python": platform.python_version(),
        "cython": _version_of("cython"),
        "gcc": _printed_by("gcc", "-dumpfullversion"),
        "valgrind": _printed_by("valgrind", "--version"),
        "machine": platform.machine(),
    }


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _printed_by(program: str, argument: str) -> str:
    if shutil.which(program) is None:
        return ""
    return subprocess.run([program, argument], capture_output=True, text=True, check=False).stdout.strip()
