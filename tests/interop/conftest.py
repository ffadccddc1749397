"""One Hubbub with the listeners of AMQP, MQTT and WebSocket, for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mqtt_server import MqttHubbub
from tests.support.server import HOST, free_port, serving


@pytest.fixture(scope="package")
def hubbub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttHubbub]:
    websocket = {"websocket.address": HOST, "websocket.port": free_port()}
    running = MqttHubbub(tmp_path_factory.mktemp("interop"), websocket)
    with serving(running):
        yield running
