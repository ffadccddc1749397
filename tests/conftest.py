"""Fixtures for every test: the server under test, and markers.

The server starts once per session, on a port and in a directory of its own; HUBBUB_TEST_PEER=rabbitmq runs the same
tests against RabbitMQ, to show that they describe what clients are used to; HUBBUB_TEST_PEER=mosquitto does the same
for the suites of MQTT.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.mqtt_server import is_mosquitto
from tests.support.server import Server, make_server, peer_name, serving


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hubbub_only: Hubbub does this, RabbitMQ 3.10 does not (or does it otherwise)")
    config.addinivalue_line("markers", "mosquitto_deviates(why): Mosquitto does not obey here")
    config.addinivalue_line("markers", "peer_only: pins down what the peer does where Hubbub differs on purpose")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What does not concern the peer is left out rather than skipped: a skipped test is one that should have run."""
    unwanted = ["hubbub_only" if peer_name() == "rabbitmq" else "peer_only"]
    if is_mosquitto():
        unwanted.append("mosquitto_deviates")
    left_out = [item for item in items if any(item.get_closest_marker(each) for each in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = {id(item) for item in left_out}
        items[:] = [item for item in items if id(item) not in gone]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server under test; at the end SIGTERM must make it exit 0 with a clean log."""
    with serving(make_server(tmp_path_factory.mktemp("server"))) as running:
        yield running


@pytest.fixture(scope="session")
def amqp_url(server: Server) -> str:
    return server.url
