"""`python -m benchmarks`: runs rows on systems, interleaved, and writes the table. See README.md."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from .build import BUILD, BuildError
from .disk import measure_fdatasync
from .host import describe_commit, describe_host, now
from .measure import Bench, Effort, faults_of, figure_of
from .report import (
    Measurements,
    compute_medians,
    format_figure,
    format_markdown,
    judge,
    list_troubles,
    write_result,
)
from .row import Row
from .rows import GROUPS, ROWS
from .systems import SYSTEMS, Hubbub

RESULTS = Path(__file__).parent / "results"


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Hubbub beside its peers.")
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--rows", help=f"which, separated by commas: {names}", metavar="ROW,...")
    parser.add_argument("--group", choices=GROUPS, help="all rows of a kind")
    parser.add_argument("--systems", help=f"which, separated by commas: {', '.join(SYSTEMS)}", metavar="SYSTEM,...")
    parser.add_argument("--runs", type=int, help="of each row on each system (3; --quick: 1)")
    parser.add_argument("--seconds", type=float, help="length of a measured window (5; --quick: 1)")
    parser.add_argument("--backlog", type=int, help="messages in the backlog, for every system", metavar="MESSAGES")
    parser.add_argument("--connections", type=int, help="idle connections (10,000; --quick: 1,000)")
    parser.add_argument("--hubbub", type=Path, help="the hubbub command to measure", metavar="PATH")
    parser.add_argument("--set", action="append", default=[], help="a setting for hubbub serve", metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, help="where the result is written (benchmarks/results)")
    parser.add_argument("--directory", type=Path, help="on the disk to be measured (benchmarks/build)")
    parser.add_argument(
        "--quick", action="store_true", help="to see that it works: one short run, no result is written"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a floor is missed, too")
    return parser.parse_args(words)


def choose(text: str | None, known: list[str], what: str) -> list[str]:
    """The names in the text, each of which must be known; all of them where there is no text."""
    if text is None:
        return known
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            sys.exit(f"benchmarks: no {what} {name!r}; there are {', '.join(known)}")
    return chosen


def choose_systems(text: str | None) -> list[str]:
    """The systems that are asked for and there."""
    chosen = choose(text, list(SYSTEMS), "system")
    for name in chosen:
        if not SYSTEMS[name].is_installed():
            print(f"{name} is not installed: left out", file=sys.stderr)
    return [name for name in chosen if SYSTEMS[name].is_installed()]


def effort_of(arguments: argparse.Namespace) -> Effort:
    """How much is to be done."""
    quick: bool = arguments.quick
    share = 25 if quick else 1
    backlog = {name: arguments.backlog or system.backlog_messages // share for name, system in SYSTEMS.items()}
    return Effort(
        runs=arguments.runs or (1 if quick else 3),
        seconds=arguments.seconds or (1 if quick else 5),
        warm_up_seconds=0.5 if quick else 1.5,
        backlog=backlog,
        connections=arguments.connections or (1000 if quick else 10_000),
        idle_seconds=2 if quick else 10,
    )


def narrate(row: Row, system: str, run: int, measurement: dict[str, Any]) -> None:
    """A line on the terminal for each measurement."""
    if "error" in measurement:
        said = f"FAILED: {measurement['error']}"
    else:
        figures = [(line.unit, figure_of(measurement, line.figure)) for line in row.lines]
        said = ", ".join(format_figure(value, unit) for unit, value in figures if value is not None)
        for name in ("broker_cores", "own_cores", "other_cores", "stolen_cores"):
            if name in measurement:
                said += f"  {name.removesuffix('_cores')} {measurement[name]:.2f}"
        if faults := faults_of(measurement):
            said += f"  FAULTS: {faults}"
    print(f"run {run}  {row.name:<18} {system:<9} {said}", file=sys.stderr, flush=True)


def measure_all(rows: list[Row], systems: list[str], effort: Effort, directory: Path) -> dict[str, Any]:
    """Every row on every system, interleaved, so that a change of the machine's mood meets all systems alike."""
    measurements: Measurements = {}
    disk = []
    with Bench(directory, effort) as bench:
        for run in range(1, effort.runs + 1):
            disk.append(measure_fdatasync(directory))
            for row in rows:
                for system in row.systems(systems):
                    measurement = bench.measure(row, system)
                    narrate(row, system, run, measurement)
                    measurements.setdefault(row.name, {}).setdefault(system, []).append(measurement)
    return {
        "date": now().isoformat(timespec="seconds"),
        "commit": describe_commit(),
        "host": describe_host(directory),
        "disk": disk,
        "effort": dataclasses.asdict(effort),
        "systems": {name: SYSTEMS[name].version() for name in systems},
        "measurements": measurements,
    }


def main(words: list[str]) -> int:
    """Gives the exit status: 1 when a run failed or a message went wrong."""
    arguments = parse_arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    if arguments.hubbub is not None:
        Hubbub.executable = arguments.hubbub.resolve()
    Hubbub.settings = tuple(arguments.set)
    names = choose(arguments.rows, [row.name for row in ROWS], "row")
    rows = [row for row in ROWS if row.name in names and arguments.group in (None, row.group)]
    effort = effort_of(arguments)
    systems = choose_systems(arguments.systems)

    parent: Path = arguments.directory or BUILD
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=parent.resolve()))
    try:
        result = measure_all(rows, systems, effort, directory)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)

    medians = compute_medians(result["measurements"], result["disk"])
    verdicts = judge(medians, rows)
    result["medians"] = medians.values
    result["verdicts"] = [dataclasses.asdict(verdict) for verdict in verdicts]
    markdown = format_markdown(result, rows, medians, verdicts)
    print(markdown)
    if arguments.output or not arguments.quick:
        print(f"written: {write_result(arguments.output or RESULTS, result, markdown)}", file=sys.stderr)
    missed = arguments.strict and any(verdict.met is False for verdict in verdicts)
    return 1 if list_troubles(result["measurements"]) or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
