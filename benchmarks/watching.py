"""What it costs to watch: `python -m benchmarks.watching`.

    off       no management, no metrics
    on        both listen, and nobody asks
    scraped   both listen, /metrics is read every second

Each round runs the three right after one another, in another order each time; the costs are medians of the rounds' own
ratios, so that what else the machine does meanwhile weighs little. Messages per second of the broker's CPU time weigh
less of it than messages per second. `--idle` measures instead the CPU of an idle broker while the web UI's overview is
open, by asking what that page asks, as often as it asks.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .build import BUILD
from .measure import Bench, Effort, figure_of
from .process import free_port
from .row import PER_CPU_SECOND, RATE, Row
from .rows import ROWS
from .systems import SYSTEMS, Hubbub

OFF, ON, SCRAPED = "off", "on", "scraped"
MODES = (OFF, ON, SCRAPED)
BOUNDS = {ON: 3.0, SCRAPED: 5.0}
"""Percent: what watching may cost."""
PAGE_INTERVAL_S = 3.0
PAGE = ("/api/overview", "/api/nodes", "/api/whoami")
"""What the overview of the web UI asks, and how often."""
SCRAPE_INTERVAL_S = 1.0
LOGIN = "Basic " + base64.b64encode(b"guest:guest").decode()


class Watched(Hubbub):
    """With management and metrics; their ports are known before it starts."""

    name = ON
    scraped = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.management, self.metrics = free_port(), free_port()
        self.settings = (
            f"management.port={self.management}", f"metrics.port={self.metrics}", *Hubbub.settings
        )  # fmt: skip


class Unwatched(Hubbub):
    """Without."""

    name = OFF


class Scraped(Watched):
    """And somebody reads the metrics."""

    name = SCRAPED

    def start(self) -> float:
        """As ever; then the reader."""
        took = super().start()
        self.stopped = threading.Event()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        return took

    def read(self) -> None:
        """Every second, until the end."""
        while not self.stopped.wait(SCRAPE_INTERVAL_S):
            ask(self.metrics, "/metrics")

    def stop(self) -> None:
        """The reader first."""
        if hasattr(self, "stopped"):
            self.stopped.set()
            self.reader.join()
        super().stop()


def ask(port: int, path: str) -> int:
    """GET; the answer's size."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": LOGIN})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return len(answer.read())


def compare(bench: Bench, row: Row, rounds: int) -> dict[str, dict[str, float]]:
    """Percent that each mode costs, by mode and figure; and the medians of `off`."""
    ratios: dict[str, dict[str, list[float]]] = {mode: {RATE: [], PER_CPU_SECOND: []} for mode in BOUNDS}
    plain: dict[str, list[float]] = {RATE: [], PER_CPU_SECOND: []}
    for number in range(rounds):
        figures: dict[str, dict[str, float]] = {}
        for mode in (*MODES[number % 3 :], *MODES[: number % 3]):
            measured = bench.measure(row, mode)
            if "error" in measured:
                sys.exit(f"benchmarks: {row.name}, {mode}: {measured['error']}")
            figures[mode] = {name: figure_of(measured, name) or 0.0 for name in plain}
        for name, values in plain.items():
            values.append(figures[OFF][name])
            for mode in BOUNDS:
                ratios[mode][name].append(figures[mode][name] / figures[OFF][name])
    costs = {
        mode: {name: 100 * (1 - statistics.median(values)) for name, values in of_mode.items()}
        for mode, of_mode in ratios.items()
    }
    return {OFF: {name: statistics.median(values) for name, values in plain.items()}, **costs}


@contextmanager
def running(directory: Path) -> Iterator[Watched]:
    """A broker with management and metrics."""
    system = Watched(directory)
    system.start()
    try:
        yield system
    finally:
        system.stop()


def idle_percent(directory: Path, seconds: float, watched: bool) -> float:
    """CPU of an idle broker, in percent of one core, with the web UI's overview open or not."""
    with running(directory) as system:
        for path in PAGE:
            ask(system.management, path)
        before, began = cpu_seconds(system.pid), time.monotonic()
        while time.monotonic() - began < seconds:
            if watched:
                for path in PAGE[:2]:
                    ask(system.management, path)
            time.sleep(PAGE_INTERVAL_S)
        return 100 * (cpu_seconds(system.pid) - before) / (time.monotonic() - began)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5): stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--rows", default="transient-256,durable-256,mqtt-qos0-16", metavar="ROW,...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--idle", action="store_true", help="the idle broker's CPU instead")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as text:
        directory = Path(text)
        if arguments.idle:
            for watched in (False, True):
                percent = idle_percent(directory / str(watched), arguments.seconds, watched)
                print(f"idle, web UI {'open' if watched else 'closed'}: {percent:.2f} % of one core")
            return
        SYSTEMS.update({each.name: each for each in (Unwatched, Watched, Scraped)})
        effort = Effort(1, arguments.seconds, 1.0, dict.fromkeys(SYSTEMS, 0), 0, 0)
        known = {row.name: row for row in ROWS}
        with Bench(directory, effort) as bench:
            for name in arguments.rows.split(","):
                found = compare(bench, known[name], arguments.rounds)
                print(f"{name}: off {found[OFF][RATE]:,.0f} msgs/s", end="")
                for mode, bound in BOUNDS.items():
                    cost = found[mode]
                    print(
                        f"; {mode} costs {cost[PER_CPU_SECOND]:.1f} % of CPU, {cost[RATE]:.1f} % of rate "
                        f"(bound {bound:.0f} %)",
                        end="",
                    )
                print(flush=True)


if __name__ == "__main__":
    main()
