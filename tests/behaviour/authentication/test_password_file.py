"""Users of a password file, over every protocol; the file is mosquitto_passwd's."""

from __future__ import annotations

import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.skipping import skip_unless_ci

pytestmark = pytest.mark.hubbub_only


def mosquitto_passwd(*arguments: str) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        skip_unless_ci("mosquitto_passwd is not installed (Debian: mosquitto)")
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("passwords") / "passwords"
    mosquitto_passwd("-c", "-b", str(path), "alice", "s3cret-of-alice")
    mosquitto_passwd("-b", str(path), "guest", "guest-in-the-file")
    name, hashed = path.read_text().splitlines()[0].split(":")
    path.write_text(path.read_text() + f"boss:{hashed}:administrator\n")  # the salt is not the name's
    assert name == "alice"
    return path


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, passwords: Path) -> Iterator[HubbubServer]:
    settings = {
        "authentication.backends": "[password_file, internal]",
        "authentication.password_file.path": passwords,
        "authentication.cache_s": 1,
        "metrics.port": free_port(),
    }
    running = server_with_entrances(tmp_path_factory.mktemp("filed"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_user_of_the_file_comes_in(broker: HubbubServer, entrance: str) -> None:
    assert enter(broker, entrance, "boss", "s3cret-of-alice") == "boss"


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_wrong_password_is_refused(broker: HubbubServer, entrance: str) -> None:
    with pytest.raises(RefusedError) as refused:
        enter(broker, entrance, "boss", "another-s3cret")
    assert "another-s3cret" not in str(refused.value)


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_first_that_knows_the_user_decides(broker: HubbubServer, entrance: str) -> None:
    with pytest.raises(RefusedError):
        enter(broker, entrance, "guest", "guest")  # right for the store's guest, whom nobody asks


@pytest.mark.parametrize("entrance", ["amqp", "mqtt", "websocket"])
def test_who_is_not_in_the_file_is_asked_of_the_next(broker: HubbubServer, entrance: str) -> None:
    assert enter(broker, entrance, "limited", "limited") == "limited"


def test_a_user_without_a_tag_may_not_use_the_http_api(broker: HubbubServer) -> None:
    with pytest.raises(RefusedError, match="Not management user"):
        enter(broker, "http", "alice", "s3cret-of-alice")


def test_a_changed_file_is_taken_into_use(broker: HubbubServer, passwords: Path) -> None:
    with pytest.raises(RefusedError):
        enter(broker, "mqtt", "carol", "new-s3cret")

    mosquitto_passwd("-b", str(passwords), "carol", "new-s3cret")

    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)  # what was answered a moment ago is forgotten, too
    eventually(lambda: _enters(broker, "carol", "new-s3cret"))


def test_a_broken_file_changes_nothing(broker: HubbubServer, passwords: Path) -> None:
    kept = passwords.read_text()

    passwords.write_text("alice:plain-text-password\n")

    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the password file stays as it was" in broker.log)
    assert enter(broker, "mqtt", "alice", "s3cret-of-alice") == "alice"
    assert "plain-text-password" not in broker.log
    passwords.write_text(kept)


def test_what_was_said_is_counted(broker: HubbubServer) -> None:
    with urllib.request.urlopen(f"http://{HOST}:{broker.settings['metrics.port']}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()

    for line in (
        'hubbub_authentication_total{backend="password_file",outcome="allowed"}',
        'hubbub_authentication_total{backend="password_file",outcome="refused"}',
        'hubbub_authentication_total{backend="internal",outcome="allowed"}',
    ):
        assert line in metrics


def test_no_password_reaches_the_log(broker: HubbubServer) -> None:
    for secret in ("s3cret-of-alice", "another-s3cret", "guest-in-the-file", "new-s3cret"):
        assert secret not in broker.log


def _enters(broker: HubbubServer, name: str, password: str) -> bool:
    try:
        return enter(broker, "mqtt", name, password) == name
    except RefusedError:
        return False
