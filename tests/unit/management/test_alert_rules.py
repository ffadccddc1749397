"""`deploy/prometheus/alerts.yml`: Prometheus accepts it, it asks for metrics that there are, and each alert fires when
it should, and only then."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import yaml

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


class Case(NamedTuple):
    """When an alert fires. Series are in promtool's notation, a value a minute; times are promtool's, too."""

    series: str
    quiet: str
    """Values at which it does not fire."""
    firing: str
    at: str
    """When it does, with the values of `firing`."""
    not_yet: str = ""
    """When it does not, even with these; empty: it fires at once."""
    said: str = ""
    """In its summary."""
    beside: str = ""
    """Another series that it looks at: always 100, or, of a histogram, the same as the first."""


CASES = {
    "HubbubMessagesUnaccounted": Case("hubbub_messages_unaccounted", "0x20", "0 0 1x20", "2m", "1m"),
    "HubbubPublishersBlocked": Case('hubbub_alarm{alarm="disk"}', "_x20", "1x20", "1m", "30s", "wait: disk"),
    "HubbubCertificateExpires": Case(
        'hubbub_tls_certificate_expires_seconds{certificate="a.pem"}', f"{15 * 86400}x20", f"{13 * 86400}x20", "1m",
        said="a.pem expires in 12d",
    ),
    "HubbubCertificateRefused": Case('hubbub_tls_reloads_total{outcome="refused"}', "3x20", "0 0 1x20", "3m"),
    "HubbubConnectionsRefused": Case("hubbub_connections_refused_total", "7x20", "0+1x20", "7m", "5m"),
    "HubbubDiskRunsLow": Case(
        "rabbitmq_disk_space_available_bytes", "300x20", "199x20", "1m", "30s",
        beside="rabbitmq_disk_space_available_limit_bytes",
    ),
    "HubbubCommitsSlow": Case(
        'hubbub_store_commit_seconds_bucket{le="1.0"}', "0x20", "0+10x20", "7m", "5m",
        beside='hubbub_store_commit_seconds_bucket{le="+Inf"}',
    ),
    "HubbubLoopLags": Case(
        'hubbub_loop_lag_seconds_bucket{le="0.5"}', "0x20", "0+10x20", "7m", "5m",
        beside='hubbub_loop_lag_seconds_bucket{le="+Inf"}',
    ),
    "HubbubLoginsFail": Case("hubbub_logins_failed_total", "0+60x20", "0+90x20", "10m", "7m"),
    "HubbubOutOfDescriptors": Case("hubbub_connections_accept_pauses_total", "2x20", "0 0 1x20", "3m", "1m"),
}  # fmt: skip


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_every_alert_has_a_case() -> None:
    assert rules().keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_unless_ci("needs promtool, of the package prometheus")
    case, rule = CASES[name], rules()[name]
    labels = {name: value for name, value in re.findall(r'(\w+)="(.*?)"', case.series) if name != "le"} | dict(
        rule["labels"]
    )
    summary = dict(rule["annotations"])["summary"]
    for word, value in labels.items():
        summary = summary.replace(f"{{{{ $labels.{word} }}}}", value)
    summary = summary.replace("{{ $value | humanizeDuration }}", "12d 23h 59m 0s")
    assert case.said in summary
    fires = {"exp_labels": labels, "exp_annotations": {"summary": summary}}

    def beside(values: str) -> list[dict[str, str]]:
        same = values if "le=" in case.beside else "100x20"
        return [{"series": case.beside, "values": same}] if case.beside else []

    def promtool_test(values: str, when: str, expected: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "interval": "1m",
            "input_series": [{"series": case.series, "values": values}, *beside(values)],
            "alert_rule_test": [{"eval_time": when, "alertname": name, "exp_alerts": expected}],
        }

    tests = [promtool_test(case.firing, case.at, [fires]), promtool_test(case.quiet, "20m", [])]
    if case.not_yet:
        tests.append(promtool_test(case.firing, case.not_yet, []))
    file = tmp_path / "alerts.test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
