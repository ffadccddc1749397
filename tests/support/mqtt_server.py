"""The MQTT server under test: Hubbub, or Mosquitto as the peer that shows what clients are used to.

Owns Mosquitto's configuration and the address that MQTT clients connect to. HUBBUB_TEST_PEER=mosquitto asks for
Mosquitto.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.server import HOST, HubbubServer, Server, free_port, peer_name
from tests.support.skipping import skip_unless_ci


class MqttHubbub(HubbubServer):
    """Hubbub with MQTT's listener at `port`; AMQP is at `amqp_port`."""

    def __init__(self, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        self.amqp_port = free_port()
        super().__init__(directory, settings)
        self.settings = {
            "amqp.port": self.amqp_port,
            "mqtt.address": HOST,
            "mqtt.port": self.port,
            "mqtt.tls_port": "null",
            **self.settings,
        }


class Mosquitto(Server):
    """A private Mosquitto from the system's package, on one listener; `lines` are added to its configuration."""

    def __init__(self, directory: Path, lines: Sequence[str] = (), *, anonymous: bool = True) -> None:
        super().__init__(directory)
        self.program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        if not Path(self.program).exists():
            skip_unless_ci("mosquitto is not installed (Debian: mosquitto)")
        self.configuration = directory / "mosquitto.conf"
        common = [f"allow_anonymous {str(anonymous).lower()}", "max_topic_alias 10", "allow_duplicate_messages true"]
        common += ["persistence true", f"persistence_location {directory}/", "autosave_interval 0", "user root"]
        common += ["max_queued_messages 0", "max_inflight_messages 20", "max_packet_size 1000000"]
        self.configuration.write_text("\n".join([*common, f"listener {self.port} {HOST}", *lines]) + "\n")

    @classmethod
    def with_passwords(cls, directory: Path, passwords: Mapping[str, str]) -> Mosquitto:
        """One that only these users enter."""
        file = directory / "passwords"
        file.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True, timeout=30)
        return cls(directory, [f"password_file {file}"], anonymous=False)

    @property
    def command(self) -> Sequence[str]:
        return [self.program, "-c", str(self.configuration)]


def make_mqtt_server(directory: Path, settings: Mapping[str, object] | None = None) -> Server:
    """The server that HUBBUB_TEST_PEER names, not yet started. `settings` are Hubbub's."""
    if is_mosquitto():
        return Mosquitto(directory)
    return MqttHubbub(directory, settings)


def is_mosquitto() -> bool:
    return peer_name() == "mosquitto"


__all__ = ["Mosquitto", "MqttHubbub", "is_mosquitto", "make_mqtt_server"]
