"""Two brokers behind a real HAProxy that asks /health/ready: each is drained and started anew, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pytest
from click.testing import CliRunner
from pika.exceptions import AMQPError

from broker.cli import main
from tests.support.haproxy import HaProxy
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, accepts, free_port

pytestmark = pytest.mark.hubbub_only
QUEUE = "work"


class Publisher(threading.Thread):
    """Publishes through the balancer, message by message, and connects again when it is told to go."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.confirmed: list[bytes] = []
        self.refused_connects: list[str] = []
        self.farewells: list[str] = []
        self.enough = threading.Event()

    def wait_for_more(self) -> None:
        so_far = len(self.confirmed)
        eventually(lambda: len(self.confirmed) > so_far + 100)

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            try:
                connection = pika.BlockingConnection(pika.URLParameters(f"amqp://guest:guest@{HOST}:{self.port}/%2F"))
            except (AMQPError, OSError) as error:
                self.refused_connects.append(repr(error))
                continue
            try:
                channel = connection.channel()
                channel.confirm_delivery()
                while not self.enough.is_set():
                    number += 1
                    body = b"%d" % number
                    channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
                    self.confirmed.append(body)
            except AMQPError as error:
                self.farewells.append(str(error))
            with suppress(AMQPError):
                connection.close()


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[list[HubbubServer]]:
    made = [HubbubServer(tmp_path / name, {"management.port": free_port()}) for name in ("one", "two")]
    for each in made:
        each.start()
    try:
        yield made
        for each in made:
            assert each.stop() == 0
            each.assert_clean()
    finally:
        for each in made:
            each.kill()


def balanced(brokers: list[HubbubServer], port: int) -> list[str]:
    """haproxy.cfg, as docs/operations/network.md has it; looks come oftener."""
    servers = [
        f" server broker{number} {HOST}:{each.port} check port {each.settings['management.port']} "
        "inter 100ms fall 1 rise 1"
        for number, each in enumerate(brokers)
    ]
    return [
        "listen brokers", f" bind {HOST}:{port}", " balance leastconn", " option httpchk GET /health/ready",
        " http-check expect status 200", *servers,
    ]  # fmt: skip


def is_up_again(broker: HubbubServer) -> bool:
    return broker.log.count("is ready") == 2


def channel_of(broker: HubbubServer) -> tuple[Any, Any]:
    """A connection to it, past the balancer, and its channel."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    return connection, connection.channel()


def test_a_rolling_restart_behind_a_balancer_loses_nothing(tmp_path: Path, brokers: list[HubbubServer]) -> None:
    for each in brokers:
        connection, channel = channel_of(each)
        channel.queue_declare(QUEUE, durable=True)
        connection.close()
    port = free_port()
    with HaProxy(tmp_path, [], balanced(brokers, port)):
        eventually(lambda: accepts((HOST, port)))
        publisher = Publisher(port)
        publisher.start()
        for each in brokers:
            publisher.wait_for_more()
            url = f"http://{HOST}:{each.settings['management.port']}"
            done = CliRunner().invoke(main, ["drain", "--after", "1", "--url", url])
            assert done.exit_code == 0, done.output
            assert each.process is not None
            assert each.process.wait(30) == 0
            publisher.wait_for_more()
            each.start()
            eventually(partial(is_up_again, each))
        publisher.enough.set()
        publisher.join(30)

    assert publisher.refused_connects == []
    assert len(publisher.farewells) >= 1
    assert all("CONNECTION_FORCED" in each for each in publisher.farewells)
    kept: set[bytes] = set()
    for each in brokers:
        connection, channel = channel_of(each)
        for method, _, body in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=0.5):
            if method is None:
                break
            kept.add(body)
        connection.close()
    assert set(publisher.confirmed) <= kept
