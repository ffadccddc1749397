"""Browser clients in Node: @cloudamqp/amqp-client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import node_with_packages, run_node_tests

HERE = Path(__file__).parent / "node"


@pytest.mark.timeout(240)
def test_amqp_client(url: str) -> None:
    node = node_with_packages(HERE, "@cloudamqp/amqp-client")

    assert run_node_tests(node, HERE / "amqp-client.test.mjs", {"WEBSOCKET_URL": url}) == 4
