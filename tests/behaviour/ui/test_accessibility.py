"""The web UI for who cannot see it, or has no mouse: axe-core finds nothing, and the keyboard reaches everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.ui.pages import PAGES, Furnished, furnished
from tests.support.node import node_with_packages
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
AXE = Path(__file__).parent / "axe"
LOOK = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(each =>
    `${each.id}: ${each.nodes.map(node => `${node.html} ${node.failureSummary}`).join(" | ")}`))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """https://github.com/dequelabs/axe-core, as JavaScript."""
    node_with_packages(AXE, "axe-core")
    return (AXE / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def things(broker: HubbubServer) -> Iterator[Furnished]:
    with furnished(broker) as made:
        yield made


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(ui: WebUi, axe: str, things: Furnished, theme: str) -> None:
    await ui.page.evaluate(axe)
    await ui.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    await ui.keep_still()
    found = {}
    for page in (*PAGES, *things.pages):
        await ui.open(page)
        violations = await ui.page.evaluate(LOOK)
        if violations:
            found[page] = violations

    assert found == {}, json.dumps(found, indent=1)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_in_dialogs_the_login_and_the_banner(
    ui: WebUi, axe: str, things: Furnished, theme: str
) -> None:
    await ui.page.evaluate(axe)
    await ui.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    await ui.keep_still()
    for page, button in [
        ("queues", "New queue"),
        ("policies", "New policy"),
        ("node", "Drain and stop"),
        ("overview", "Table"),
    ]:
        await ui.open(page)
        await ui.click(button)
        await ui.page.until("document.querySelector('dialog[open]')")
        assert await ui.page.evaluate(LOOK) == [], button
        await ui.click("✕")
    await ui.page.evaluate("globalThis.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    await ui.page.press("r")
    await ui.said("The broker does not answer.")
    assert await ui.page.evaluate(LOOK) == []
    await ui.click("Log out")
    await ui.shows("Log in to Hubbub")
    assert await ui.page.evaluate(LOOK) == []


async def test_tab_reaches_every_control_in_the_order_of_the_page_and_shows_where_it_is(
    ui: WebUi, things: Furnished
) -> None:
    places = ("overview", "queues", *things.pages[:1])
    for page in places:
        await ui.open(page)
        wanted = await ui.page.evaluate(
            """(() => {
                globalThis.setTimeout = () => 0  // the page rests: it is not drawn again meanwhile
                const controls = "a, button, input, select, textarea, summary, [tabindex='0']"
                globalThis.tabbable = [...document.querySelectorAll(controls)]
                    .filter(each => each.checkVisibility({ visibilityProperty: true }) && each.tabIndex >= 0)
                tabbable[0].focus()
                return tabbable.length
            })()"""
        )
        reached = [0]
        for _ in range(wanted - 1):
            await ui.page.press("Tab")
            at, is_seen = await ui.page.evaluate(
                """[tabbable.indexOf(document.activeElement),
                    getComputedStyle(document.activeElement).outlineStyle !== "none"]"""
            )
            assert is_seen, f"{page}: {at}"
            reached.append(at)
        assert wanted > 20
        assert reached == list(range(wanted)), page


async def test_a_dialog_is_filled_in_sent_and_left_with_keys_alone(ui: WebUi) -> None:
    await ui.open("queues")
    await ui.page.evaluate(
        "[...document.querySelectorAll('button')].find(each => each.textContent === 'New queue').focus()"
    )
    await ui.page.press("Enter")
    await ui.page.until("document.querySelector('dialog[open]')")
    assert await ui.page.evaluate("document.activeElement.name") == "name"
    await ui.page.press(*"keyed", "Enter")
    await ui.said("Queue keyed is declared")
    await ui.page.until("document.activeElement.textContent === 'New queue'")
    await ui.page.press("Enter")
    await ui.page.until("document.querySelector('dialog[open]')")
    await ui.page.press("Escape")
    await ui.page.until("!document.querySelector('dialog')")
    await ui.open("queue/%2F/keyed")
    await ui.click("Delete")
    await ui.fill("Delete keyed", empty=True)
    await ui.said("Deleted keyed")


async def test_nothing_moves_for_who_wants_no_motion(ui: WebUi) -> None:
    await ui.keep_still()
    moving = await ui.page.evaluate(
        """[...document.querySelectorAll("*")].filter(each => {
            const { transitionDuration, animationName } = getComputedStyle(each)
            return transitionDuration !== "0s" || animationName !== "none"
        }).length"""
    )

    assert moving == 0


async def test_what_is_spoken_by_itself_changes_only_with_what_somebody_did(ui: WebUi) -> None:
    """A page that is drawn again every few seconds would not stop talking."""
    await ui.page.evaluate(
        """(() => {
            globalThis.spoken = 0
            const live = [...document.querySelectorAll("[aria-live], [role=alert], [role=status]")]
            const heard = new MutationObserver(changes => { spoken += changes.length })
            for (const each of live) heard.observe(each, { subtree: true, childList: true, characterData: true })
        })()"""
    )
    drawn = "document.querySelectorAll('.chart')[1].querySelector('.line').getAttribute('d')"
    before = await ui.page.evaluate(drawn)
    await ui.page.until(f"{drawn} !== {json.dumps(before)}")

    assert await ui.page.evaluate("spoken") == 0
