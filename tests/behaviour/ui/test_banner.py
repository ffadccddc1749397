"""What an operator must not overlook stands above every page, as long as it is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.behaviour.ui.pages import ask
from tests.support.browser import Browser
from tests.support.server import HOST, HubbubServer, free_port
from tests.support.web_ui import WebUi, web_ui

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
BANNER = "document.getElementById('alarms').textContent"


class Broker(HubbubServer):
    """With settings of its own, and the web UI."""

    def __init__(self, directory: Path, **settings: object) -> None:
        super().__init__(directory, {"management.port": free_port(), "mqtt.port": "null", **settings})
        self.address_of_ui = f"http://{HOST}:{self.settings['management.port']}/"


def running(broker: Broker) -> Iterator[Broker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Broker]:
    """A broker whose memory is soon full."""
    yield from running(Broker(tmp_path, **{"memory.messages_bytes_max": 2**20}))


@pytest.fixture
def without_room(tmp_path: Path) -> Iterator[Broker]:
    """A broker that wants more of the disk than there is."""
    yield from running(Broker(tmp_path, disk_free_min_bytes=10**18))


async def test_memory_that_runs_out_is_said_on_every_page_until_there_is_some_again(
    small: Broker, browser: Browser
) -> None:
    channel = pika.BlockingConnection(pika.ConnectionParameters(*small.address)).channel()
    channel.queue_declare("full")
    for _ in range(30):
        channel.basic_publish("", "full", b"x" * 100_000)

    async with web_ui(browser, small.address_of_ui) as ui:
        for page in ("overview", "queues"):
            await ui.open(page)
            await ui.said("Messages take more memory than they may. Publishers wait, consumers go on")
        await ui.open("overview")
        await ui.shows("alarm: memory")
        await ui.open("queue/%2F/full")
        await ui.click("Purge")
        await ui.confirm("Purge")
        await ui.said("Purged full")
        await ui.page.press("r")
        await ui.page.until(f"{BANNER} === ''")


async def test_a_full_disk_is_said_and_what_to_do(without_room: Broker, browser: Browser) -> None:
    async with web_ui(browser, without_room.address_of_ui) as ui:
        await ui.said("The disk is nearly full. Publishers wait, consumers go on")
        await ui.said("Make room: publishing resumes by itself.")


async def test_a_broker_that_is_about_to_stop_and_one_that_is_gone_and_comes_back(
    small: Broker, browser: Browser
) -> None:
    async with web_ui(browser, small.address_of_ui) as ui:
        await ui.open("node")
        await ui.click("Drain and stop")
        await ui.fill("Drain and stop", after="60")
        await ui.said("The broker is about to stop.")
        await ui.shows("about to stop")
        small.kill()
        await ui.page.press("r")
        await ui.said("The broker does not answer. What is shown is from")
        await ui.shows("Event loop, the latest timer")
        small.start()
        await ui.page.press("r")
        await ui.page.until(f"{BANNER} === ''")
        await ui.shows("running")


async def test_a_ledger_that_does_not_balance_and_clocks_that_differ_are_said(
    browser: Browser, broker: HubbubServer, ui: WebUi
) -> None:
    overview = ask(broker, "GET", "overview")
    overview["hubbub"]["ledger"]["unaccounted"] = 2
    await ui.page.evaluate(
        f"""(() => {{
            const real = fetch
            const shown = {json.dumps(overview)}
            globalThis.fetch = async (path, asked) => {{
                const answer = await real(path, asked)
                const headers = {{ Date: new Date(Date.now() + 3600_000).toUTCString() }}
                return new Response(path === "api/overview" ? JSON.stringify(shown) : answer.body, {{ headers }})
            }}
        }})()"""
    )
    await ui.page.press("r")

    await ui.said("2 messages unaccounted")
    await ui.said("ahead of this computer's: look at NTP.")
