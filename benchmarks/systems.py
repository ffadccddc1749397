"""The systems under test: Hubbub, RabbitMQ and the relay here, the peers that speak MQTT alone in `mqtt_peers.py`.

Owns how each is configured and started; knows nothing of what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .build import build_relay
from .mqtt_peers import Mosquitto, Nats
from .process import AMQP, COPY, MQTT, WEBSOCKET, System, free_port


class Hubbub(System):
    """Our broker, as an operator starts it."""

    name = "hubbub"
    executable = Path(__file__).parent.parent / ".venv" / "bin" / "hubbub"
    settings: tuple[str, ...] = ()  # further --set key=value
    backlog_messages = 10_000_000
    dialects = (AMQP, MQTT, WEBSOCKET)

    def __init__(self, directory: Path) -> None:
        """An older build, without MQTT, can be measured in what it speaks."""
        super().__init__(directory)
        self.ports = {dialect: port for dialect, port in self.ports.items() if self.speaks(dialect)}

    def command(self) -> list[str]:
        """The one place that knows Hubbub's command line. Its other listeners are off: their ports may be taken."""
        listeners = [f"{dialect}.address=127.0.0.1" for dialect in self.ports]
        listeners += [f"{dialect}.port={port}" for dialect, port in self.ports.items()]
        settings = [*listeners, "management.port=null", "metrics.port=null", *self.settings]
        options = [word for setting in settings for word in ("--set", setting)]
        return [str(self.executable), "serve", "--data-dir", str(self.directory / "data"), *options]

    @classmethod
    @cache
    def speaks(cls, dialect: str) -> bool:
        """True when the build has a section for it in its settings."""
        asked = [str(cls.executable), "config", "check", "/dev/stdin"]
        section = f"{dialect}:\n  port: null\n"
        return not subprocess.run(asked, input=section, text=True, capture_output=True, check=False).returncode

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

    What differs from the package's defaults is where it listens (loopback) and where its files are, and that its MQTT
    plugin is there. It starts slowly, so one node serves all measurements and is suspended in between.
    """

    name = "rabbitmq"
    dialects = (AMQP, MQTT)
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
        (self.directory / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.ports[MQTT]}\n"
            "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
        )
        (self.directory / "environment.conf").touch()
        return {
            **os.environ,
            "HOME": str(self.directory),  # the cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"benchmark{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports[AMQP]),
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
    dialects = (COPY,)

    def __init__(self, directory: Path | None = None) -> None:
        """Without a directory, one of its own that goes when it stops."""
        self._own_directory = None if directory else tempfile.TemporaryDirectory()
        super().__init__(directory or Path(self._own_directory.name if self._own_directory else ""))

    def command(self) -> list[str]:
        """The program and its port."""
        return [str(build_relay()), str(self.ports[COPY])]

    def stop(self) -> None:
        """Ends it."""
        super().stop()
        if self._own_directory:
            self._own_directory.cleanup()


SYSTEMS: dict[str, type[Hubbub | RabbitMQ | Mosquitto | Nats | Relay]] = {
    system.name: system for system in (Hubbub, RabbitMQ, Mosquitto, Nats, Relay)
}
"""What can be measured, in the order in which it is. A further peer is a class here."""
