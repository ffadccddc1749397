"""Coverage-guided fuzzing of the same targets with atheris (libFuzzer), where that is installed.

    .venv/bin/pip install '.[fuzz]'
    python -m tests.fuzz.guided connection -max_total_time=300

Owns handing libFuzzer's inputs to a target, beginning from the engine's own seeds. Coverage is that of the Python half
and of the oracles: what is compiled by Cython is run, and not seen. Further arguments are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["broker", "storage", "tests.oracles"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Does not return: libFuzzer ends the process, with an error where a target raised."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"python -m tests.fuzz.guided TARGET [libFuzzer's arguments]; TARGET: {', '.join(TARGETS)}")
    name = sys.argv[1]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as directory:
        for number, content in enumerate(seeds(name, 1)):
            (Path(directory) / f"{number:05d}").write_bytes(content)

        def run(content: bytes) -> None:
            target(content)

        atheris.Setup([sys.argv[0], directory, *sys.argv[2:]], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
