"""`python -m benchmarks.micro`: nanoseconds or instructions per message of the hot paths, and the gate."""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path as FilePath

from .all_paths import PATHS
from .counting import CountingError, count
from .gate import format_verdicts, judge, read_baseline, write_baseline
from .watched_paths import format_costs, watching_costs

REPEATS = 7


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro", description="Measures the hot paths in-process."
    )
    parser.add_argument("--path", action="append", choices=list(PATHS), help="which; may be given again (all of them)")
    parser.add_argument("--messages", type=int, help="in one measurement (each path has its own number)")
    parser.add_argument("--count", action="store_true", help="count instructions under callgrind, instead of the time")
    parser.add_argument("--write", action="store_true", help="with --count: renew the baseline")
    parser.add_argument(
        "--gate", action="store_true", help="--count, and exit with 1 where a path is above 1.3 x its baseline"
    )
    parser.add_argument("--keep", type=FilePath, help="with --count: keep the profiles there", metavar="DIRECTORY")
    arguments = parser.parse_args(words)
    arguments.count |= arguments.gate
    if (arguments.write or arguments.keep) and not arguments.count:
        parser.error("--write and --keep go with --count")
    if arguments.write and (arguments.path or arguments.messages):
        parser.error("a baseline has every path, with its own number of messages")
    if arguments.messages is not None and arguments.messages < 1:
        parser.error("--messages is at least 1")
    return arguments


def measure_ns(name: str, messages: int) -> tuple[float, float]:
    """Nanoseconds per message: the median of the repeats, and the least."""
    work = PATHS[name].work()
    measured = []
    for repeat in range(REPEATS + 1):
        moved = work.prepare(messages)
        started = time.perf_counter_ns()
        work.run()
        elapsed_ns = time.perf_counter_ns() - started
        work.check()
        if repeat:  # the first warms up
            measured.append(elapsed_ns / moved)
    return statistics.median(measured), min(measured)


def show_times(messages: dict[str, int]) -> None:
    """The time of each path, as it comes."""
    gc.disable()
    print(f"{'path':<16}{'ns, median':>12}{'least':>12}   per")
    for name, number in messages.items():
        median, least = measure_ns(name, number)
        print(f"{name:<16}{median:>12,.0f}{least:>12,.0f}   {PATHS[name].unit}", flush=True)


def main(words: list[str]) -> int:
    """The exit status: 0, 1 where the gate is shut, 2 where nothing could be counted."""
    arguments = parse_arguments(words)
    messages = {name: arguments.messages or PATHS[name].messages for name in arguments.path or PATHS}
    if not arguments.count:
        show_times(messages)
        return 0
    try:
        counted = count(messages, arguments.keep)
    except CountingError as error:
        print(f"benchmarks.micro: {error}", file=sys.stderr)
        return 2
    verdicts = judge(counted, read_baseline())
    print(format_verdicts(verdicts))
    costs = watching_costs(counted)
    print(format_costs(costs))
    if arguments.write:
        write_baseline(counted)
    passes = all(verdict.passes for verdict in verdicts) and all(cost.passes for cost in costs)
    return 1 if arguments.gate and not passes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
