"""The web UI in the other engines: Firefox, and WebKit, which is Safari's. Every page, a login, a dialog, a chart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.behaviour.ui.pages import PAGES, ask, furnished
from tests.support.other_browsers import OtherPage, firefox, webkit
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]


async def walk(page: OtherPage, broker: HubbubServer) -> None:
    """Through all of it, as a reader does."""
    ui = WebUi(page)
    await ui.shows("Log in to Hubbub")
    await ui.fill("Log in", user="guest", password="guest")
    await ui.titled("Overview")
    with furnished(broker) as things:
        for place in (*PAGES, *things.pages):
            await ui.open(place)
            assert await page.evaluate("document.querySelectorAll('main h1').length") == 1, place
            assert not await page.evaluate("document.querySelector('#message.bad')?.textContent"), place
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.evaluate(wide) == 0, place
        await ui.open(things.pages[0])
        await page.until("document.querySelector('.chart .line').getBBox().width > 0")
        await ui.fill("Look at messages")
        await ui.shows("header furnished: furnished")
    await ui.open("queues")
    await ui.click("New queue")
    await ui.click("+ x-max-length")
    await ui.fill("New queue", name="engine")
    await ui.said("x-max-length: expected a number")
    await page.evaluate("document.querySelector('dialog [data-value]').value = 5")
    await ui.fill("New queue", name="engine")
    await ui.said("Queue engine is declared")
    ask(broker, "DELETE", "queues/%2F/engine")
    dark = "getComputedStyle(document.documentElement).backgroundColor"
    before = await page.evaluate(dark)
    await page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert await page.evaluate(dark) != before
    assert await page.evaluate("noted") == []


async def test_firefox_shows_every_page(broker: HubbubServer, address: str, tmp_path: Path) -> None:
    async with firefox(tmp_path, address) as page:
        await walk(page, broker)


async def test_webkit_shows_every_page(broker: HubbubServer, address: str, tmp_path: Path) -> None:
    async with webkit(tmp_path, address) as page:
        await walk(page, broker)
