"""Measures one row on one system: starts what is needed, runs the load generator, gives its report.

A measurement is the load generator's JSON object, or {"error": text} when it could not be made. Figures are found in it
by dotted names, such as `delivery_us.p50`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .build import build_load_generator
from .process import AMQP, System, SystemFailedError
from .row import RELAY, Kind, Row
from .systems import SYSTEMS

BACKLOG_QUEUE = "backlog"
SLOWEST_RATE = 2000  # messages per second: below that, a backlog run is given up


class MeasurementError(Exception):
    """The load generator gave no report."""


@dataclass(frozen=True)
class Effort:
    """How long and how much."""

    runs: int
    seconds: float
    warm_up_seconds: float
    backlog: dict[str, int]  # messages, by system
    connections: int
    idle_seconds: float


class Bench:
    """The systems of one benchmark run, and the measuring. A context manager: nothing is left running behind it."""

    def __init__(self, directory: Path, effort: Effort) -> None:
        """The directory takes the data of all systems."""
        self._directory = directory
        self._effort = effort
        self._load_generator = build_load_generator()
        self._lasting: dict[str, System] = {}

    def __enter__(self) -> Bench:
        """Starts nothing yet."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stops what outlives a measurement."""
        while self._lasting:
            self._lasting.popitem()[1].stop()

    def measure(self, row: Row, system_name: str) -> dict[str, Any]:
        """Never raises for what a system does wrong: that is a result, too."""
        try:
            with self._running(system_name) as system:
                if row.kind is Kind.BACKLOG:
                    return self._measure_backlog(row, system)
                if row.kind is Kind.IDLE:
                    return self._measure_idle(row, system)
                return self._measure_window(row, system)
        except (SystemFailedError, MeasurementError) as error:
            return {"error": str(error)}

    def _create(self, name: str) -> System:
        directory = self._directory / name
        shutil.rmtree(directory, ignore_errors=True)
        return SYSTEMS[name](directory)

    @contextmanager
    def _running(self, name: str) -> Iterator[System]:
        system = self._lasting.pop(name, None)
        if system is None:
            system = self._create(name)
            system.start()
        else:
            system.resume()
        healthy = False
        try:
            yield system
            healthy = True
        finally:
            if healthy and not system.fresh_each_time:
                system.suspend()
                self._lasting[name] = system
            else:
                system.stop()

    def _run_load(self, system: System, dialect: str, arguments: tuple[str, ...], timeout: float) -> dict[str, Any]:
        command = [str(self._load_generator), "--port", str(system.port_for(dialect)), "--pid", str(system.pid)]
        if AMQP in system.ports:
            command += ["--amqp-port", str(system.ports[AMQP])]
        command += arguments
        try:
            finished = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"no end after {timeout:.0f} s") from None
        if finished.returncode:
            raise MeasurementError(finished.stderr.strip() or f"the load generator ended with {finished.returncode}")
        report: dict[str, Any] = json.loads(finished.stdout)
        return report

    def _measure_window(self, row: Row, system: System) -> dict[str, Any]:
        arguments = row.relay_arguments if system.name == RELAY else row.arguments
        assert arguments is not None
        effort = self._effort
        timing = ("--warm-up", str(effort.warm_up_seconds), "--seconds", str(effort.seconds))
        return self._run_load(
            system, row.dialect, (*arguments, *timing), timeout=effort.seconds + effort.warm_up_seconds + 120
        )

    def _measure_idle(self, row: Row, system: System) -> dict[str, Any]:
        effort = self._effort
        much = ("--connections", str(effort.connections), "--seconds", str(effort.idle_seconds))
        return self._run_load(system, row.dialect, (*row.arguments, *much), timeout=effort.connections / 100 + 120)

    def _measure_backlog(self, row: Row, system: System) -> dict[str, Any]:
        count = self._effort.backlog[system.name]
        arguments = (*row.arguments, "--queue", BACKLOG_QUEUE, "--count", str(count))
        timeout = count / SLOWEST_RATE + 120
        fill = self._run_load(system, row.dialect, ("--mode", "fill", *arguments), timeout)
        system.stop()
        start_seconds = system.start()
        drain = self._run_load(system, row.dialect, ("--mode", "drain", *arguments), timeout)
        faults = {name: fill["faults"][name] + drain["faults"][name] for name in fill["faults"]}
        for filled, report in ((True, fill), (False, drain)):
            if report["messages_in_queue"] != count:
                faults["miscounted_after_fill" if filled else "miscounted_after_restart"] = (
                    report["messages_in_queue"] - count
                )
        return {"count": count, "fill": fill, "start_seconds": start_seconds, "drain": drain, "faults": faults}


def figure_of(measurement: dict[str, Any], name: str) -> float | None:
    """The figure of that dotted name, or None where the measurement lacks it."""
    value: Any = measurement
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return float(value)


def faults_of(measurement: dict[str, Any]) -> dict[str, int]:
    """The integrity faults that were counted, without the zeros."""
    return {name: count for name, count in measurement.get("faults", {}).items() if count}
