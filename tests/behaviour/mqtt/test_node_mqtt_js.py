"""MQTT.js: runs `node/mqtt.test.js` against the server; each of its tests is one check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.skipping import skip_unless_ci

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> str:
    """The path of node, with MQTT.js installed beside the script."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        skip_unless_ci("node and npm are not installed (Debian: nodejs, npm)")
    if not (HERE / "node_modules" / "mqtt").exists():
        installed = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True, text=True, timeout=180, check=False
        )
        if installed.returncode:
            skip_unless_ci(f"npm ci failed: {installed.stderr[-500:]}")
    return node


@pytest.mark.timeout(240)
def test_mqtt_js(node: str, mqtt_server: Server) -> None:
    """Every test of the script passes, and there were some."""
    host, port = mqtt_server.address
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", "mqtt.test.js"],
        cwd=HERE,
        env={**os.environ, "MQTT_URL": f"mqtt://{host}:{port}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    counts = dict(re.findall(r"^# (pass|fail) (\d+)$", ran.stdout, re.MULTILINE))
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert int(counts["pass"]) >= 22
    assert int(counts["fail"]) == 0
