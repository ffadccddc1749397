"""A private HAProxy from the system's package: a load balancer in front of a server under test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.support.polling import eventually
from tests.support.server import HOST, accepts, free_port
from tests.support.skipping import skip_unless_ci


class Route(NamedTuple):
    """A port of the proxy's own, and where it leads. `words`: after the server's address (`send-proxy`)."""

    port: int
    target: int
    words: str


def route(target: int, words: str) -> Route:
    """From any free port."""
    return Route(free_port(), target, words)


class HaProxy:
    """Runs while it is entered; forwards bytes as they are."""

    def __init__(self, directory: Path, routes: Iterable[Route], lines: Iterable[str] = ()) -> None:
        """`lines`: more of haproxy.cfg."""
        self.program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or ""
        if not self.program:
            skip_unless_ci("haproxy is not installed (Debian: haproxy)")
        self.routes = list(routes)
        self.log = directory / "haproxy.log"
        self.configuration = directory / "haproxy.cfg"
        more = list(lines)
        lines = ["defaults", " mode tcp", " timeout connect 5s", " timeout client 60s", " timeout server 60s"]
        for each in self.routes:
            lines += [f"listen to_{each.target}_{each.port}", f" bind {HOST}:{each.port}"]
            lines += [f" server broker {HOST}:{each.target} {each.words}"]
        self.configuration.write_text("\n".join([*lines, *more]) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HaProxy:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-db", "-f", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: all(accepts((HOST, each.port)) for each in self.routes))
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
