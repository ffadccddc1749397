"""The MQTT server under test, once per module, with a raw client at hand for what real clients hide."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mqtt_raw import Client, clients, unique
from tests.support.mqtt_server import make_mqtt_server
from tests.support.server import Server, serving


@pytest.fixture(scope="package")
def mqtt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = make_mqtt_server(tmp_path_factory.mktemp("mqtt"))
    with serving(running):
        yield running


@pytest.fixture
def client(mqtt_server: Server) -> Iterator[Client]:
    with clients(mqtt_server.address) as make:
        yield make


@pytest.fixture
def topic() -> str:
    """A topic of the test's own, of two levels."""
    return f"{unique()}/t"
