"""`hubbub publish`, `consume` and `subscribe` as a client, in each protocol, against a running broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from broker.cli import main
from tests.support.polling import eventually
from tests.support.server import HOST, REPOSITORY, HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    ports = {f"{name}.port": free_port() for name in ("management", "mqtt")}
    running = HubbubServer(tmp_path_factory.mktemp("commands"), {**ports, "mqtt.address": HOST})
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def url(broker: HubbubServer) -> str:
    return f"http://{HOST}:{broker.settings['management.port']}"


def begin(broker: HubbubServer, *words: str) -> subprocess.Popen[str]:
    """A command that is to wait, in a process of its own."""
    command = [sys.executable, "-m", "broker", *words, "--url", url(broker)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def run(broker: HubbubServer, *words: str, given: str | None = None, status: int = 0) -> str:
    done = CliRunner().invoke(main, [*words, "--url", url(broker)], input=given)
    assert done.exit_code == status, done.output
    return done.output


@pytest.mark.parametrize("publisher", ["http", "ws", "amqp"])
@pytest.mark.parametrize("consumer", ["ws", "amqp"])
def test_what_is_published_is_consumed(broker: HubbubServer, publisher: str, consumer: str) -> None:
    queue = f"{publisher}-{consumer}"
    run(broker, "declare", "queue", queue)
    for body in ("one", "two", "three"):
        run(
            broker, "publish", "amq.default", queue, body, "--protocol", publisher, "--properties",
            '{"content_type": "text/plain"}',
        )  # fmt: skip

    assert run(broker, "consume", queue, "--count", "1", "--protocol", consumer) == f"{queue}: one\n"
    row = json.loads(run(broker, "consume", queue, "--count", "1", "--json", "--protocol", consumer))
    assert (row["payload"], row["properties"]["content_type"], row["redelivered"]) == ("two", "text/plain", False)
    assert run(broker, "consume", queue, "--seconds", "0.5", "--protocol", consumer) == f"{queue}: three\n"


@pytest.mark.parametrize(("publisher", "subscriber"), [("ws", "mqtt"), ("mqtt", "ws")])
def test_what_is_retained_and_what_comes_reaches_a_subscriber(
    broker: HubbubServer, publisher: str, subscriber: str
) -> None:
    place = f"home/{publisher}"
    run(broker, "publish-topic", f"{place}/kitchen", "21", "--retain", "--protocol", publisher)
    waiting = begin(broker, "subscribe", f"{place}/+", "--count", "2", "--json", "--protocol", subscriber)
    assert waiting.stdout is not None
    retained = json.loads(waiting.stdout.readline())
    run(broker, "publish-topic", f"{place}/hall", "-", "--protocol", publisher, given="19")
    output, _ = waiting.communicate(timeout=60)

    assert (retained["name"], retained["payload"], retained["retained"]) == (f"{place}/kitchen", "21", True)
    assert (json.loads(output)["name"], json.loads(output)["payload"]) == (f"{place}/hall", "19")
    assert waiting.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("consume", "none"), "not_found"),
        (("consume", "none", "--protocol", "amqp"), "no queue 'none'"),
        (("consume", "none", "--vhost", "none"), "not_found"),
        (("publish", "none", "k", "m", "--protocol", "amqp"), "no exchange 'none'"),
        (("publish", "amq.direct", "nobody", "m", "--protocol", "amqp"), "nobody gets it"),
        (("publish", "none", "k", "m", "--protocol", "ws"), "not_found"),
        (("publish-topic", "a/#", "m", "--protocol", "mqtt"), "TOPIC"),
        (("publish-topic", "a/#", "m"), "invalid"),
        (("subscribe", "a/#/b"), "invalid"),
        (("subscribe", "a/#/b", "--protocol", "mqtt"), "FILTER"),
        (("subscribe", "a", "--user", "limited", "--password", "limited"), "refused"),
        (("subscribe", "a", "--protocol", "mqtt", "--user", "nobody"), "refused"),
        (("consume", "q", "--password", "wrong"), "refused"),
    ],
)
def test_what_goes_wrong_is_one_line(broker: HubbubServer, words: tuple[str, ...], said: str) -> None:
    output = run(broker, *words, status=1)

    assert output.startswith("hubbub: ")
    assert said in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("options", [(), ("--persistent",), ("--size", "300000", "--consumers", "2", "--window", "10")])
def test_perf_says_how_fast_it_goes_and_leaves_nothing_behind(broker: HubbubServer, options: tuple[str, ...]) -> None:
    figures = json.loads(run(broker, "perf", "--seconds", "0.3", "--json", *options))

    assert figures["confirmed"] >= figures["consumed"] > 0
    assert figures["confirmed_per_s"] > 0
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["max"]
    assert "hubbub-perf" not in run(broker, "list", "queues")


@pytest.mark.parametrize("qos", ["0", "1"])
def test_perf_over_mqtt(broker: HubbubServer, qos: str) -> None:
    words = ("perf", "--protocol", "mqtt", "--seconds", "0.3", "--qos", qos, "--window", "500", "--json")
    figures = json.loads(run(broker, *words, "--consumers", "2", "--size", "200"))

    assert figures["consumed"] > 0
    assert qos == "0" or figures["consumed"] == 2 * figures["confirmed"]
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"] <= figures["latency_ms"]["max"]


def test_perf_says_what_mqtt_refuses(broker: HubbubServer) -> None:
    words = ("perf", "--protocol", "mqtt", "--seconds", "0.1", "--vhost", "other", "--user", "tester2")
    run(broker, "user", "add", "tester2", "--tag", "administrator", "--new-password", "guest")

    assert "CONNACK" in run(broker, *words, status=1)


def test_perf_says_what_is_refused(broker: HubbubServer) -> None:
    run(broker, "vhost", "add", "closed")
    run(broker, "user", "add", "tester", "--tag", "administrator", "--new-password", "secret")
    run(broker, "permission", "set", "tester", ".*", "^$", ".*", "--vhost", "closed")
    words = ("perf", "--seconds", "0.1", "--vhost", "closed", "--user", "tester", "--password", "secret")
    output = run(broker, *words, status=1)

    assert "ACCESS_REFUSED" in output
    assert len(output.splitlines()) == 1


def test_top_looks_again_and_again(broker: HubbubServer) -> None:
    run(broker, "declare", "queue", "busy")
    run(broker, "publish", "amq.default", "busy", "m")
    looks = [
        json.loads(line) for line in run(broker, "top", "--count", "2", "--interval", "0.1", "--json").splitlines()
    ]
    text = run(broker, "top", "--count", "1", "--sort", "messages", "--rows", "1")

    assert len(looks) == 2
    assert looks[0]["overview"]["product_name"] == "Hubbub"
    assert "1 ready" in text
    assert text.splitlines()[-1].split()[:4] == ["/", "busy", "1", "0"]
