"""`deploy/prometheus/alerts.yml`: Prometheus accepts it, and it asks for metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

from broker.management.metrics import exposition
from tests.support.skipping import skip_unless_ci
from tests.unit.management.conftest import ObservedCore

RULES = Path(__file__).resolve().parents[3] / "deploy/prometheus/alerts.yml"


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_unless_ci("needs promtool, of the package prometheus")
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_rules_is_exposed(server: ObservedCore) -> None:
    files = SimpleNamespace(certificate="server.pem")
    server.certificates = SimpleNamespace(
        loaded=[SimpleNamespace(files=files, expires_at=2e9)], reloads={"done": 0, "refused": 0}
    )
    exposed = set(re.findall(r"^(?:# TYPE )?(\w+)", exposition(server).decode(), re.M))
    asked = set(re.findall(r"hubbub_\w+", RULES.read_text()))

    assert asked
    assert asked <= exposed, asked - exposed
