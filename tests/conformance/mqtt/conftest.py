"""The server under test, once for all of the suite, and clients that know only bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mqtt_raw import Client, clients
from tests.support.mqtt_server import make_mqtt_server
from tests.support.server import Server, serving


@pytest.fixture(scope="session")
def mqtt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = make_mqtt_server(tmp_path_factory.mktemp("mqtt"))
    with serving(running):
        yield running


@pytest.fixture
def client(mqtt_server: Server) -> Iterator[Client]:
    with clients(mqtt_server.address) as make:
        yield make
