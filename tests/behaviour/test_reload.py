"""Settings of a running broker, read anew on SIGHUP and by `hubbub reload`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, REPOSITORY, HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only
BAD_LOGIN = 0x86


class Configured(HubbubServer):
    """With a file of settings."""

    def __init__(self, directory: Path) -> None:
        self.mqtt = (HOST, free_port())
        self.management_port = free_port()
        super().__init__(
            directory, {"mqtt.address": HOST, "mqtt.port": self.mqtt[1], "management.port": self.management_port}
        )
        self.path = directory / "hubbub.yaml"
        self.path.write_text("mqtt: {anonymous: always}\n")

    @property
    def command(self) -> Sequence[str]:
        return [*super().command, "--config", str(self.path)]

    def hubbub(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "broker", *arguments],
            env={**os.environ, "HUBBUB_URL": f"http://{HOST}:{self.management_port}", "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def connack(self) -> int:
        """The reason of an anonymous client's CONNACK."""
        client = MqttRaw(self.mqtt, V5)
        client.send(codec.connect(V5, "anonymous"))
        reason = client.expect(codec.CONNACK).reason
        client.close()
        return reason


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Configured]:
    with serving(Configured(tmp_path)) as running:
        eventually(lambda: "is ready" in running.log)
        yield running


def test_sighup_takes_the_file_into_use_and_a_wrong_file_changes_nothing(broker: Configured) -> None:
    assert broker.connack() == 0
    broker.path.write_text("mqtt: {anonymous: nobody}\n")
    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the settings stay as they were" in broker.log)
    assert broker.connack() == 0
    broker.path.write_text("mqtt: {anonymous: never}\n")
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: "settings are read anew changed=mqtt.anonymous" in broker.log)

    assert broker.connack() == BAD_LOGIN


def test_hubbub_reload_says_what_counts_and_what_does_not(broker: Configured) -> None:
    assert broker.hubbub("reload").stdout == "nothing has changed\n"
    broker.path.write_text("mqtt: {anonymous: never}\nlimits: {read_bytes_max: 524288}\n")
    assert broker.hubbub("reload").stdout == "mqtt.anonymous: changed\nlimits.read_bytes_max: needs a restart\n"
    assert broker.connack() == BAD_LOGIN
    broker.path.write_text("mqtt: {anonymous: nobody}\n")
    refused = broker.hubbub("reload")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "mqtt.anonymous: expected one of always, loopback, never, got `nobody`" in refused.stderr


def test_config_show_prints_what_serve_would_use_without_secrets(broker: Configured) -> None:
    shown = broker.hubbub("config", "show", "--config", str(broker.path), "--set", "amqp.port=1")
    settings = yaml.safe_load(shown.stdout)

    assert (settings["amqp"]["port"], settings["mqtt"]["anonymous"]) == (1, "always")
    assert settings["users"][0]["password"] == "***"


def test_a_wrong_value_of_a_secret_is_not_shown(broker: Configured, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("users: [{name: a, password: 4711}]\n")
    refused = broker.hubbub("config", "check", str(wrong))

    assert refused.returncode == 2
    assert "users[0].password: expected `str`" in refused.stderr
    assert "4711" not in refused.stderr
