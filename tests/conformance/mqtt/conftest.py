"""The server under test, once for all of the suite, and clients that know only bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mqtt_raw import Client, clients
from tests.support.mqtt_server import make_mqtt_server
from tests.support.server import Server


@pytest.fixture(scope="session")
def mqtt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = make_mqtt_server(tmp_path_factory.mktemp("mqtt"))
    running.start()
    try:
        yield running
        assert running.process is not None
        assert running.process.poll() is None, f"it died:\n{running.log[-8000:]}"
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


@pytest.fixture
def client(mqtt_server: Server) -> Iterator[Client]:
    with clients(mqtt_server.address) as make:
        yield make
