"""From measurements to medians, verdicts, the JSON file and the table."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import faults_of, figure_of
from .process import AMQP
from .row import HUBBUB, PER_CPU_SECOND, RATE, RELAY, Line, Medians, Row, Unit
from .rows import GROUPS, ROWS
from .systems import SYSTEMS

NOT_MEASURED = "–"
Measurements = dict[str, dict[str, list[dict[str, Any]]]]  # by row, by system: the runs


@dataclass(frozen=True)
class Verdict:
    """A floor, and whether Hubbub reaches it. `met` is None where that cannot be said."""

    row: str
    figure: str
    floor: str
    value: float | None
    bound: float | None
    met: bool | None


def compute_medians(measurements: Measurements, disk: list[dict[str, float]]) -> Medians:
    """The median of each figure over the runs that gave it."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in ROWS:
        figures = {line.figure for line in row.lines}
        for figure in tuple(figures):
            if figure.endswith(RATE):
                figures.add(figure.removesuffix(RATE) + PER_CPU_SECOND)
        for system, runs in measurements.get(row.name, {}).items():
            medians = values.setdefault(row.name, {}).setdefault(system, {})
            for figure in figures:
                found = [value for run in runs if (value := figure_of(run, figure)) is not None]
                if found:
                    medians[figure] = statistics.median(found)
    fdatasync = statistics.median(probe["overwrite_p50"] for probe in disk) if disk else None
    return Medians(values, fdatasync)


def judge(medians: Medians, rows: list[Row]) -> list[Verdict]:
    """A verdict for each floor of the rows."""
    verdicts = []
    for row in rows:
        for line in row.lines:
            value = medians.get(row.name, HUBBUB, line.figure)
            for floor in line.floors:
                bound = floor.bound(medians)
                met = None if value is None or bound is None else floor.is_met(value, bound)
                verdicts.append(Verdict(row.name, line.figure, floor.text, value, bound, met))
    return verdicts


def format_figure(value: float | None, unit: Unit) -> str:
    """As people read it: 4.21M, 58.3k, 84 µs, 180 MB."""
    if value is None:
        return NOT_MEASURED
    if unit is Unit.BYTES:
        return f"{value / 1e6:.1f} MB" if abs(value) >= 1e6 else f"{value / 1024:.2f} KB"
    if unit is Unit.MICROSECONDS:
        return f"{value:,.0f} µs"
    if unit is Unit.SECONDS:
        return f"{value:.2f} s"
    if unit is Unit.PERCENT:
        return f"{value:.2f} %"
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.1f}k" if value >= 1e4 else f"{value:,.0f}"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return NOT_MEASURED if ours is None or not theirs else f"{ours / theirs:.2f}"


def _line_cells(row: Row, line: Line, medians: Medians, verdicts: list[Verdict]) -> list[str]:
    def get(system: str, figure: str) -> float | None:
        return medians.get(row.name, system, figure)

    def per_cpu(system: str) -> str:
        if not line.figure.endswith(RATE):
            return ""
        figure = line.figure.removesuffix(RATE) + PER_CPU_SECOND
        return format_figure(get(system, figure) or None, Unit.MESSAGES_PER_SECOND)

    mine = [verdict for verdict in verdicts if (verdict.row, verdict.figure) == (row.name, line.figure)]
    floors = "; ".join(
        verdict.floor if floor.fixed else f"{verdict.floor} = {format_figure(verdict.bound, line.unit)}"
        for floor, verdict in zip(line.floors, mine, strict=False)
    )
    words = {True: "met", False: "**missed**", None: "not judged"}
    cells = [line.label]
    for system in systems_of(row.group):
        cells += [format_figure(get(system, line.figure), line.unit), per_cpu(system)]
    ratio = _ratio(get(HUBBUB, line.figure), get(row.peers[0], line.figure))
    return [*cells, ratio, floors, "; ".join(words[verdict.met] for verdict in mine)]


def systems_of(group: str) -> list[str]:
    """Those that do some work of the group: the columns of its table."""
    able = {HUBBUB, RELAY}.union(*(row.peers for row in ROWS if row.group == group))
    return [system for system in SYSTEMS if system in able]


def _first_peer(group: str) -> str:
    return next(row.peers[0] for row in ROWS if row.group == group)


def format_tables(rows: list[Row], medians: Medians, verdicts: list[Verdict]) -> str:
    """A Markdown table for each group that has rows."""
    groups = [(group, [row for row in rows if row.group == group]) for group in GROUPS]
    return "\n".join(_format_table(group, mine, medians, verdicts) for group, mine in groups if mine)


def _format_table(group: str, rows: list[Row], medians: Medians, verdicts: list[Verdict]) -> str:
    systems = [cell for system in systems_of(group) for cell in (system, "per CPU-s")]
    columns = ["work", *systems, f"hubbub ÷ {_first_peer(group)}", "floor", "verdict"]
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(systems) + 1) + "---|---|"]
    for row in rows:
        for line in row.lines:
            lines.append("| " + " | ".join(_line_cells(row, line, medians, verdicts)) + " |")
    return "\n".join(lines) + "\n"


def list_troubles(measurements: Measurements) -> list[str]:
    """A sentence for each run that failed or in which a message went wrong."""
    troubles = []
    for row, systems in measurements.items():
        for system, runs in systems.items():
            for number, run in enumerate(runs, 1):
                if "error" in run:
                    troubles.append(f"{row}, {system}, run {number}: {run['error']}")
                elif faults := faults_of(run):
                    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in faults.items())
                    troubles.append(f"{row}, {system}, run {number}: {counted}")
    return troubles


def _noise(measurements: Measurements) -> str:
    """How many cores were used by neither broker nor load generator, at the median and at worst."""
    seen = []
    for systems in measurements.values():
        for runs in systems.values():
            for run in runs:
                cores = (figure_of(run, "other_cores") or 0) + (figure_of(run, "stolen_cores") or 0)
                if "other_cores" in run:
                    seen.append(cores)
    return f"{statistics.median(seen):.2f} at the median, {max(seen):.2f} at worst" if seen else "not measured"


def format_markdown(result: dict[str, Any], rows: list[Row], medians: Medians, verdicts: list[Verdict]) -> str:
    """The page that is kept beside the JSON file."""
    host, disk, effort = result["host"], result["disk"], result["effort"]
    syncs = [
        f"{pattern} {statistics.median(probe[f'{pattern}_p50'] for probe in disk):.0f} µs"
        for pattern in ("overwrite", "append")
        if disk
    ]
    backlog = ", ".join(
        f"{system} {effort['backlog'][system]:,}" for system in result["systems"] if AMQP in SYSTEMS[system].dialects
    )
    head = [
        f"# Benchmark of {result['commit']}, {result['date']}",
        "",
        f"- Machine: {host['cpu']}, {host['cores']} cores, {host['memory']}, Linux {host['kernel']}, "
        f"data on {host['file_system']}",
        f"- fdatasync of 4 KiB, p50: {', '.join(syncs)} (the floor uses overwrite)",
        f"- Systems: {', '.join(f'{name} {version}'.strip() for name, version in result['systems'].items())}",
        f"- Medians of {effort['runs']} interleaved runs of {effort['seconds']:g} s. Backlog: {backlog} messages. "
        f"Idle: {effort['connections']:,} connections for {effort['idle_seconds']:g} s",
        f"- Cores used by anything else meanwhile: {_noise(result['measurements'])}",
        "",
    ]
    troubles = list_troubles(result["measurements"])
    tail = ["", "## Troubles", "", *[f"- {trouble}" for trouble in troubles]] if troubles else []
    tail = tail or ["", "In every run each message arrived exactly once, in order and whole."]
    return "\n".join(head) + "\n" + format_tables(rows, medians, verdicts) + "\n".join(tail) + "\n"


def write_result(directory: Path, result: dict[str, Any], markdown: str) -> Path:
    """Writes NAME.json and NAME.md, NAME being date and commit. Gives the path of the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{result['date'][:10]}-{result['commit']}"
    (directory / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    page = directory / f"{name}.md"
    page.write_text(markdown)
    return page
