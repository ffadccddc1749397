"""`deploy/grafana`: each dashboard asks for metrics that there are, and Prometheus understands what it asks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import Peer
from tests.support.skipping import skip_unless_ci
from tests.unit.management.conftest import Client, ObservedCore, login

DASHBOARDS = sorted((Path(__file__).resolve().parents[3] / "deploy/grafana").glob("*.json"))
METRIC = re.compile(r"\b((?:hubbub|rabbitmq)_\w+)")
INTERVAL = "5m"


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def loaded(path: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(path.read_text())
    return board


def test_there_are_dashboards_with_names_of_their_own() -> None:
    boards = [loaded(path) for path in DASHBOARDS]
    assert [board["uid"] for board in boards] == ["hubbub-mqtt", "hubbub-overview", "hubbub-queues", "hubbub-store"]
    for board in boards:
        assert list(expressions(board))
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert {"hubbub"} < set(board["tags"])


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
async def test_every_metric_that_a_dashboard_asks_for_is_exposed(
    path: Path, client: Client, server: ObservedCore, peer: Peer
) -> None:
    peer.declare("q")
    peer.publish("q", b"m")
    text = await (await client.get("/metrics/per-object", headers=login())).text()
    text += await (await client.get("/metrics", headers=login())).text()
    exposed = set(METRIC.findall("\n".join(line for line in text.splitlines() if not line.startswith("# HELP"))))
    board = loaded(path)
    queries = [each["query"] for each in board["templating"]["list"]]
    asked = {name for text in (*expressions(board), *queries) for name in METRIC.findall(text)}
    asked -= STORE_FIGURES
    assert asked
    assert asked <= exposed, asked - exposed


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_understands_every_expression(path: Path, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_unless_ci("needs promtool, of the package prometheus")
    rules = [
        {"record": f"expression:{index}", "expr": re.sub(r"\$\w+", ".*", text.replace("$__rate_interval", INTERVAL))}
        for index, text in enumerate(expressions(loaded(path)))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


STORE_FIGURES = {
    "hubbub_store_free_bytes", "hubbub_store_disk_free_bytes", "hubbub_store_segments", "hubbub_store_slots_elided",
    "hubbub_store_slots_written", "hubbub_store_live_bytes", "hubbub_store_checkpoint_seconds_bucket",
}  # fmt: skip
"""What only a real store has (tests/behaviour/test_prometheus.py)."""
