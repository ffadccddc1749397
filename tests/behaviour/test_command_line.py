"""The newcomer's path, word by word: what the README says is done, and works; what goes wrong is said plainly."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.polling import eventually
from tests.support.server import REPOSITORY, HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only


def run(*arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """A command of the project in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout_s
    )


def readme_script(port: int) -> str:
    found = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    assert found is not None
    assert ":5672/" in found.group(1)
    return found.group(1).replace(":5672/", f":{port}/")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HubbubServer]:
    """A broker of its own, with management and metrics."""
    running = HubbubServer(tmp_path, {"management.port": free_port(), "metrics.port": free_port()})
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def test_the_script_in_the_readme_publishes_and_consumes(broker: HubbubServer) -> None:
    for _ in range(2):  # it can be run again
        done = run("-c", readme_script(broker.port))
        assert (done.returncode, done.stdout) == (0, "b'hello'\n"), done.stderr


def test_the_start_up_summary_is_one_line_with_everything(broker: HubbubServer) -> None:
    (line,) = (line for line in broker.log.splitlines() if "is ready" in line)
    assert f"amqp=127.0.0.1:{broker.port}" in line
    assert f"management=127.0.0.1:{broker.settings['management.port']}" in line
    assert f"metrics=127.0.0.1:{broker.settings['metrics.port']}" in line
    assert f"data_dir={broker.data_directory}" in line
    assert "durability=fsync" in line


def test_a_second_broker_on_the_data_directory_names_the_first(broker: HubbubServer) -> None:
    second = run("-m", "broker", "serve", "--data-dir", broker.data_directory, "--set", "amqp.port=0")
    assert second.returncode == 1
    assert broker.process is not None
    assert f"in use by another broker (process {broker.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_backup_is_a_data_directory_that_can_be_inspected_and_started(broker: HubbubServer, tmp_path: Path) -> None:
    assert run("-c", readme_script(broker.port).replace("basic_ack", "basic_nack")).returncode == 0
    copy = tmp_path / "copy"
    management = f"management.port={broker.settings['management.port']}"
    done = run("-m", "broker", "backup", copy, "--set", management)
    assert done.returncode == 0, done.stderr

    inspected = json.loads(run("-m", "storage.inspect", copy, "--json").stdout)
    assert inspected["definitions"]["queue"] == 1
    assert inspected["slots_live"] == 1
    restored = HubbubServer(tmp_path / "restored", data_directory=copy)
    restored.start()
    try:
        eventually(lambda: 'restored="1 queues with 1 messages' in restored.log)
        assert restored.stop() == 0
    finally:
        restored.kill()


def test_inspect_says_what_it_cannot_read(tmp_path: Path) -> None:
    done = run("-m", "storage.inspect", tmp_path)
    assert done.returncode == 1
    assert "holds no data.mdb" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amqp:\n  prot: 1\n", r":2: amqp\.prot: expected one of address, port.*did you mean `port`\?"),
        ("amqp:\n  port: many\n", r":2: amqp\.port: expected `int \| null`, got `str`"),
        ("\n\ndurability: {mode: always}\n", r":3: durability\.mode: expected one of fsync, interval, got `always`"),
        ("amqp: [\n", r":2: expected YAML"),
    ],
)
def test_a_wrong_file_is_named_with_line_key_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "hubbub.yaml"
    file.write_text(text)
    done = run("-m", "broker", "serve", "--config", file)
    assert done.returncode == 2
    assert re.search(re.escape(str(file)) + said, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
