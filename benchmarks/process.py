"""A system under test, as a process: how it is started, found ready, suspended and ended.

Owns processes, ports and data directories; knows nothing of what is measured. A system listens on loopback only, on
ports of its own, with its data in a directory that is given to it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60
OPEN_FILES = 20_000  # for 10,000 idle connections
AMQP, MQTT, WEBSOCKET, COPY = "amqp", "mqtt", "websocket", "copy"
# What a client says first, and how the answer begins. Without one, that it accepts a connection is enough.
GREETINGS = {
    AMQP: (b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"),  # connection.start
    MQTT: (b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05probe", b"\x20\x02"),  # CONNACK
}


class SystemFailedError(Exception):
    """A system under test did not start, or died."""


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class System(ABC):
    """A process that is measured. A context manager: it runs inside the `with`."""

    name: str
    dialects: tuple[str, ...]  # what it speaks, each on a port of its own
    fresh_each_time = True  # cheap to start, so that each measurement gets a new one
    backlog_messages = 500_000  # what it is asked to hold

    def __init__(self, directory: Path) -> None:
        """The directory takes the system's data and logs; it outlives restarts."""
        self.directory = directory
        self.ports = {dialect: free_port() for dialect in self.dialects}
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    def environment(self) -> dict[str, str]:
        """The environment, which is this process's own unless said otherwise."""
        return dict(os.environ)

    @classmethod
    def is_installed(cls) -> bool:
        """True when there is something to start."""
        return True

    @classmethod
    def version(cls) -> str:
        """What is measured, for the record."""
        return ""

    @property
    def pid(self) -> int:
        """The process whose CPU and memory count, with its descendants."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Starts it and waits until it serves. Gives the seconds that took."""
        begun = time.monotonic()
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # a process group that can be ended as one
                preexec_fn=_raise_open_files,
            )
        try:
            while not self.serves():
                if self._process.poll() is not None:
                    raise SystemFailedError(
                        f"{self.name} ended with status {self._process.returncode}: {self.last_output()}"
                    )
                if time.monotonic() - begun > START_SECONDS_MAX:
                    raise SystemFailedError(
                        f"{self.name} does not serve after {START_SECONDS_MAX} s: {self.last_output()}"
                    )
                time.sleep(0.005)
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - begun

    def port_for(self, dialect: str) -> int:
        """Where it speaks the dialect. The relay copies any on its one port."""
        port = self.ports.get(dialect, self.ports.get(COPY))
        if port is None:
            raise SystemFailedError(f"{self.name} does not speak {dialect}")
        return port

    def serves(self) -> bool:
        """True when a client is greeted in each dialect."""
        return all(self._greets(dialect, port) for dialect, port in self.ports.items())

    @staticmethod
    def _greets(dialect: str, port: int) -> bool:
        said, expected = GREETINGS.get(dialect, (b"", b""))
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                probe.sendall(said)
                return not expected or probe.recv(len(expected)) == expected
        except OSError:
            return False

    def stop(self) -> None:
        """Ends it and all that it started: politely, then not."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._signal_group(process, signal.SIGCONT)
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS_MAX)
        self._signal_group(process, signal.SIGKILL)
        process.wait()

    def suspend(self) -> None:
        """Takes the processor away from it, while another system is measured."""
        if self._process is not None:
            self._signal_group(self._process, signal.SIGSTOP)

    def resume(self) -> None:
        """Undoes `suspend`."""
        if self._process is not None:
            self._signal_group(self._process, signal.SIGCONT)

    def last_output(self) -> str:
        """The end of what it has printed."""
        return (self.directory / "output.log").read_text(errors="replace")[-1500:]

    @staticmethod
    def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self.stop()


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
