"""The peers that are MQTT brokers: Mosquitto and NATS, from Debian, each at its best settings."""

from __future__ import annotations

import getpass
import shutil
import subprocess

from .process import MQTT, WEBSOCKET, System

SBIN = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


class Mosquitto(System):
    """Mosquitto without limits on what is in flight or queued. It acknowledges before anything is on the disk."""

    name = "mosquitto"
    dialects = (MQTT, WEBSOCKET)

    def command(self) -> list[str]:
        """The configuration is written anew each time."""
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.ports[MQTT]} 127.0.0.1\n"
            f"listener {self.ports[WEBSOCKET]} 127.0.0.1\n"
            "protocol websockets\n"
            "allow_anonymous true\n"
            f"user {getpass.getuser()}\n"  # started by root, it would become another, who may not write here
            "max_inflight_messages 0\n"
            "max_queued_messages 0\n"
            "set_tcp_nodelay true\n"
            "persistence true\n"  # written at intervals and at the end
            f"persistence_location {self.directory}/\n"
        )
        return [shutil.which("mosquitto", path=SBIN) or "mosquitto", "-c", str(configuration)]

    @classmethod
    def is_installed(cls) -> bool:
        """True where Debian's package is."""
        return shutil.which("mosquitto", path=SBIN) is not None

    @classmethod
    def version(cls) -> str:
        """What `mosquitto -h` begins with."""
        program = shutil.which("mosquitto", path=SBIN)
        if program is None:
            return ""
        said = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=30, check=False)
        return said.stdout.partition("\n")[0].removeprefix("mosquitto version ").strip()


class Nats(System):
    """NATS with its MQTT listener, 3.1.1 with QoS 0 and 1, and JetStream, which that needs, in files."""

    name = "nats"
    dialects = (MQTT,)

    def command(self) -> list[str]:
        """The configuration is written anew each time. Clients of its own dialect get no port."""
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "nats.conf"
        configuration.write_text(
            'server_name: benchmark\nhost: "127.0.0.1"\nport: -1\n'
            f'jetstream {{ store_dir: "{self.directory / "jetstream"}" }}\n'
            f'mqtt {{ host: "127.0.0.1", port: {self.ports[MQTT]}, max_ack_pending: 65535 }}\n'
        )
        return [shutil.which("nats-server", path=SBIN) or "nats-server", "-c", str(configuration)]

    @classmethod
    def is_installed(cls) -> bool:
        """True where Debian's package is."""
        return shutil.which("nats-server", path=SBIN) is not None

    @classmethod
    def version(cls) -> str:
        """What `nats-server --version` says."""
        program = shutil.which("nats-server", path=SBIN)
        if program is None:
            return ""
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
        return said.stdout.strip().removeprefix("nats-server: v")
