"""The web UI in a real browser, clicked through: each page shows what is there, and changes it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pika.exceptions
import pytest
import pytest_asyncio

from tests.support.browser import Browser, Page
from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120)]
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path_factory.mktemp("ui"), {"management.port": free_port()})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


@pytest_asyncio.fixture
async def page(broker: HubbubServer, tmp_path: Path) -> AsyncIterator[Page]:
    async with Browser(tmp_path) as browser:
        opened = await browser.open(f"http://{HOST}:{broker.settings['management.port']}/", LOGIN)
        await opened.until("document.querySelector('.figures')")
        await opened.evaluate("window.confirm = () => true")
        yield opened


def on_page(text: str) -> str:
    return f"document.getElementById('main').textContent.includes({text!r})"


async def go(page: Page, title: str) -> None:
    """Click a link of the navigation."""
    await page.evaluate(f"[...document.querySelectorAll('nav a')].find(a => a.textContent === {title!r}).click()")
    await page.until(f"document.title.startsWith({title!r})")


async def fill(page: Page, form: str, **fields: str) -> None:
    """Type into a form, once it is there, and send it."""
    await page.until(
        f"""(() => {{
            const form = [...document.forms].find(each => each.ariaLabel === {json.dumps(form)})
            if (!form) return false
            for (const [name, value] of Object.entries({json.dumps(fields)})) form.elements[name].value = value
            form.requestSubmit()
            return true
        }})()"""
    )


async def said(page: Page, text: str) -> None:
    """The page says how it went."""
    await page.until(f"document.getElementById('message').textContent.includes({text!r})")


async def click(page: Page, label: str, row: str = "") -> None:
    """Click a button, once it is there; of a table's row, where there are several."""
    await page.until(
        f"""(() => {{
            const button = [...document.querySelectorAll("main button")].find(each => each.textContent === {label!r}
                && (each.closest("tr") ?? document.body).textContent.includes({row!r}))
            button?.click()
            return button !== undefined
        }})()"""
    )


async def test_the_overview_shows_totals_charts_and_the_ledger(page: Page) -> None:
    for text in ("fsync", "Unaccounted", "Messages per second", "Ledger", "amqp"):
        assert await page.evaluate(on_page(text)), text
    assert await page.evaluate("document.querySelectorAll('figure svg').length") == 4
    assert await page.evaluate("document.querySelector('nav a[aria-current]').textContent") == "Overview"


async def test_a_queue_from_its_declaration_to_its_end(page: Page) -> None:
    await go(page, "Queues")
    await fill(page, "Declare a queue", name="orders", args='{"x-max-length": 50}')
    await said(page, "Queue orders is declared")
    await page.until("document.querySelector('main a[href$=orders]')")
    await page.evaluate("document.querySelector('main a[href$=orders]').click()")
    await page.until(on_page("Queue orders in /"))
    await fill(page, "Publish a message", payload="21 °C <b>☂</b>")
    await said(page, "the broker has it")
    await fill(page, "Look at messages", count="5")
    await said(page, "1 messages")
    assert await page.until("document.querySelector('#seen pre')?.textContent") == "21 °C <b>☂</b>"

    await click(page, "Purge")
    await said(page, "Purged")
    await click(page, "Delete")
    await page.until("document.title.startsWith('Queues')")
    await page.until("!" + on_page("orders"))


async def test_exchanges_and_bindings_are_drawn(page: Page, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    connection.channel().queue_declare("drawn", durable=True)
    await go(page, "Exchanges")
    await fill(page, "Declare an exchange", name="news", type="topic")
    await said(page, "Exchange news is declared")
    await fill(page, "Bind", source="news", destination="drawn", routing_key="weather.#")
    await said(page, "Bound")
    assert await page.until("document.querySelector('svg.graph path')") is not None
    assert await page.evaluate(on_page("weather.#"))
    await click(page, "Unbind", "weather.#")
    await said(page, "Unbound")
    await click(page, "Delete", "news")
    await said(page, "Deleted news")
    connection.close()


async def test_a_connection_is_listed_and_closed(page: Page, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    await go(page, "Connections")
    await page.until(on_page("AMQP 0-9-1"))
    await click(page, "Close", "AMQP 0-9-1")
    await said(page, "Closed")
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=10)
    assert closed.value.reply_code == 320


async def test_users_permissions_and_policies_are_edited(page: Page) -> None:
    await go(page, "Users")
    await fill(page, "Add or change a user", name="ann", password="secret", tags="monitoring")
    await said(page, "User ann is saved")
    await fill(page, "Set a permission", user="ann", write="^a")
    await said(page, "Permission of ann is set")
    await page.until(on_page("^a"))
    await click(page, "Delete", "monitoring")
    await said(page, "Deleted ann")

    await go(page, "Policies")
    await fill(page, "Set a policy", name="short", definition='{"max-length": 5}')
    await said(page, "Policy short is set")
    await fill(page, "Set a policy", name="wrong", definition='{"max-lenght": 5}')
    await said(page, "max-lenght")
    await click(page, "Delete", "short")
    await said(page, "Deleted short")


async def test_it_fits_a_phone_and_nothing_comes_from_elsewhere(page: Page, tmp_path: Path) -> None:
    await page.screenshot(tmp_path / "phone.png", 390, 800)
    assert await page.evaluate("document.documentElement.scrollWidth <= 390")
    loaded = await page.evaluate("performance.getEntriesByType('resource').map(each => new URL(each.name).origin)")
    assert set(loaded) == {await page.evaluate("location.origin")}
