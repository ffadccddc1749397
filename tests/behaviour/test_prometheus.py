"""A real Prometheus scrapes a real broker; its targets are up, and what the dashboards ask of it has an answer."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.support.polling import eventually
from tests.support.server import HubbubServer, free_port
from tests.support.skipping import skip_unless_ci
from tests.unit.management.test_grafana import DASHBOARDS, expressions, loaded

pytestmark = pytest.mark.hubbub_only

CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: sums
  static_configs: [{{targets: ["127.0.0.1:{metrics}"]}}]
- job_name: objects
  metrics_path: /metrics/per-object
  static_configs: [{{targets: ["127.0.0.1:{metrics}"]}}]
- job_name: detailed
  metrics_path: /metrics/detailed
  params: {{family: [queue_coarse_metrics, exchange_metrics]}}
  static_configs: [{{targets: ["127.0.0.1:{metrics}"]}}]
- job_name: managed
  basic_auth: {{username: guest, password: guest}}
  static_configs: [{{targets: ["127.0.0.1:{management}"]}}]
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(
        tmp_path_factory.mktemp("scraped"), {"management.port": free_port(), "metrics.port": free_port()}
    )
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", running.port)) as connection:
            channel = connection.channel()
            channel.queue_declare("q", durable=True)
            channel.confirm_delivery()
            for _ in range(20):
                channel.basic_publish("", "q", b"x" * 500, pika.BasicProperties(delivery_mode=2))
            channel.basic_get("q", auto_ack=True)
            yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def prometheus(broker: HubbubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("prometheus")
    if binary is None:
        skip_unless_ci("needs prometheus, of the package prometheus")
    home = tmp_path_factory.mktemp("prometheus")
    settings = broker.settings
    (home / "prometheus.yml").write_text(
        CONFIGURATION.format(metrics=settings["metrics.port"], management=settings["management.port"])
    )
    port = free_port()
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def ask(url: str, path: str) -> Any:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
        return json.loads(answer.read())["data"]
    return None


def query(url: str, expression: str) -> list[Any]:
    found = ask(url, "query?query=" + urllib.parse.quote(expression))
    return found["result"] if found else []


def test_every_page_is_scraped(prometheus: str) -> None:
    def all_up() -> bool:
        found = ask(prometheus, "targets?state=active")
        states = {each["labels"]["job"]: each["health"] for each in found["activeTargets"]} if found else {}
        return states == {"sums": "up", "objects": "up", "detailed": "up", "managed": "up"}

    eventually(all_up, timeout_s=30)
    (unaccounted,) = query(prometheus, 'hubbub_messages_unaccounted{job="sums"}')
    assert unaccounted["value"][1] == "0"
    (ready,) = query(prometheus, 'rabbitmq_detailed_queue_messages_ready{queue="q"}')
    assert ready["value"][1] == "19"


def test_panels_of_the_official_dashboard_find_their_join(prometheus: str) -> None:
    joined = (
        'sum(rabbitmq_queue_messages_ready{job="sums"} * on(instance, job) group_left(rabbitmq_cluster) '
        'rabbitmq_identity_info{rabbitmq_endpoint="aggregated"})'
    )
    assert eventually(lambda: query(prometheus, joined), timeout_s=30)[0]["value"][1] == "19"
    histogram = 'rabbitmq_message_size_bytes_bucket{le="1000.0",job="sums"} - ignoring(le) ' + (
        'rabbitmq_message_size_bytes_bucket{le="100.0",job="sums"}'
    )
    assert query(prometheus, histogram)[0]["value"][1] == "20"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_what_the_dashboards_ask_has_an_answer(prometheus: str, path: Path) -> None:
    """Rates of what has not happened are empty; the metric itself is there."""
    eventually(lambda: query(prometheus, "hubbub_build"), timeout_s=30)
    for expression in expressions(loaded(path)):
        for name in re.findall(r"\b(?:hubbub|rabbitmq)_\w+", expression):
            assert query(prometheus, name) or name in MAY_BE_EMPTY, name


MAY_BE_EMPTY = {"hubbub_alarm", "hubbub_mqtt_refused_total"}
"""There is none, and nothing."""


def test_disk_logins_and_alarms_move_by_rabbitmqs_names(prometheus: str) -> None:
    def value(expression: str) -> float:
        (found,) = eventually(lambda: query(prometheus, expression), timeout_s=30)
        return float(found["value"][1])

    written = "rabbitmq_msg_store_write_total{job='sums'}"
    assert eventually(lambda: value(written) == 20, timeout_s=30)
    assert value("rabbitmq_io_sync_ops_total{job='sums'}") >= 1
    assert value("rabbitmq_io_write_bytes_total{job='sums'}") > 20 * 500
    assert value("rabbitmq_io_sync_time_seconds_total{job='sums'}") > 0
    assert value("rabbitmq_auth_attempts_succeeded_total{job='sums',protocol='amqp091'}") == 1
    assert value("rabbitmq_alarms_file_descriptor_limit{job='sums'}") == 0


def test_the_metrics_port_takes_a_header_where_it_stands_behind_a_proxy(tmp_path: Path) -> None:
    running = HubbubServer(
        tmp_path,
        {"metrics.port": free_port(), "metrics.proxy_protocol": "true", "proxy_protocol.trusted": "[127.0.0.1]"},
    )
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        for header, answered in ((b"PROXY TCP4 192.0.2.1 127.0.0.1 50000 1\r\n", True), (b"", False)):
            with socket.create_connection(("127.0.0.1", int(str(running.settings["metrics.port"]))), 10) as client:
                client.sendall(header + b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(100).startswith(b"HTTP/1.1 200") is answered
        assert running.stop() == 0
    finally:
        running.kill()
