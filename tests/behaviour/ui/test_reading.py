"""The web UI by keyboard, by ear, on a phone, in the dark; hidden tabs, and users who may little."""

from __future__ import annotations

import json

import pytest

from tests.behaviour.ui.pages import PAGES
from tests.support.browser import Browser
from tests.support.pika_client import connect
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi, web_ui

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
PLACES = [*PAGES, "queue/%2F/read", "exchange/%2F/amq.topic", "user/guest", "vhost/%2F"]


@pytest.fixture
def read_queue(broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.queue_declare("read", durable=True)
    channel.queue_bind("read", "amq.topic", "a.b")
    connection.close()


@pytest.mark.usefixtures("read_queue")
async def test_every_page_fits_a_phone_and_nothing_comes_from_elsewhere(ui: WebUi) -> None:
    await ui.page.resize(390, 800)
    for page in PLACES:
        await ui.open(page)
        width = await ui.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, page
    loaded = await ui.page.evaluate("performance.getEntriesByType('resource').map(each => new URL(each.name).origin)")
    assert set(loaded) == {await ui.page.evaluate("location.origin")}
    assert await ui.page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    await ui.page.evaluate("document.getElementById('menu').click()")
    assert await ui.page.evaluate("getComputedStyle(document.querySelector('nav')).display") != "none"
    await ui.go("Queues")
    assert await ui.page.evaluate("document.getElementById('menu').getAttribute('aria-expanded')") == "false"


@pytest.mark.usefixtures("read_queue")
async def test_every_page_has_one_heading_names_for_controls_and_captions(ui: WebUi) -> None:
    for page in PLACES:
        await ui.open(page)
        assert await ui.page.evaluate("document.querySelectorAll('main h1').length") == 1, page
        assert await ui.page.evaluate("[...document.querySelectorAll('table')].every(each => each.caption)"), page
        ids = await ui.page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids)), page
        nameless = await ui.page.evaluate(
            """[...document.querySelectorAll("button, input, select, textarea, a, section")].filter(each =>
                !each.ariaLabel && !each.textContent.trim() && !each.labels?.length
            ).map(each => each.outerHTML)"""
        )
        assert nameless == [], page


async def test_the_keyboard_leads_everywhere(ui: WebUi) -> None:
    await ui.page.press("Tab")
    assert await ui.page.evaluate("document.activeElement.id") == "skip"
    await ui.page.press("Enter")
    assert await ui.page.evaluate("document.activeElement.id") == "main"
    await ui.page.press("g", "q")
    await ui.titled("Queues")
    assert await ui.page.evaluate("document.activeElement.id") == "main"
    await ui.page.press("/")
    assert await ui.page.evaluate("document.activeElement.type") == "search"
    await ui.page.press("x")
    await ui.shows("No queues match “x”.")
    assert await ui.page.evaluate("document.activeElement.value") == "x"
    await ui.page.evaluate("document.activeElement.blur()")
    await ui.page.press("?")
    await ui.page.until("document.querySelector('dialog[open]')?.textContent.includes('Go to queues')")
    await ui.page.evaluate("document.querySelector('dialog input[type=checkbox]').click()")
    await ui.page.press("Escape")
    await ui.page.until("!document.querySelector('dialog')")
    await ui.page.press("g", "o")
    assert await ui.page.evaluate("location.hash.startsWith('#queues')")


async def test_what_is_typed_chosen_and_unfolded_stays_while_the_page_is_drawn_again(ui: WebUi) -> None:
    await ui.open("exchange/%2F/amq.fanout")
    await ui.shows("Publish to this exchange")
    await ui.page.evaluate(
        """(() => {
            const field = document.querySelector("form textarea[name=payload]")
            field.focus()
            field.value = "half a sent"
            document.querySelector("form input[name=persistent]").click()
        })()"""
    )
    drawn = "document.querySelector('.chart .line')?.getAttribute('d')"
    before = await ui.page.evaluate(drawn)

    await ui.page.until(f"{drawn} !== {json.dumps(before)}")

    assert await ui.page.evaluate("[document.activeElement.name, document.activeElement.value]") == [
        "payload",
        "half a sent",
    ]
    assert await ui.page.evaluate("document.querySelector('form input[name=persistent]').checked") is False


async def test_colours_follow_the_system_or_the_switch(ui: WebUi, address: str) -> None:
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    back = "getComputedStyle(document.documentElement).backgroundColor"

    async def system(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await ui.page.browser.call("Emulation.setEmulatedMedia", ui.page.session, features=features)

    await system("light")
    light = await ui.page.evaluate(back)
    await system("dark")
    assert await ui.page.evaluate(dark)
    assert await ui.page.evaluate(back) != light
    await ui.page.evaluate("document.getElementById('theme').click()")
    assert await ui.page.evaluate(back) == light
    await ui.page.browser.call("Page.navigate", ui.page.session, url=f"{address}?again")
    await ui.page.until("document.querySelector('#page h1')")
    assert await ui.page.evaluate(back) == light


async def test_a_hidden_tab_asks_nothing(ui: WebUi) -> None:
    await ui.page.evaluate(
        """(() => {
            globalThis.asked = 0
            const real = globalThis.fetch
            globalThis.fetch = (...all) => { asked += 1; return real(...all) }
            globalThis.timers = []
            globalThis.setTimeout = (action, ms) => { timers.push(ms); return 0 }
            Object.defineProperty(document, "hidden", { value: true, configurable: true })
            document.dispatchEvent(new Event("visibilitychange"))
        })()"""
    )
    assert await ui.page.evaluate("[asked, timers]") == [0, []]

    await ui.page.evaluate(
        """(() => {
            Object.defineProperty(document, "hidden", { value: false })
            document.dispatchEvent(new Event("visibilitychange"))
        })()"""
    )

    await ui.page.until("timers.length === 1")
    assert await ui.page.evaluate("asked === 2 && timers[0] >= 2000")


@pytest.mark.parametrize("tag", ["monitoring", "policymaker", "management"])
async def test_a_user_is_offered_only_pages_that_it_may_see(
    address: str, browser: Browser, ui: WebUi, tag: str
) -> None:
    await ui.go("Users")
    await ui.click("New user")
    await ui.fill("New user", name=tag, password=tag, tags=tag)
    await ui.follow(tag)
    await ui.click("Set permission")
    await ui.fill(f"Permission of {tag}")
    await ui.said(f"Permission of {tag} is set")

    async with web_ui(browser, address, tag) as restricted:
        await restricted.shows("Messages per second")
        titles = await restricted.page.evaluate("[...document.querySelectorAll('nav a')].map(each => each.textContent)")
        assert "Users" not in titles
        for title in titles:
            await restricted.go(title)
            refusal = await restricted.page.evaluate("document.querySelector('#message.bad')?.textContent")
            assert not refusal, f"{title}: {refusal}"
        await restricted.open("users")
        await restricted.said("Not administrator user")


async def test_a_login_that_is_gone_is_not_tried_again_and_again(address: str, browser: Browser, ui: WebUi) -> None:
    await ui.go("Users")
    await ui.click("New user")
    await ui.fill("New user", name="leaver", password="leaver", tags="monitoring")
    await ui.said("User leaver is saved")

    async with web_ui(browser, address, "leaver") as leaving:
        await leaving.page.evaluate(
            """(() => {
                globalThis.done = []
                const [realFetch, realTimer] = [fetch, setTimeout]
                globalThis.fetch = (...all) => { done.push("asked"); return realFetch(...all) }
                globalThis.setTimeout = (...all) => { done.push("will ask"); return realTimer(...all) }
            })()"""
        )
        await ui.click("Delete", "leaver")
        await ui.confirm("Delete user")
        await leaving.said("Your login is no longer valid.")
        await leaving.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert await leaving.page.evaluate("done.at(-1)") == "asked"
        asked = await leaving.page.evaluate("done.length")
        await leaving.page.evaluate("new Promise(resolve => requestIdleCallback(resolve))")
        assert await leaving.page.evaluate("done.length") == asked


async def test_what_is_gone_and_a_broker_that_stops_are_said(ui: WebUi) -> None:
    await ui.open("queue/%2F/never-was")
    await ui.shows("Not Found")
    await ui.go("Overview")
    await ui.page.evaluate(
        "globalThis.kept = fetch; globalThis.fetch = () => Promise.reject(new TypeError('Failed to fetch'))"
    )
    await ui.page.press("r")
    await ui.said("The broker does not answer.")
    await ui.page.evaluate("globalThis.fetch = kept")
    await ui.page.press("r")
    await ui.page.until("document.getElementById('message').textContent === ''")
