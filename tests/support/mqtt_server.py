"""The MQTT server under test: Hubbub, or Mosquitto as the peer that shows what clients are used to.

Owns Mosquitto's configuration and the address that MQTT clients connect to. HUBBUB_TEST_PEER=mosquitto asks for
Mosquitto.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.server import HOST, HubbubServer, Server, free_port, peer_name
from tests.support.skipping import skip_unless_ci

HUBBUB_SPEAKS_MQTT = False
"""Until it does, these suites run against Mosquitto, which keeps them honest."""


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
    """A private Mosquitto from the system's package; `lines` are added to its configuration."""

    def __init__(self, directory: Path, lines: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        if not Path(self.program).exists():
            skip_unless_ci("mosquitto is not installed (Debian: mosquitto)")
        self.configuration = directory / "mosquitto.conf"
        common = ["per_listener_settings false", "allow_anonymous true", f"listener {self.port} {HOST}"]
        common += ["persistence true", f"persistence_location {directory}/", "autosave_interval 0"]
        common += [
            "max_queued_messages 0",
            "max_inflight_messages 20",
            "max_packet_size 1000000",
            "allow_duplicate_messages true",
        ]
        self.configuration.write_text("\n".join([*common, *lines]) + "\n")

    @property
    def command(self) -> Sequence[str]:
        return [self.program, "-c", str(self.configuration)]


def make_mqtt_server(directory: Path, settings: Mapping[str, object] | None = None) -> Server:
    """The server that HUBBUB_TEST_PEER names, not yet started. `settings` are Hubbub's."""
    if is_mosquitto():
        return Mosquitto(directory)
    return MqttHubbub(directory, settings)


def is_mosquitto() -> bool:
    return peer_name() == "mosquitto" or not HUBBUB_SPEAKS_MQTT


__all__ = ["Mosquitto", "MqttHubbub", "is_mosquitto", "make_mqtt_server"]
