"""One Hubbub with AMQP's and MQTT's listeners, for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mqtt_server import MqttHubbub


@pytest.fixture(scope="package")
def hubbub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttHubbub]:
    running = MqttHubbub(tmp_path_factory.mktemp("interop"))
    running.start()
    try:
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()
