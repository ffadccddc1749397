"""Pages in a real browser, Debian's Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.browser import Browser, Page
from tests.support.node import node_with_packages
from tests.support.server import HOST, HubbubServer

HERE = Path(__file__).parent


@pytest_asyncio.fixture
async def site() -> AsyncIterator[str]:
    """The pages, and the packages that they use, over HTTP."""
    node_with_packages(HERE / "node", "@cloudamqp/amqp-client")
    application = web.Application()
    application.router.add_static("/modules", HERE / "node" / "node_modules")
    application.router.add_static("/", HERE / "pages")
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    yield f"http://{HOST}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with Browser(tmp_path) as running:
        yield running


async def _open(browser: Browser, site: str, name: str, url: str) -> Page:
    return await browser.open(f"{site}/{name}.html?url={url}")


@pytest.mark.timeout(120)
async def test_two_pages_exchange_messages_in_the_native_dialect(browser: Browser, site: str, url: str) -> None:
    listens, speaks = [await _open(browser, site, "native", url) for _ in range(2)]
    assert (await listens.evaluate("welcome"))["user"] == "guest"
    await listens.evaluate("say({type: 'subscribe', id: 's', topic: 'pages/#'}), next((m) => m.type === 'subscribed')")
    await speaks.evaluate("welcome.then(() => say({type: 'publish', id: 1, topic: 'pages/one', body: '21 °C ☂'}))")

    assert await speaks.evaluate("next((m) => m.id === 1)") == {"type": "accepted", "id": 1}
    heard = await listens.evaluate("next((m) => m.type === 'message')")
    assert (heard["topic"], heard["body"]) == ("pages/one", "21 °C ☂")
    assert await listens.evaluate("socket.close(), closed") == {"code": 1005, "clean": True}
    assert await speaks.evaluate("socket.close(1000, 'enough'), closed") == {"code": 1000, "clean": True}


@pytest.mark.timeout(120)
async def test_mqtt_js_in_a_page_and_the_native_dialect_in_another(
    browser: Browser, site: str, websocket_server: HubbubServer
) -> None:
    url = f"ws://{HOST}:{websocket_server.settings['websocket.port']}"
    mqtt, native = await _open(browser, site, "mqtt", url), await _open(browser, site, "native", url)
    assert await mqtt.evaluate("connected")
    await mqtt.evaluate("client.subscribeAsync('from/native', { qos: 1 })")
    await native.evaluate(
        "welcome.then(() => say({type: 'subscribe', id: 's', topic: 'from/+'})), next((m) => m.type === 'subscribed')"
    )
    await mqtt.evaluate("client.publishAsync('from/mqtt', '21 °C', { qos: 1 })")
    heard = await native.evaluate("next((m) => m.type === 'message')")
    assert (heard["topic"], heard["body"]) == ("from/mqtt", "21 °C")

    await native.evaluate("say({type: 'publish', id: 2, topic: 'from/native', body: '22 °C'}), next((m) => m.id === 2)")
    answer = await mqtt.evaluate("message()")
    assert (answer["topic"], answer["body"]) == ("from/native", "22 °C")
    assert await mqtt.evaluate("client.endAsync().then(() => true)")


@pytest.mark.timeout(120)
async def test_amqp_client_in_a_page_and_the_native_dialect_in_another(
    browser: Browser, site: str, websocket_server: HubbubServer
) -> None:
    url = f"ws://{HOST}:{websocket_server.settings['websocket.port']}"
    amqp, native = await _open(browser, site, "amqp", url), await _open(browser, site, "native", url)
    await native.evaluate(
        "welcome.then(() => say({type: 'subscribe', id: 's', topic: 'from/amqp'})), "
        "next((m) => m.type === 'subscribed')"
    )
    await amqp.evaluate(
        """(async () => {
            window.channel = await connect();
            window.queue = (await channel.queueDeclare("", { exclusive: true })).name;
            await channel.queueBind(queue, "amq.topic", "from.native");
            await channel.basicPublish("amq.topic", "from.amqp", "hello native", { contentType: "text/x" });
        })()"""
    )
    heard = await native.evaluate("next((m) => m.type === 'message')")
    assert (heard["topic"], heard["body"], heard["properties"]) == (
        "from/amqp", "hello native", {"content_type": "text/x"},
    )  # fmt: skip

    await native.evaluate(
        "say({type: 'publish', id: 2, topic: 'from/native', body: 'hello AMQP'}), next((m) => m.id === 2)"
    )
    assert await amqp.evaluate("channel.basicGet(queue, {noAck: true}).then((got) => got.bodyString())") == "hello AMQP"


@pytest.mark.timeout(60)
async def test_a_broker_that_stops_tells_the_page(browser: Browser, site: str, tmp_path: Path) -> None:
    from tests.support.server import free_port

    port = free_port()
    server = HubbubServer(tmp_path / "server", {"websocket.address": HOST, "websocket.port": port})
    server.start()
    try:
        page = await _open(browser, site, "native", f"ws://{HOST}:{port}")
        await page.evaluate("welcome")
        assert server.stop() == 0

        assert await page.evaluate("closed") == {"code": 1001, "clean": True}
    finally:
        server.kill()
