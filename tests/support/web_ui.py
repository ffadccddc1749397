"""The web UI in a browser, as a reader uses it: menus, forms, dialogs, buttons of rows, and what the page says.

Owns the way around the page; knows the broker only by its address. Nothing waits for a time: a step looks again after
each change of the page, until it finds what it is for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.browser import Browser


def login(user: str = "guest", password: str = "guest") -> dict[str, str]:
    """The header of HTTP basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@asynccontextmanager
async def web_ui(browser: Browser, address: str, user: str = "guest") -> AsyncIterator[WebUi]:
    """The UI at `address` in a tab that shares nothing with others; its console stays clean to the end."""
    page = await browser.open(address, login(user, user), alone=True)
    await page.until("document.querySelector('#page h1')")
    await page.evaluate("localStorage.setItem('every', 2000)")  # the shortest, for who waits
    yield WebUi(page)
    assert page.errors == [], page.errors
    await page.close()


class WebUi:
    """One reader."""

    def __init__(self, page: Any) -> None:
        """`page`: a Page, or another Reader, of which keys are not pressed."""
        self.page = page

    async def go(self, title: str) -> None:
        """Click a link of the menu."""
        await self.page.until(
            f"""(() => {{
                const links = [...document.querySelectorAll("nav a")]
                const link = links.find(each => each.textContent === {json.dumps(title)})
                link?.click()
                return link !== undefined
            }})()"""
        )
        await self.titled(title)

    async def titled(self, title: str) -> None:
        """The page of that title is there, its content, too."""
        await self.page.until(
            f"document.title.startsWith({json.dumps(title)}) && document.querySelector('#page h1')"
            " && !document.querySelector('#page[aria-busy]')"
        )

    async def open(self, place: str) -> None:
        """Go to a place of the page: what stands behind the # of its address."""
        await self.page.evaluate(f"location.hash = {json.dumps(place)}")
        await self.page.until("!document.querySelector('#page[aria-busy]')")

    async def follow(self, text: str) -> None:
        """Click a link of the page."""
        await self.page.until(
            f"""(() => {{
                const links = [...document.querySelectorAll("main a")]
                const link = links.find(each => each.textContent === {json.dumps(text)})
                link?.click()
                return link !== undefined
            }})()"""
        )

    async def click(self, label: str, row: str = "") -> None:
        """Click a button, of a dialog where one is open; of a table's row, where there are several."""
        await self.page.until(
            f"""(() => {{
                const place = document.querySelector("dialog[open]") ?? document
                const button = [...place.querySelectorAll("button")].find(each =>
                    each.textContent === {json.dumps(label)}
                    && (each.closest("tr") ?? document.body).textContent.includes({json.dumps(row)}))
                button?.click()
                return button !== undefined
            }})()"""
        )

    async def keep_still(self) -> None:
        """For a reader who wants no motion."""
        still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
        await self.page.browser.call("Emulation.setEmulatedMedia", self.page.session, features=still)

    async def confirm(self, label: str) -> None:
        """Say yes to "Are you sure?"."""
        await self.page.until("document.querySelector('dialog[open]')")
        await self.click(label)

    async def fill(self, form: str, **fields: str | bool) -> None:
        """Type into a form, once it is there, and send it."""
        await self.page.until(
            f"""(() => {{
                const form = [...document.forms].find(each => each.ariaLabel === {json.dumps(form)})
                if (!form) return false
                for (const [name, value] of Object.entries({json.dumps(fields)})) {{
                    const control = form.elements[name]
                    if (typeof value === "boolean") control.checked = value
                    else control.value = value
                    control.dispatchEvent(new Event("change", {{ bubbles: true }}))
                }}
                form.requestSubmit()
                return true
            }})()"""
        )

    async def choose_vhost(self, name: str) -> None:
        """Of the list in the page's head."""
        await self.page.until(
            f"[...document.querySelectorAll('#scope option')].some(o => o.value === {json.dumps(name)})"
        )
        await self.page.evaluate(
            f"""(() => {{
                const select = document.querySelector("#scope select")
                select.value = {json.dumps(name)}
                select.dispatchEvent(new Event("change", {{ bubbles: true }}))
            }})()"""
        )

    async def find(self, name: str) -> None:
        """Type into the page's search."""
        await self.page.until(
            f"""(() => {{
                const field = document.querySelector("[data-find]")
                if (!field) return false
                field.value = {json.dumps(name)}
                field.dispatchEvent(new Event("input", {{ bubbles: true }}))
                return true
            }})()"""
        )
        await self.page.until(
            f"""new URLSearchParams(location.hash.split("?")[1]).get("name") === {json.dumps(name)}
                && !document.querySelector("#page[aria-busy]")"""
        )

    async def said(self, text: str) -> None:
        """The page says how it went, in its message, above the page, or in a form."""
        await self.page.until(
            f"""[...document.querySelectorAll("#message, #alarms, .refusal")]
                .some(each => each.textContent.includes({json.dumps(text)}))"""
        )

    async def shows(self, *texts: str) -> None:
        """All of them stand on the page, sooner or later."""
        await self.page.until(
            f"{json.dumps(texts)}.every(each => document.getElementById('page').textContent.includes(each))"
        )

    async def lacks(self, text: str) -> None:
        """It is no longer on the page."""
        await self.page.until(f"!document.getElementById('page').textContent.includes({json.dumps(text)})")
