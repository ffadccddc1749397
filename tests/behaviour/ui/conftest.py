"""One broker for the pages' tests, with every protocol of the browser; one browser, a tab for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.browser import Browser
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.web_ui import WebUi, web_ui


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    """`settings["management.port"]` and `settings["mqtt.port"]` are where it listens."""
    settings = {"management.port": free_port(), "mqtt.address": HOST, "mqtt.port": free_port()}
    running = HubbubServer(tmp_path_factory.mktemp("ui"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.fixture(scope="session")
def address(broker: HubbubServer) -> str:
    """Where the UI is."""
    return f"http://{HOST}:{broker.settings['management.port']}/"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One for all of them."""
    async with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def ui(browser: Browser, address: str) -> AsyncIterator[WebUi]:
    """The UI, open at the overview."""
    async with web_ui(browser, address) as opened:
        yield opened
