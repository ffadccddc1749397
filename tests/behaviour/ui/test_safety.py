"""The web UI among hostile names, foreign pages and scripts: nothing runs, and nobody's login is used."""

from __future__ import annotations

import json

import pytest

from tests.behaviour.ui.pages import PAGES, ask, furnished, place
from tests.support.browser import Browser
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi, login, web_ui

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
HOSTILE = "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>\"'`;}"


async def test_names_of_peers_are_text_on_every_page(ui: WebUi, broker: HubbubServer) -> None:
    unseen = set()
    with furnished(broker, HOSTILE, HOSTILE) as things:
        for page in (*PAGES, *things.pages):
            await ui.open(page)
            if page == things.pages[0]:
                await ui.fill("Look at messages")
                await ui.shows(f"header {HOSTILE}: {HOSTILE}")
            assert await ui.page.evaluate("document.querySelectorAll('main script, main img').length") == 0, page
            links = "[...document.querySelectorAll('a')].map(each => each.getAttribute('href')[0])"
            assert set(await ui.page.evaluate(links)) == {"#"}, page
            if not await ui.page.evaluate(f"document.body.textContent.includes({json.dumps(HOSTILE)})"):
                unseen.add(page)
        assert await ui.page.evaluate("window.hit") is None

    without = {"overview", "node", "channels", "socket", "explain", "definitions", "exchange/%2F/"}
    assert unseen <= without, "the name was to be on the other pages"


async def test_a_script_in_the_page_would_not_run(ui: WebUi) -> None:
    await ui.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hit = 3' }))"
    )

    assert await ui.page.evaluate("window.hit") is None
    assert any("Content Security Policy" in each for each in ui.page.errors)
    ui.page.errors.clear()


@pytest.mark.parametrize("path", ["", "ui/app.js"])
async def test_the_files_are_for_everybody_and_no_page_may_frame_them(ui: WebUi, path: str) -> None:
    headers = await ui.page.evaluate(
        f"fetch({json.dumps(path)} || '/', {{ credentials: 'omit' }}).then(each => Object.fromEntries(each.headers))"
    )

    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers


async def test_the_page_asks_for_the_login_keeps_it_shares_it_and_forgets_it(
    broker: HubbubServer, browser: Browser, address: str
) -> None:
    context = await browser.call("Target.createBrowserContext")
    page = await browser.open(address, context=context["browserContextId"])
    await page.until("document.querySelector('form')")
    ui = WebUi(page)
    await ui.shows("Log in to Hubbub")
    await ui.fill("Log in", user="guest", password="wrong")
    await ui.said("Login failed")
    await ui.fill("Log in with a token", token="no.token.at-all")
    await page.until("document.querySelector('details .refusal').textContent")
    await ui.fill("Log in", user="guest", password="guest")
    await ui.titled("Overview")
    await page.until("document.querySelector('.who')?.textContent.includes('guest · administrator')")

    beside = await browser.open(f"{address}#queues", context=context["browserContextId"])
    await WebUi(beside).titled("Queues")
    await WebUi(beside).click("Log out")

    for each in (page, beside):
        await WebUi(each).shows("Log in to Hubbub")
        assert await each.evaluate("sessionStorage.length + document.cookie.length") == 0
        await each.close()


async def test_what_a_user_may_not_do_is_said_before_it_tries(
    ui: WebUi, broker: HubbubServer, browser: Browser, address: str
) -> None:
    ask(broker, "PUT", "users/little", {"password": "little", "tags": "management"})
    ask(broker, "PUT", "permissions/%2F/little", {"configure": "^mine", "write": "^mine", "read": "^mine"})
    for name in ("mine", "theirs"):
        ask(broker, "PUT", f"queues/{place('/', name)}", {"durable": True})
    async with web_ui(browser, address, "little") as little:
        await little.open("queue/%2F/theirs")
        await little.shows("little may read only what matches ^mine in /.")
        await little.click("Purge")
        await little.page.until("document.querySelector('dialog[open]')?.textContent.includes('may read only')")
        await little.click("✕")
        await little.open("vhosts")
        await little.click("New vhost")
        await little.page.until("document.querySelector('dialog[open]')?.textContent.includes('tag administrator')")
        await little.click("✕")
        await little.open("users")
        await little.shows("This page is for users with the tag administrator; little has management.")
        await little.open("queue/%2F/mine")
        await little.click("Purge")
        await little.confirm("Purge")
        await little.said("Purged mine")
        # Where the page does not know, the broker says it, in the form.
        await little.open("queues")
        await little.click("New queue")
        await little.fill("New queue", name="other")
        await little.said("access to queue 'other' in vhost '/' refused for user 'little'")
    for path in ("queues/%2F/mine", "queues/%2F/theirs", "users/little"):
        ask(broker, "DELETE", path)


async def test_another_page_cannot_ask_in_somebody_s_name(ui: WebUi, broker: HubbubServer) -> None:
    foreign = {**login(), "Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
    answered = await ui.page.evaluate(
        f"""fetch("api/exchanges/%2F/amq.topic/publish", {{ method: "POST", body: "{{}}",
            headers: {json.dumps({key: value for key, value in foreign.items() if key != "Origin"})} }})
            .then(answer => answer.status)"""
    )

    assert answered == 415
