"""From a running Mosquitto to Hubbub: its clients come in as before, at the same port, with the same passwords."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw
from tests.support.mqtt_server import Mosquitto
from tests.support.server import REPOSITORY, Server

pytestmark = pytest.mark.hubbub_only
PASSWORDS = {"alice": "wonder", "bob": "builder"}


class Imported(Server):
    """Hubbub with what was written for it."""

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"})
        self.port = port

    @property
    def command(self) -> Sequence[str]:
        off = ("--set", "management.port=null", "--set", "metrics.port=null", "--set", "websocket.port=null")
        data = ("--data-dir", str(self.directory / "data"))
        return [sys.executable, "-m", "broker", "serve", "--config", str(self.directory / "hubbub.yaml"), *data, *off]


def reason(server: Server, version: int, user: str | None, password: str | None) -> int:
    """Of the CONNACK."""
    client = MqttRaw(server.address, version)
    client.send(codec.connect(version, "client", user=user, password=password))
    found = client.expect(codec.CONNACK).reason
    client.close()
    return found


@pytest.mark.parametrize("version", [V311, V5])
def test_the_same_clients_come_in(tmp_path: Path, version: int) -> None:
    (tmp_path / "mosquitto").mkdir()
    mosquitto = Mosquitto.with_passwords(tmp_path / "mosquitto", PASSWORDS)
    logins = [("alice", "wonder"), ("bob", "builder"), ("alice", "builder"), ("eve", "x"), (None, None)]
    mosquitto.start()
    before = [reason(mosquitto, version, *login) == 0 for login in logins]
    mosquitto.kill()
    done = subprocess.run(
        [sys.executable, "-m", "broker", "import", "mosquitto", str(mosquitto.configuration), "--to", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    hubbub = Imported(tmp_path, mosquitto.port)
    hubbub.start()
    try:
        after = [reason(hubbub, version, *login) == 0 for login in logins]
        assert hubbub.stop() == 0
        hubbub.assert_clean()
    finally:
        hubbub.kill()

    assert before == after == [True, True, False, False, False]
