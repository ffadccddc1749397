"""The load generator reports exactly the faults that a relay with known faults makes: its "0 lost" means something."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from benchmarks.build import build_load_generator, compiler
from benchmarks.faulty_relay import Fault, FaultyRelay
from benchmarks.process import COPY
from benchmarks.systems import Relay

pytestmark = pytest.mark.skipif(compiler() is None, reason="the load generator is C: it wants gcc")

COUNT = 4096
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


def run_load(port: int, *arguments: str) -> dict[str, Any]:
    command = [str(build_load_generator()), "--mode", "relay", "--port", str(port), "--stall", "1", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    report: dict[str, Any] = json.loads(finished.stdout)
    return report


def run_through_faults(faults: dict[int, Fault], *, body_bytes: int = 64, window: int = 512) -> dict[str, Any]:
    with FaultyRelay(faults, confirms=True) as relay:
        arguments = [
            "--confirms",
            "--manual-ack",
            "--count",
            str(COUNT),
            "--body",
            str(body_bytes),
            "--window",
            str(window),
        ]
        report = run_load(relay.port, *arguments)
    report["acknowledged_up_to"] = relay.acknowledged_up_to
    return report


def test_everything_arrives_confirmed_and_acknowledged_through_a_faultless_relay() -> None:
    report = run_through_faults({})
    assert report["faults"] == NO_FAULTS
    assert report["published"] == report["delivered"] == COUNT
    assert report["bodies_compared"] == COUNT // 256
    assert report["acknowledged_up_to"] == COUNT


@pytest.mark.parametrize(
    ("faults", "counted"),
    [
        ({100: Fault.DROP, 2000: Fault.DROP, 2001: Fault.DROP}, {"lost": 3}),
        ({0: Fault.DROP}, {"lost": 1}),
        ({COUNT - 1: Fault.DROP}, {"lost": 1}),
        ({200: Fault.DUPLICATE, COUNT - 1: Fault.DUPLICATE}, {"duplicated": 2}),
        ({300: Fault.SWAP}, {"reordered": 1}),
        ({512: Fault.CORRUPT}, {"corrupt": 1}),
        ({700: Fault.SHORTEN}, {"corrupt": 1}),
        ({800: Fault.MISROUTE}, {"misrouted": 1, "lost": 1}),
        ({900: Fault.REDELIVER, 901: Fault.REDELIVER}, {"redelivered": 2}),
        ({1000: Fault.NACK}, {"nacked": 1}),
        ({1100: Fault.WITHHOLD_CONFIRM}, {"unconfirmed": 1}),
        ({1200: Fault.CONFIRM_TWICE}, {"unexpected_confirms": 1}),
        (
            {5: Fault.DUPLICATE, 6: Fault.DROP, 7: Fault.SWAP, 256: Fault.CORRUPT, 300: Fault.NACK},
            {"duplicated": 1, "lost": 1, "reordered": 1, "corrupt": 1, "nacked": 1},
        ),
    ],
)
def test_exactly_the_faults_that_were_made_are_counted(faults: dict[int, Fault], counted: dict[str, int]) -> None:
    assert run_through_faults(faults)["faults"] == NO_FAULTS | counted


@pytest.mark.parametrize("body_bytes", [16, 256, 16384, 150_000])
def test_the_relay_copies_every_byte(body_bytes: int) -> None:
    with Relay() as relay:
        report = run_load(
            relay.port_for(COPY),
            "--count",
            "1024",
            "--body",
            str(body_bytes),
            "--window",
            "64",
            "--pid",
            str(relay.pid),
        )
    assert report["faults"] == NO_FAULTS
    assert report["delivered"] == 1024
    assert report["bodies_compared"] == 4
    assert report["rss_peak_bytes"] > 0


def test_the_open_loop_keeps_its_rate_and_gives_latencies() -> None:
    with Relay() as relay:
        report = run_load(relay.port_for(COPY), "--rate", "2000", "--warm-up", "0.1", "--seconds", "1", "--body", "256")
    assert report["faults"] == NO_FAULTS
    assert report["published_per_second"] == pytest.approx(2000, rel=0.3)
    assert 0 < report["delivery_us"]["p50"] <= report["delivery_us"]["p99"] <= report["delivery_us"]["highest"]


def test_a_broker_that_closes_the_connection_ends_the_run_with_an_error() -> None:
    with Relay() as relay:
        command = [str(build_load_generator()), "--mode", "transient", "--port", str(relay.port_for(COPY))]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 1
    assert "the broker" in finished.stderr
