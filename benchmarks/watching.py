"""What it costs to watch: `python -m benchmarks.watching`.

    off       no management, no metrics
    on        both listen, and nobody asks
    scraped   both listen, /metrics is read every second

The three brokers run all the time, and two of them are suspended: each round loads them right after one another for a
slice of `--seconds`, in another order each time. The costs are medians of the rounds' own ratios, with a confidence
interval of 95 %, so that what else the machine does meanwhile weighs little. Messages per second of the broker's CPU
time weigh less of it than messages per second. `--idle` measures instead the CPU of an idle broker while the web UI's
overview is open in Chromium (Debian: apt install chromium).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import math
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.browser import Browser
from tests.support.web_ui import web_ui

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
CONFIDENCE_TAIL = 0.025
"""On each side of the median's interval."""
WARM_UP_S = 0.3
"""Of a slice, before it counts."""
SCRAPE_INTERVAL_S = 1.0
LOGIN = "Basic " + base64.b64encode(b"guest:guest").decode()


class Watched(Hubbub):
    """With management and metrics; their ports are known before it starts."""

    name = ON
    fresh_each_time = False
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
    fresh_each_time = False


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
            with suppress(OSError):  # it is suspended
                ask(self.metrics, "/metrics")

    def stop(self) -> None:
        """The reader, too, which may be waiting for an answer."""
        if hasattr(self, "stopped"):
            self.stopped.set()
        super().stop()
        if hasattr(self, "stopped"):
            self.reader.join()


def ask(port: int, path: str) -> int:
    """GET; the answer's size."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": LOGIN})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return len(answer.read())


class Cost(NamedTuple):
    """Percent: the median, and where it lies with a probability of 95 %."""

    median: float
    low: float
    high: float


def cost_of(ratios: list[float]) -> Cost:
    """Of rates with and without, round by round. Order statistics: nothing is supposed about how they are spread."""
    costs = sorted(100 * (1 - ratio) for ratio in ratios)
    count = len(costs)
    outside = 0.0  # of the median, below the rank looked at: binomial(count, 1/2)
    rank = 0
    while rank < count // 2 and outside + math.comb(count, rank) / 2**count <= CONFIDENCE_TAIL:
        outside += math.comb(count, rank) / 2**count
        rank += 1
    rank = max(rank - 1, 0)
    return Cost(statistics.median(costs), costs[rank], costs[count - 1 - rank])


def compare(bench: Bench, row: Row, rounds: int) -> tuple[dict[str, float], dict[str, dict[str, Cost]]]:
    """The medians of `off` by figure, and what each mode costs, by mode and figure."""
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
    costs = {mode: {name: cost_of(values) for name, values in of_mode.items()} for mode, of_mode in ratios.items()}
    return {name: statistics.median(values) for name, values in plain.items()}, costs


@contextmanager
def running(directory: Path) -> Iterator[Watched]:
    """A broker with management and metrics."""
    system = Watched(directory)
    system.start()
    try:
        yield system
    finally:
        system.stop()


async def idle_percent(directory: Path, seconds: float, watched: bool) -> float:
    """CPU of an idle broker, in percent of one core, with the web UI's overview open in a browser or not."""
    with running(directory / "data") as system:
        async with AsyncExitStack() as stack:
            if watched:
                browser = await stack.enter_async_context(Browser(directory))
                await stack.enter_async_context(web_ui(browser, f"http://127.0.0.1:{system.management}/"))
            before, began = cpu_seconds(system.pid), time.monotonic()
            await asyncio.sleep(seconds)
            return 100 * (cpu_seconds(system.pid) - before) / (time.monotonic() - began)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5): stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--rows", default="transient-256,durable-256,mqtt-qos0-16", metavar="ROW,...")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1, help="of a slice; of --idle: as long as it is looked at")
    parser.add_argument("--idle", action="store_true", help="the idle broker's CPU instead")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as text:
        directory = Path(text)
        if arguments.idle:
            for watched in (False, True):
                percent = asyncio.run(idle_percent(directory / str(watched), arguments.seconds, watched))
                print(f"idle, web UI {'open' if watched else 'closed'}: {percent:.2f} % of one core")
            return
        SYSTEMS.update({each.name: each for each in (Unwatched, Watched, Scraped)})
        effort = Effort(1, arguments.seconds, WARM_UP_S, dict.fromkeys(SYSTEMS, 0), 0, 0)
        known = {row.name: row for row in ROWS}
        with Bench(directory, effort) as bench:
            for name in arguments.rows.split(","):
                off, costs = compare(bench, known[name], arguments.rounds)
                print(f"{name}: off {off[RATE]:,.0f} msgs/s")
                for mode, bound in BOUNDS.items():
                    for figure, what in ((PER_CPU_SECOND, "CPU"), (RATE, "rate")):
                        cost = costs[mode][figure]
                        print(
                            f"    {mode:<8} costs {cost.median:5.1f} % of {what:<5}"
                            f"(95 %: {cost.low:5.1f} … {cost.high:.1f}; bound {bound:.0f} %)",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
