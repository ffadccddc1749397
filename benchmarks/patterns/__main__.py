"""`python -m benchmarks.patterns`: each pattern on Hubbub and on RabbitMQ, one right after the other."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from ..build import BUILD
from ..process import AMQP, System
from ..systems import Hubbub, RabbitMQ
from ..watching import cpu_seconds
from .work import PATTERNS, Pattern


def measure(system: System, pattern: Pattern, seconds: float) -> tuple[float, float]:
    """How often per second, and per second of the broker's processor time. The first piece is not counted."""
    pieces = pattern(system.port_for(AMQP))
    try:
        next(pieces)
        count, begun, used = 0, time.perf_counter(), cpu_seconds(system.pid)
        while (elapsed := time.perf_counter() - begun) < seconds:
            count += next(pieces)
        elapsed = time.perf_counter() - begun
        used = max(cpu_seconds(system.pid) - used, 0.01)
    finally:
        pieces.close()
    return count / elapsed, count / used


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.patterns", description=__doc__)
    parser.add_argument("--patterns", default=",".join(PATTERNS), metavar="PATTERN,...")
    parser.add_argument("--systems", default="hubbub,rabbitmq", metavar="SYSTEM,...")
    parser.add_argument("--seconds", type=float, default=1)
    arguments = parser.parse_args()
    kinds: list[type[System]] = [each for each in (Hubbub, RabbitMQ) if each.name in arguments.systems.split(",")]
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as text:
        systems = [kind(Path(text) / kind.name) for kind in kinds if kind.is_installed()]
        try:
            for system in systems:
                system.start()
                system.suspend()
            print(f"{'pattern':<22}" + "".join(f"{each.name:>14}" for each in systems) + f"{'factor':>10}", flush=True)
            for name in arguments.patterns.split(","):
                rates = []
                for system in systems:
                    system.resume()
                    rates.append(measure(system, PATTERNS[name], arguments.seconds)[0])
                    system.suspend()
                factor = f"{rates[0] / rates[1]:>10.1f}" if len(rates) == 2 else ""
                print(f"{name:<22}" + "".join(f"{each:>14,.0f}" for each in rates) + factor, flush=True)
        finally:
            for system in systems:
                system.stop()


if __name__ == "__main__":
    main()
