"""What users of RabbitMQ and Mosquitto type here: each line of the tables in docs/operations/commands.md, in order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli import main
from tests.support.polling import eventually
from tests.support.server import HOST, REPOSITORY, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only
PAGE = REPOSITORY / "docs/operations/commands.md"


def tables() -> dict[str, list[tuple[str, str]]]:
    """By the other broker: what one types there, and here."""
    found: dict[str, list[tuple[str, str]]] = {}
    text = PAGE.read_text()
    for broker in ("RabbitMQ", "Mosquitto"):
        start = text.index(f"| {broker} | Hubbub |")
        rows = re.findall(r"^\| (.*) \| `hubbub (.*)` \|$", text[start:].split("\n\n")[0], re.M)
        found[broker] = rows
    return found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HubbubServer]:
    ports = {f"{name}.port": free_port() for name in ("management", "mqtt")}
    running = HubbubServer(tmp_path / "broker", {**ports, "mqtt.address": HOST})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
    finally:
        running.kill()


def test_no_line_is_left_out() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if "| `hubbub " in line]

    assert len(lines) == sum(len(rows) for rows in tables().values()) > 70


@pytest.mark.parametrize("other", tables())
def test_every_line_does_what_it_says(
    broker: HubbubServer, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUBBUB_URL", f"http://{HOST}:{broker.settings['management.port']}")
    for there, here in tables()[other]:
        words = shlex.split(here.replace("5672", str(broker.port)))
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, f"{there}: {done.output}"
        assert words[0] not in ("list", "get", "subscribe") or done.output.strip(), f"{there}: says nothing"
    if other == "Mosquitto":  # whose last line stops it
        assert broker.process is not None
        assert broker.process.wait(30) == 0
    broker.assert_clean()
