"""Fixtures for AMQP clients: pika and raw connections, scratch names; and a time limit for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.amqp_raw import RawConnection, raw_connection
from tests.support.pika_client import Scratch
from tests.support.server import Server

TEST_TIMEOUT_S = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "behaviour" in item.path.parts and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.fixture
def scratch(amqp_url: str) -> Iterator[Scratch]:
    """Unique names and further connections; all of it is gone after the test."""
    names = Scratch(amqp_url)
    try:
        yield names
    finally:
        names.clean()


@pytest.fixture
def connection(scratch: Scratch) -> BlockingConnection:
    return scratch.connect()


@pytest.fixture
def channel(connection: BlockingConnection) -> BlockingChannel:
    return connection.channel()


@pytest.fixture
def raw(server: Server) -> Iterator[RawConnection]:
    """A connected socket before its handshake."""
    with raw_connection(server.address) as connection:
        yield connection


@pytest.fixture
def raw_open(raw: RawConnection) -> RawConnection:
    """A raw connection with channel 1 open."""
    return raw.open().open_channel()
