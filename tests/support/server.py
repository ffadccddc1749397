"""Servers under test, as processes: Hubbub, and RabbitMQ as the peer that shows what clients are used to.

Owns starting, waiting for the listener, killing, restarting on the same data directory, and reading the log. A test
gets a `Server`; HUBBUB_TEST_PEER says which (`hubbub`, the default, or `rabbitmq`). Only loopback addresses are bound.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

VHOSTS = ["/", "other"]
LIMITED = "^limited-.*"
USERS: list[dict[str, Any]] = [
    {
        "name": "guest",
        "password": "guest",
        "tags": ["administrator"],
        "permissions": [{"vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"} for vhost in VHOSTS],
    },
    {
        "name": "limited",
        "password": "limited",
        "tags": [],
        "permissions": [{"vhost": "/", "configure": LIMITED, "write": LIMITED, "read": LIMITED}],
    },
    {
        "name": "actor",
        "password": "actor",
        "tags": ["impersonator"],
        "permissions": [{"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    },
]
"""The users of every server under test: all-powerful, limited to the names `limited-…`, and an impersonator."""

PORTS = itertools.cycle(random.sample(range(20_000, 32_768), 12_768))
"""In an order of this process's own: others may run beside it."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody held a moment ago, and that this process has not given before.

    Below those that Linux gives to clients: one of theirs may be taken before the server that was told it listens.
    """
    while True:
        port = next(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def accepts(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def inherited() -> dict[str, str]:
    """This process's environment, without what says how to test: a server takes HUBBUB_… for its settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}


def peer_name() -> str:
    return os.environ.get("HUBBUB_TEST_PEER", "hubbub")


class ServerExitedError(AssertionError):
    """The server ended before its listener accepted."""


class Server(ABC):
    """One server process at a time, on one data directory and one port; restartable."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.environment = dict(environment or {})
        self.log_path = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/%2F"

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    @property
    def log(self) -> str:
        """All that the server has said on stdout and stderr, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    @abstractmethod
    def command(self) -> Sequence[str]: ...

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for its listener."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited(), **self.environment},
                cwd=REPOSITORY,
                start_new_session=True,  # so that kill() reaches every process that it started, and nothing else
            )
        return self.process

    def start(self) -> None:
        """Start the process and return once its AMQP port accepts."""
        process = self.spawn()
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if process.poll() is not None:
                raise ServerExitedError(f"exited with {process.returncode} before it listened:\n{self.log[-4000:]}")
            if self._accepts():
                return
            if time.monotonic() > deadline:
                self.kill()
                raise ServerExitedError(
                    f"did not listen on {self.port} within {START_TIMEOUT_S} s:\n{self.log[-4000:]}"
                )
            time.sleep(0.02)

    def _accepts(self) -> bool:
        return accepts(self.address)

    def kill(self) -> None:
        """SIGKILL, as a power cut would: no farewell, no flush."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)
        self.process = None

    def stop(self) -> int:
        """SIGTERM, as an operator would; returns the exit code, negative when a signal ended it."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the server in {STOP_TIMEOUT_S} s:\n{self.log[-4000:]}") from None
        self.process = None
        return code

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code of a server that ends by itself."""
        assert self.process is not None
        code = self.process.wait(timeout_s)
        self.process = None
        return code

    def assert_clean(self) -> None:
        """Nothing in the log that only a programming error writes."""
        found = re.search(r"Traceback \(most recent call last\)|Exception ignored in|Segmentation fault", self.log)
        assert not found, f"the log holds {found and found.group()!r}:\n{self.log[-8000:]}"

    def resident_kib(self) -> int:
        """Resident memory of the server process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found.group(1))


Running = TypeVar("Running", bound=Server)


@contextlib.contextmanager
def serving(server: Running) -> Iterator[Running]:
    """It runs inside the `with`; then SIGTERM, if no test was quicker, must make it exit with 0 and a clean log."""
    server.start()
    try:
        yield server
        assert server.process is None or server.process.poll() is None, f"it died:\n{server.log[-8000:]}"
        code = server.stop()
        assert code == 0, f"SIGTERM: exit code {code}\n{server.log[-4000:]}"
        server.assert_clean()
    finally:
        server.kill()


class HubbubServer(Server):
    """`hubbub serve` from this checkout."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        data_directory: Path | None = None,
    ) -> None:
        super().__init__(directory, {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **(environment or {})})
        self.data_directory = data_directory or directory / "data"
        self.settings = dict(settings or {})

    @property
    def command(self) -> Sequence[str]:
        command = [sys.executable, "-m", "broker", "serve", "--data-dir", str(self.data_directory)]
        settings: dict[str, object] = {
            "amqp.address": HOST,
            "amqp.port": self.port,
            "management.port": "null",
            "metrics.port": "null",
            "websocket.port": "null",
            "mqtt.port": "null",
            "vhosts": json.dumps(VHOSTS),
            "users": json.dumps(USERS),
            **self.settings,
        }
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        return command


def rabbitmq_definitions() -> dict[str, Any]:
    """VHOSTS and USERS in the words of RabbitMQ's definitions file."""
    return {
        "vhosts": [{"name": vhost} for vhost in VHOSTS],
        "users": [{key: user[key] for key in ("name", "password", "tags")} for user in USERS],
        "permissions": [{"user": user["name"], **permission} for user in USERS for permission in user["permissions"]],
    }


class RabbitmqServer(Server):
    """A private RabbitMQ node from the system's package: the oracle, never a part of the product."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, environment)
        # Erlang keeps its cookie at home, and the node must not share one with any other node.
        home = directory / "home"
        home.mkdir(exist_ok=True)
        (directory / "enabled_plugins").write_text("[rabbitmq_consistent_hash_exchange].\n")
        (directory / "definitions.json").write_text(json.dumps(rabbitmq_definitions()))
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\n"
            "log.console = true\nlog.console.level = info\nlog.file = false\n"
            f"load_definitions = {directory / 'definitions.json'}\n"
            "heartbeat = 60\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n"
        )
        self.environment.update(
            HOME=str(home),
            RABBITMQ_NODENAME=f"peer{self.port}@localhost",
            RABBITMQ_MNESIA_BASE=str(directory / "mnesia"),
            RABBITMQ_LOG_BASE=str(directory / "log"),
            RABBITMQ_CONFIG_FILE=str(directory / "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(directory / "enabled_plugins"),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2",
        )

    @property
    def command(self) -> Sequence[str]:
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        if not found:
            raise AssertionError("HUBBUB_TEST_PEER=rabbitmq needs the package rabbitmq-server")
        return [str(found[-1])]

    def assert_clean(self) -> None:
        """A peer's log is its own affair."""


def make_server(directory: Path) -> Server:
    """The server that HUBBUB_TEST_PEER names, not yet started."""
    if peer_name() == "rabbitmq":
        return RabbitmqServer(directory)
    return HubbubServer(directory)
