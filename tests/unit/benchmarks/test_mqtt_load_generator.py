"""Over MQTT the load generator reports exactly the faults that were made, and its WebSocket frames are whole."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from benchmarks.build import build_load_generator, compiler
from benchmarks.faulty_mqtt_relay import PUBACK, PUBCOMP, PUBREC, FaultyMqttRelay
from benchmarks.faulty_relay import Fault
from benchmarks.mqtt_peers import Mosquitto
from benchmarks.process import COPY, MQTT, WEBSOCKET
from benchmarks.systems import Relay
from tests.support.skipping import skip_unless_ci

pytestmark = pytest.mark.skipif(compiler() is None, reason="the load generator is C: it wants gcc")

COUNT = 2048
NO_FAULTS = {
    "lost": 0,
    "duplicated": 0,
    "reordered": 0,
    "corrupt": 0,
    "misrouted": 0,
    "redelivered": 0,
    "nacked": 0,
    "unconfirmed": 0,
    "unexpected_confirms": 0,
    "left_in_queues": 0,
}


def run_load(port: int, mode: str, *arguments: str) -> dict[str, Any]:
    command = [str(build_load_generator()), "--mode", mode, "--port", str(port), "--count", str(COUNT), *arguments]
    finished = subprocess.run([*command, "--stall", "1"], capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    report: dict[str, Any] = json.loads(finished.stdout)
    return report


def run_through_faults(
    faults: dict[int, Fault], qos: int, version: int = 4
) -> tuple[dict[str, int], FaultyMqttRelay, int]:
    with FaultyMqttRelay(faults, qos=qos, version=version) as relay:
        arguments = ["--qos", str(qos), "--mqtt-version", str(version), "--body", "200", "--window", "512"]
        report = run_load(relay.port, "mqtt-relay", *arguments)
    return report["faults"], relay, report["bodies_compared"]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("qos", "said"), [(0, ()), (1, (PUBACK,)), (2, (PUBREC, PUBCOMP))])
def test_everything_arrives_and_is_acknowledged_through_a_faultless_relay(
    qos: int, said: tuple[int, ...], version: int
) -> None:
    faults, relay, compared = run_through_faults({}, qos, version)

    assert faults == NO_FAULTS
    assert compared == COUNT // 256
    assert {step for step, times in relay.acknowledged.items() if times} == set(said)
    assert all(relay.acknowledged[step] == COUNT for step in said)


@pytest.mark.parametrize(
    ("qos", "faults", "counted"),
    [
        (
            0,
            {0: Fault.DROP, 200: Fault.DUPLICATE, 300: Fault.SWAP, 512: Fault.CORRUPT, 700: Fault.SHORTEN},
            {"lost": 1, "duplicated": 1, "reordered": 1, "corrupt": 2},
        ),
        (1, {800: Fault.MISROUTE, 900: Fault.REDELIVER}, {"misrouted": 1, "lost": 1, "redelivered": 1}),
        (1, {1000: Fault.NACK, 1001: Fault.NACK}, {"nacked": 2}),
        (1, {1100: Fault.WITHHOLD_CONFIRM}, {"unconfirmed": 1}),
        (1, {1200: Fault.CONFIRM_TWICE}, {"unexpected_confirms": 1}),
        (2, {1000: Fault.NACK}, {"nacked": 1}),
        (2, {1100: Fault.WITHHOLD_CONFIRM, COUNT - 1: Fault.DROP}, {"unconfirmed": 1, "lost": 1}),
    ],
)
def test_exactly_the_faults_that_were_made_are_counted(
    qos: int, faults: dict[int, Fault], counted: dict[str, int]
) -> None:
    assert run_through_faults(faults, qos)[0] == NO_FAULTS | counted


@pytest.mark.parametrize("body_bytes", [16, 150_000])
def test_the_relay_copies_mqtt(body_bytes: int) -> None:
    with Relay() as relay:
        arguments = ("--body", str(body_bytes), "--window", "64", "--pairs", "2")
        report = run_load(relay.port_for(COPY), "mqtt-relay", *arguments)

    assert report["faults"] == NO_FAULTS
    assert report["delivered"] == COUNT


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not Mosquitto.is_installed():
        skip_unless_ci("wants Debian's mosquitto")
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.mark.parametrize(
    ("mode", "dialect", "arguments", "deliveries"),
    [
        ("mqtt", MQTT, "--qos 2 --persistent --mqtt-version 5", COUNT),
        ("mqtt", WEBSOCKET, "--qos 0 --websocket --body 3000 --window 64", COUNT),
        ("mqtt", WEBSOCKET, "--qos 2 --websocket --mqtt-version 5", COUNT),
        ("mqtt-fanout", MQTT, "--subscribers 20 --window 64", 20 * COUNT),
        ("mqtt-fanin", MQTT, "--publishers 16 --qos 1 --persistent --window 320", COUNT),
        ("mqtt-filters", MQTT, "--subscribers 30", COUNT),
    ],
)
def test_a_real_broker_understands_every_mode(
    mosquitto: Mosquitto, mode: str, dialect: str, arguments: str, deliveries: int
) -> None:
    report = run_load(mosquitto.port_for(dialect), mode, *arguments.split())

    assert report["faults"] == NO_FAULTS
    assert report["published"] == COUNT
    assert report["delivered"] == deliveries


def test_connections_that_stay_and_connections_that_go(mosquitto: Mosquitto) -> None:
    few = ("--connections", "200", "--seconds", "0.1", "--pid", str(mosquitto.pid))

    assert run_load(mosquitto.port_for(MQTT), "mqtt-idle", *few)["faults"] == {"closed_by_broker": 0}
    assert run_load(mosquitto.port_for(MQTT), "mqtt-storm", *few)["connects_per_second"] > 0
