"""A short run of every fuzz target, the same each time; `python -m tests.fuzz` runs for as long as one likes."""

from __future__ import annotations

import random
import traceback

import pytest

from tests.fuzz import script
from tests.fuzz.conversations import conversation
from tests.fuzz.engine import Engine, shortened
from tests.fuzz.mutation import mutate
from tests.fuzz.scripted import SCRIPTED
from tests.fuzz.targets import TARGETS
from tests.support.in_process import BrokenBrokerError

SECONDS = {
    "table": 3.0,
    "properties": 3.0,
    "arguments": 4.0,
    "mqtt_packet": 3.0,
    "mqtt_publish": 3.0,
    "mqtt_from_amqp": 3.0,
    "mqtt_3_1": 4.0,
    "mqtt_3_1_1": 4.0,
    "mqtt_5": 6.0,
    "websocket": 8.0,
    "connection": 10.0,
}
EXECUTIONS_MIN = 50


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_breaks(target: str) -> None:
    engine = Engine(target, seed=1)
    run = engine.fuzz(SECONDS[target], executions_max=20_000)
    assert run.executions >= min(EXECUTIONS_MIN, len(engine.corpus))
    for finding in run.findings:
        shown = list(script.read(shortened(target, finding.content)))
        pytest.fail(
            f"{shown if target in SCRIPTED else finding.content!r}\n"
            + "".join(traceback.format_exception(finding.error))
        )


def test_conversations_reach_the_broker_s_corners() -> None:
    """A fuzzer that only ever hears `connection.close` would find nothing."""
    engine = Engine("connection", seed=2)
    seen = engine.fuzz(60.0, executions_max=800).seen
    assert {"basic.deliver", "basic.return", "basic.get-ok", "basic.ack", "basic.nack", "basic.cancel"} <= seen
    assert {"tx.commit-ok", "queue.delete-ok", "exchange.bind-ok", "basic.recover-ok"} <= seen


@pytest.mark.parametrize(("target", "version"), [("mqtt_3_1", 3), ("mqtt_3_1_1", 4), ("mqtt_5", 5)])
def test_mqtt_conversations_reach_the_broker_s_corners(target: str, version: int) -> None:
    engine = Engine(target, seed=2)
    seen = engine.fuzz(60.0, executions_max=600).seen
    names = ["connack 0", "puback 0", "pubrec 0", "pubcomp 0", "suback 0", "unsuback 0", "publish 0", "pingresp 0"]
    assert {f"{version} {name}" for name in names} <= seen
    # Client B is of MQTT 5 in every script but the last, where A is.
    closed = {word for word in seen if word.startswith("5 disconnect")}
    assert {f"5 disconnect {reason}" for reason in ("81", "82", "8e")} <= closed


def test_websocket_conversations_reach_the_broker_s_corners() -> None:
    engine = Engine("websocket", seed=2)
    seen = engine.fuzz(60.0, executions_max=400).seen
    assert {
        "welcome ",
        "accepted ",
        "subscribed ",
        "unsubscribed ",
        "declared ",
        "message ",
        "cancelled ",
        "pong ",
    } <= seen
    assert {f"error {code}" for code in ("malformed", "invalid", "not_found", "conflict", "unroutable")} <= seen
    assert {"close 1002", "close 1003", "close 1007", "close 1008", "/ws 20", "/amqp 1"} <= seen


def test_a_finding_is_found_and_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_at_a_purge(content: bytes) -> set[str]:
        purge = b"\0\x32\0\x1e"
        if any(purge in step.content for step in script.read(content)):
            raise BrokenBrokerError("a purge")
        return set()

    monkeypatch.setitem(TARGETS, "connection", breaks_at_a_purge)
    run = Engine("connection", seed=3).fuzz(30.0)
    assert run.findings
    assert len(list(script.read(shortened("connection", run.findings[0].content)))) == 1


def test_a_script_reads_as_it_was_written() -> None:
    chance = random.Random(4)
    for _ in range(20):
        steps = conversation(chance, 10)
        for _ in range(5):
            steps = mutate(chance, steps, steps)
        read = list(script.read(script.write(steps)))
        assert script.write(read) == script.write(steps)
        assert b"".join(step.content for step in read) == b"".join(step.content for step in steps)
