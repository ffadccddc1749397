"""One server with WebSocket listeners for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import HOST, HubbubServer, free_port, serving


@pytest.fixture(scope="package")
def websocket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    settings = {
        "websocket.address": HOST,
        "websocket.port": free_port(),
        "websocket.on_plain_ports": "true",
        "management.port": free_port(),
        "mqtt.address": HOST,
        "mqtt.port": free_port(),
    }
    running = HubbubServer(tmp_path_factory.mktemp("websocket"), settings)
    running.settings["amqp.port"] = running.port
    with serving(running):
        yield running


@pytest.fixture(params=["websocket.port", "management.port", "amqp.port", "mqtt.port"])
def url(websocket_server: HubbubServer, request: pytest.FixtureRequest) -> str:
    """The same paths on every port that serves them."""
    return f"ws://{HOST}:{websocket_server.settings[request.param]}"
