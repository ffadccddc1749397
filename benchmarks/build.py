"""Compiles the C programs under `load/` into `build/`, when a source is newer than the program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE / "load"
BUILD = HERE / "build"
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O2",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
]
RELAY_SOURCES = ("relay.c", "fail.c")


class BuildError(Exception):
    """The C programs could not be compiled; the text is what the compiler said."""


def compiler() -> str | None:
    """The C compiler that will be used, or None where there is none."""
    return shutil.which("gcc") or shutil.which("cc")


def build_load_generator() -> Path:
    """Gives the path of an up-to-date load generator."""
    sources = [source for source in sorted(SOURCES.glob("*.c")) if source.name != "relay.c"]
    return _build("load", sources)


def build_relay() -> Path:
    """Gives the path of an up-to-date relay."""
    return _build("relay", [SOURCES / name for name in RELAY_SOURCES])


def _build(name: str, sources: list[Path]) -> Path:
    program = BUILD / name
    newest = max(path.stat().st_mtime_ns for path in [*sources, *SOURCES.glob("*.h"), Path(__file__)])
    if program.exists() and program.stat().st_mtime_ns > newest:
        return program
    gcc = compiler()
    if gcc is None:
        raise BuildError("no C compiler: install gcc")
    BUILD.mkdir(exist_ok=True)
    # Under another name first: two builds at once must not see half a program.
    unfinished = BUILD / f"{name}.{id(sources):x}.new"
    compiled = subprocess.run(
        [gcc, *FLAGS, "-o", str(unfinished), *map(str, sources)], capture_output=True, text=True, check=False
    )
    if compiled.returncode:
        raise BuildError(compiled.stderr)
    unfinished.replace(program)
    return program
