"""Browser clients in Node: @cloudamqp/amqp-client, and MQTT.js with the tests that it passes over TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import node_with_packages, run_node_tests

HERE = Path(__file__).parent / "node"
MQTT_JS = Path(__file__).parents[1] / "mqtt" / "node"


@pytest.mark.timeout(240)
def test_amqp_client(url: str) -> None:
    node = node_with_packages(HERE, "@cloudamqp/amqp-client")

    assert run_node_tests(node, HERE / "amqp-client.test.mjs", {"WEBSOCKET_URL": url}) == 4


@pytest.mark.timeout(240)
def test_mqtt_js(url: str) -> None:
    node = node_with_packages(MQTT_JS, "mqtt")

    assert run_node_tests(node, MQTT_JS / "mqtt.test.js", {"MQTT_URL": f"{url}/ws"}) >= 22
