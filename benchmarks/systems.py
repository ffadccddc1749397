"""The systems under test, as processes: how each is started, found ready, suspended and ended.

Owns processes, ports and data directories; knows nothing of what is measured. A system listens on loopback only, on a
port of its own, with its data in a directory that is given to it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from .build import build_relay

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60
OPEN_FILES = 20_000  # for 10,000 idle connections
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


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
    amqp = True  # speaks AMQP; what does not is used through the load generator's relay mode
    fresh_each_time = True  # cheap to start, so that each measurement gets a new one
    backlog_messages = 500_000  # what it is asked to hold

    def __init__(self, directory: Path) -> None:
        """The directory takes the system's data and logs; it outlives restarts."""
        self.directory = directory
        self.port = free_port()
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

    def serves(self) -> bool:
        """True when a client is greeted."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                if not self.amqp:
                    return True
                probe.sendall(PROTOCOL_HEADER)
                return probe.recv(3) == b"\x01\x00\x00"  # connection.start
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


class Hubbub(System):
    """Our broker, as an operator starts it."""

    name = "hubbub"
    executable = Path(__file__).parent.parent / ".venv" / "bin" / "hubbub"
    settings: tuple[str, ...] = ()  # further --set key=value
    backlog_messages = 10_000_000

    def command(self) -> list[str]:
        """The one place that knows Hubbub's command line. Its other listeners are off: their ports may be taken."""
        listeners = [
            "amqp.address=127.0.0.1",
            f"amqp.port={self.port}",
            "management.port=null",
            "metrics.port=null",
            "websocket.port=null",
        ]
        settings = [*listeners, *self.settings]
        options = [word for setting in settings for word in ("--set", setting)]
        return [str(self.executable), "serve", "--data-dir", str(self.directory / "data"), *options]

    @classmethod
    def is_installed(cls) -> bool:
        """True when the checkout has been built, or the path given exists."""
        return cls.executable.exists()

    @classmethod
    def version(cls) -> str:
        """What `hubbub --version` prints."""
        try:
            said = subprocess.run(
                [cls.executable, "--version"], capture_output=True, text=True, timeout=30, check=False
            )
        except OSError:
            return ""
        return said.stdout.strip().partition("\n")[0]


class RabbitMQ(System):
    """A private node of the installed RabbitMQ, with the configuration that it comes with.

    What differs from the package's defaults is where it listens (loopback) and where its files are; no plugins. It
    starts slowly, so one node serves all measurements and is suspended in between.
    """

    name = "rabbitmq"
    fresh_each_time = False
    script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the wrapper, which changes the user

    def __init__(self, directory: Path) -> None:
        """Ports of its own for the node's distribution and for its port mapper, too."""
        super().__init__(directory)
        self._epmd_port = free_port()
        self._distribution_port = free_port()

    def command(self) -> list[str]:
        """The node, in the foreground."""
        return [str(self.script)]

    def environment(self) -> dict[str, str]:
        """Everything about a RabbitMQ node is said in its environment."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "environment.conf").touch()
        return {
            **os.environ,
            "HOME": str(self.directory),  # the cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"benchmark{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
        }

    def stop(self) -> None:
        """The port mapper was started by the node as a daemon: it is ended by its own command."""
        started = self._process is not None
        super().stop()
        epmd = shutil.which("epmd")
        if started and epmd:
            subprocess.run([epmd, "-kill"], env=self.environment(), capture_output=True, check=False, timeout=10)

    @classmethod
    def is_installed(cls) -> bool:
        """True where the package and Erlang are."""
        return cls.script.exists() and shutil.which("erl") is not None

    @classmethod
    def version(cls) -> str:
        """The version of the package, from where its application is unpacked."""
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        return found[-1].name.removeprefix("rabbitmq_server-") if found else ""


class Relay(System):
    """`relay.c`: copies bytes from socket to socket."""

    name = "relay"
    amqp = False

    def __init__(self, directory: Path | None = None) -> None:
        """Without a directory, one of its own that goes when it stops."""
        self._own_directory = None if directory else tempfile.TemporaryDirectory()
        super().__init__(directory or Path(self._own_directory.name if self._own_directory else ""))

    def command(self) -> list[str]:
        """The program and its port."""
        return [str(build_relay()), str(self.port)]

    def stop(self) -> None:
        """Ends it."""
        super().stop()
        if self._own_directory:
            self._own_directory.cleanup()


SYSTEMS: dict[str, type[Hubbub | RabbitMQ | Relay]] = {system.name: system for system in (Hubbub, RabbitMQ, Relay)}
"""What can be measured, in the order in which it is. A further peer is a class here."""
