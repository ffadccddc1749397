"""Fixtures for tests that stop, kill and starve servers: each gets its own, on a data directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import HubbubServer, Server, make_server

TEST_TIMEOUT_S = 90


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "recovery" in item.path.parts and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the kind under test, not yet started; killed at the end."""
    created = make_server(tmp_path / "server")
    try:
        yield created
    finally:
        created.kill()


MakeHubbub = Callable[..., HubbubServer]


@pytest.fixture
def make_hubbub(tmp_path: Path) -> Iterator[MakeHubbub]:
    """Make Hubbub servers with settings of their own; all are killed at the end."""
    made: list[HubbubServer] = []

    def make(
        settings: dict[str, object] | None = None,
        environment: dict[str, str] | None = None,
        data_directory: Path | None = None,
    ) -> HubbubServer:
        server = HubbubServer(tmp_path / f"server-{len(made)}", settings, environment, data_directory)
        made.append(server)
        return server

    try:
        yield make
    finally:
        for server in made:
            server.kill()
