"""The `hubbub` command as the operator runs it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from broker.cli import main
from broker.version import VERSION

ROOT = Path(__file__).resolve().parents[3]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Process:
    """`hubbub serve` as a process of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.port, self.management_port = _free_port(), _free_port()
        self.log_path = directory / "log"
        command = [
            *(sys.executable, "-m", "broker", "serve", "--data-dir", str(directory / "data")),
            *("--set", "amqp.address=127.0.0.1", "--set", f"amqp.port={self.port}"),
            *("--set", f"management.port={self.management_port}", "--set", "metrics.port=null"),
            *("--set", "websocket.port=null", "--set", "mqtt.port=null"),
            *arguments,
        ]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while "is ready" not in self.log:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for each in started:
        each.process.kill()
        each.process.wait()


def test_the_version() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.exit_code == 0
    assert result.output == f"hubbub, version {VERSION}\n"


@pytest.mark.parametrize("arguments", [["serve"], ["backup", "/nonexistent/copy"]])
def test_a_wrong_setting_ends_with_2_and_no_traceback(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, [*arguments, "--set", "amqp.prot=1"])

    assert result.exit_code == 2
    assert "amqp.prot" in result.stderr
    assert "did you mean `port`?" in result.stderr
    assert "Traceback" not in result.output


def test_config_check(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("amqp: {port: 5673}\n")
    bad.write_text("amqp:\n  port: x\n")

    assert CliRunner().invoke(main, ["config", "check", str(good)]).output == f"{good}: valid\n"
    result = CliRunner().invoke(main, ["config", "check", str(bad)])
    assert result.exit_code == 2
    assert f"{bad}:2: amqp.port: " in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_with_0(tmp_path: Path, processes: list[Process], number: signal.Signals) -> None:
    processes.append(server := Process(tmp_path, "--set", "log.format=json"))
    server.wait_until_ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        server.process.send_signal(number)
        assert server.process.wait(15) == 0
    assert '"text": "hubbub has stopped"' in server.log
    assert "Traceback" not in server.log


def test_a_taken_port_is_named_and_ends_with_1(tmp_path: Path, processes: list[Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        processes.append(server := Process(tmp_path, "--set", f"amqp.port={port}"))
        assert server.process.wait(30) == 1
    assert f"amqp: cannot listen on 127.0.0.1:{port}: the port is taken by process" in server.log
    assert "Traceback" not in server.log


def test_backup_of_a_running_and_of_a_stopped_broker(tmp_path: Path, processes: list[Process]) -> None:
    processes.append(server := Process(tmp_path))
    server.wait_until_ready()
    arguments = ["--data-dir", str(tmp_path / "data"), "--set", f"management.port={server.management_port}"]
    online = CliRunner().invoke(main, ["backup", str(tmp_path / "online"), *arguments])
    assert (online.exit_code, online.output) == (0, f"the broker has backed up its store to {tmp_path}/online\n")
    refused = CliRunner().invoke(main, ["backup", str(tmp_path / "online"), *arguments])
    assert refused.exit_code == 1
    assert "is not empty" in refused.output
    server.process.terminate()
    assert server.process.wait(15) == 0

    offline = CliRunner().invoke(main, ["backup", str(tmp_path / "offline"), *arguments])
    assert (offline.exit_code, offline.output) == (0, f"backed up {tmp_path}/data to {tmp_path}/offline\n")
    for copy in ("online", "offline"):
        (tmp_path / f"from-{copy}").mkdir()
        (tmp_path / copy).rename(tmp_path / f"from-{copy}" / "data")
        processes.append(restored := Process(tmp_path / f"from-{copy}"))
        restored.wait_until_ready()
        with urllib.request.urlopen(f"http://127.0.0.1:{restored.management_port}/health/ready") as answer:
            assert answer.status == 200


def test_a_backup_without_a_broker_or_a_directory_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["backup", str(tmp_path / "copy"), "--set", f"management.port={_free_port()}"])
    assert result.exit_code == 1
    assert "no broker answers" in result.output

    result = CliRunner().invoke(main, ["backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "there is no such data directory" in result.output


def test_the_environment_sets_what_serve_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hubbub.yaml"
    file.write_text("mqtt: {port: 1}\n")
    monkeypatch.setenv("HUBBUB_CONFIG", str(file))
    monkeypatch.setenv("HUBBUB_AMQP_PORT", "5999")
    shown = yaml.safe_load(CliRunner().invoke(main, ["config", "show"]).output)
    assert (shown["mqtt"]["port"], shown["amqp"]["port"]) == (1, 5999)
    assert shown["users"][0]["password"] == "***"

    monkeypatch.setenv("HUBBUB_AMPQ_PORT", "1")
    wrong = CliRunner().invoke(main, ["serve"])
    assert wrong.exit_code == 2
    assert "did you mean HUBBUB_AMQP_PORT?" in wrong.stderr
    assert CliRunner().invoke(main, ["config", "check", str(file)]).exit_code == 0, "the file alone"
