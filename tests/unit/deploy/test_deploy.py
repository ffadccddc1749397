"""What is under deploy/: settings that the broker takes, manifests that Kubernetes takes, and files that are there."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from broker.config import Settings, load
from broker.management.app import Management
from tests.support.peer import Core
from tests.support.skipping import skip_unless_ci
from tests.support.sources import ROOT
from tests.unit.management.conftest import ObservedCore

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "docker/Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker/docker-compose.yml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    each
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for each in yaml.safe_load_all(path.read_text())
]
PORTS = {"amqp": 5672, "mqtt": 1883, "http": 15672, "websocket": 15675, "metrics": 15692}


def manifest(kind: str, name: str) -> dict[str, Any]:
    return next(each for each in MANIFESTS if (each["kind"], each["metadata"]["name"]) == (kind, name))


def settings_of(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "hubbub.yaml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("name", ["hubbub.yaml", "compose.yaml"])
def test_the_broker_takes_the_settings_of_the_image_and_of_compose(name: str) -> None:
    settings = load(DEPLOY / "docker" / name)

    assert {getattr(settings, each).address for each in ("amqp", "mqtt", "management", "metrics")} == {"::"}


def test_the_image_copies_what_is_there_and_exposes_the_defaults(tmp_path: Path) -> None:
    defaults = settings_of("{}", tmp_path)
    ours = {getattr(defaults, each).port for each in ("amqp", "mqtt", "management", "websocket", "metrics")}
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.M)

    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M):
        for source in line.split():
            assert (ROOT / source).exists(), source
            ignored = (ROOT / ".dockerignore").read_text().splitlines()
            assert f"!{source}" in ignored, "left out of the build's context"
    assert exposed is not None
    assert ours == set(PORTS.values()) <= set(map(int, exposed[1].split()))
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.M), "not root"
    assert "/health/live" in DOCKERFILE


def test_compose_mounts_what_is_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "docker" / source).exists(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"]
    build = COMPOSE["services"]["hubbub"]["build"]
    assert (DEPLOY / "docker" / build["context"] / build["dockerfile"]).is_file()
    scrape = yaml.safe_load((DEPLOY / "docker/prometheus.yml").read_text())["scrape_configs"][0]
    assert scrape["static_configs"][0]["targets"] == [f"hubbub:{PORTS['metrics']}"]


def test_promtool_takes_the_configuration_of_prometheus(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        skip_unless_ci("promtool is not installed (Debian: prometheus)")
    text = (DEPLOY / "docker/prometheus.yml").read_text().replace("/etc/prometheus/rules", str(DEPLOY / "prometheus"))
    (tmp_path / "prometheus.yml").write_text(text)
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("each", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_kubernetes_takes_the_manifests(each: dict[str, Any]) -> None:
    if each["kind"] == "ServiceMonitor":
        assert each["apiVersion"] == "monitoring.coreos.com/v1"  # the operator's own: its schema is not Kubernetes's
        return
    kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_the_manifests_belong_together() -> None:
    pod = manifest("StatefulSet", "hubbub")["spec"]["template"]
    container = pod["spec"]["containers"][0]
    named = {each["name"]: each["containerPort"] for each in container["ports"]}
    kustomization = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())

    assert named == PORTS
    for service in (manifest("Service", "hubbub"), manifest("Service", "hubbub-pods")):
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert all(named[each["targetPort"]] == each["port"] for each in service["spec"]["ports"])
    assert manifest("StatefulSet", "hubbub")["spec"]["serviceName"] == "hubbub-pods"
    monitored = manifest("ServiceMonitor", "hubbub")["spec"]
    assert monitored["selector"]["matchLabels"].items() <= manifest("Service", "hubbub")["metadata"]["labels"].items()
    assert [each["port"] for each in monitored["endpoints"]] == ["metrics"]
    assert (
        pod["spec"]["volumes"][0]["secret"]["secretName"] == manifest("Secret", "hubbub-settings")["metadata"]["name"]
    )
    assert all((DEPLOY / "kubernetes" / each).is_file() for each in kustomization["resources"])


def test_the_broker_takes_the_settings_of_kubernetes_and_has_time_to_go(tmp_path: Path) -> None:
    settings = settings_of(manifest("Secret", "hubbub-settings")["stringData"]["hubbub.yaml"], tmp_path)
    grace_s = manifest("StatefulSet", "hubbub")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

    assert settings.metrics.address == "::"
    assert grace_s > settings.drain_after_s + settings.limits.drain_timeout_ms / 1000


def test_each_probe_is_served_without_a_login(core: Core) -> None:
    container = manifest("StatefulSet", "hubbub")["spec"]["template"]["spec"]["containers"][0]
    probed = {container[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "liveness", "readiness")}
    served = {
        route.resource.canonical for route in Management(ObservedCore(core)).metrics().router.routes() if route.resource
    }

    assert probed <= served


def test_the_unit_of_systemd_gives_time_to_go_and_reloads() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "hubbub.service")

    assert unit["Service"]["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["Service"]["Type"] == "notify"
    assert int(unit["Service"]["TimeoutStopSec"]) > Settings().limits.drain_timeout_ms / 1000


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        skip_unless_ci("systemd-analyze is not installed (Debian: systemd)")
    text = (DEPLOY / "hubbub.service").read_text().replace("/opt/hubbub/bin/hubbub", "/bin/true")
    path = tmp_path / "hubbub.service"
    path.write_text(text.replace("User=hubbub", "User=root"))
    done = subprocess.run([program, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60)

    found = [line for line in done.stderr.splitlines() if "hubbub.service" in line]
    assert (done.returncode, found) == (0, []), done.stderr
