"""Node's amqplib: runs `node/amqplib.test.js` against the server; each of its tests is one check."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import node_with_packages, run_node_tests

HERE = Path(__file__).parent / "node"


@pytest.mark.timeout(240)
def test_amqplib(amqp_url: str) -> None:
    """Every test of the script passes, and there were some."""
    node = node_with_packages(HERE, "amqplib")

    assert run_node_tests(node, HERE / "amqplib.test.js", {"AMQP_URL": amqp_url.replace("%2F", "%2f")}) >= 15
