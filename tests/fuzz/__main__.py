"""Fuzz from the command line; each finding becomes a file that `--replay` runs again.

python -m tests.fuzz connection --seconds 300
python -m tests.fuzz connection --replay build/fuzz/connection-1-1.bin
python -m tests.fuzz connection --replay build/fuzz/connection-1.last     after a crash or a hang
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import traceback
from pathlib import Path

from tests.fuzz import script
from tests.fuzz.engine import Engine, LastInput, shortened
from tests.fuzz.scripted import SCRIPTED
from tests.fuzz.targets import TARGETS


def describe(target: str, content: bytes) -> str:
    """An input for people."""
    if target not in SCRIPTED:
        return repr(content)
    return "\n".join(f"    {kind} {step!r}" for kind, step in script.read(content))


def main() -> int:
    """The exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the broker in this process.")
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="per target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings-max", type=int, default=1, help="stop after so many")
    parser.add_argument("--directory", type=Path, default=Path("build/fuzz"), help="where findings are written")
    parser.add_argument("--replay", type=Path, help="run this one input and show what happens")
    options = parser.parse_args()
    faulthandler.enable()
    if options.replay is not None:
        last = options.replay.suffix == ".last"
        content = LastInput.read(options.replay) if last else options.replay.read_bytes()
        print(describe(options.target, content))
        print(sorted(TARGETS[options.target](content)))
        return 0
    found = 0
    for name in TARGETS if options.target == "all" else [options.target]:
        engine = Engine(name, options.seed, LastInput(options.directory / f"{name}-{options.seed}.last"))
        run = engine.fuzz(options.seconds, findings_max=options.findings_max)
        print(run.text, f"(peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB)", flush=True)
        for finding in run.findings:
            found += 1
            options.directory.mkdir(parents=True, exist_ok=True)
            path = options.directory / f"{name}-{options.seed}-{found}.bin"
            content = shortened(name, finding.content)
            path.write_bytes(content)
            print(f"── {path}", file=sys.stderr)
            print(describe(name, content), file=sys.stderr)
            traceback.print_exception(finding.error)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
