"""One broker for the pages' tests, with every protocol of the browser; one browser for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port
from tests.support.web_ui import WebUi, web_ui


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    """`settings["management.port"]` and `settings["mqtt.port"]` are where it listens."""
    settings = {"management.port": free_port(), "mqtt.address": HOST, "mqtt.port": free_port()}
    running = HubbubServer(tmp_path_factory.mktemp("ui"), settings)
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


@pytest.fixture(scope="session")
def address(broker: HubbubServer) -> str:
    """Where the UI is."""
    return f"http://{HOST}:{broker.settings['management.port']}/"


@pytest_asyncio.fixture
async def ui(address: str, tmp_path: Path) -> AsyncIterator[WebUi]:
    """The UI, open at the overview."""
    async with web_ui(tmp_path, address) as opened:
        yield opened
