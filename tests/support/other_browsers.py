"""The other engines, told what to do by the W3C's protocols: Firefox over WebDriver BiDi, WebKitGTK over WebDriver.

Owns the processes and the conversation. Their pages are what `WebUi` needs of `browser.Page`, but for keys.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.browser import PageError, Reader
from tests.support.server import free_port
from tests.support.skipping import skip_unless_ci

START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0
NOTED = """globalThis.noted ??= (addEventListener("error", event => noted.push(event.message)),
    addEventListener("unhandledrejection", event => noted.push(String(event.reason))), [])"""


class OtherPage(Reader):
    """One tab. `run` evaluates a script whose value is a promise of JSON, and gives that text."""

    def __init__(self, run: Callable[[str], Awaitable[str]]) -> None:
        self.run = run

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it resolves to. Raises PageError."""
        script = f"Promise.resolve().then(() => ({expression})).then(value => JSON.stringify(value ?? null))"
        return json.loads(await asyncio.wait_for(self.run(script), ANSWER_TIMEOUT_S))

    async def watched(self) -> OtherPage:
        """From now on errors are noted in the page."""
        await self.evaluate(NOTED)
        return self


@asynccontextmanager
async def process(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with its children, as long as the block."""
    running = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        await running.wait()


@asynccontextmanager
async def firefox(directory: Path, url: str) -> AsyncIterator[OtherPage]:
    """A page of Firefox, open at `url`. https://w3c.github.io/webdriver-bidi/"""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        skip_unless_ci("Firefox is not installed (Debian: apt install firefox-esr)")
    profile = directory / "firefox"
    profile.mkdir()
    command = (program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0")
    async with process(*command, "about:blank", HOME=str(directory)), aiohttp.ClientSession() as session:
        written = profile / "WebDriverBiDiServer.json"
        async with asyncio.timeout(START_TIMEOUT_S):
            while not written.exists() or not written.read_text():
                await asyncio.sleep(0.05)
        address = json.loads(written.read_text())
        async with session.ws_connect(
            f"ws://{address['ws_host']}:{address['ws_port']}/session", max_msg_size=0
        ) as socket:
            numbered = 0

            async def call(method: str, **parameters: Any) -> dict[str, Any]:
                nonlocal numbered
                numbered += 1
                await socket.send_json({"id": numbered, "method": method, "params": parameters})
                while (answer := await socket.receive_json()).get("id") != numbered:
                    pass
                if answer["type"] == "error":
                    raise PageError(answer["message"])
                result: dict[str, Any] = answer["result"]
                return result

            await call("session.new", capabilities={})
            context = (await call("browsingContext.getTree"))["contexts"][0]["context"]
            await call("browsingContext.navigate", context=context, url=url, wait="complete")

            async def run(script: str) -> str:
                target = {"context": context}
                found = await call("script.evaluate", expression=script, target=target, awaitPromise=True)
                if found["type"] == "exception":
                    raise PageError(found["exceptionDetails"]["text"])
                return str(found["result"]["value"])

            yield await OtherPage(run).watched()


@asynccontextmanager
async def webkit(directory: Path, url: str) -> AsyncIterator[OtherPage]:
    """A page of WebKitGTK's MiniBrowser, open at `url`; it needs a display. https://www.w3.org/TR/webdriver2/"""
    program, display = shutil.which("WebKitWebDriver"), shutil.which("xvfb-run")
    if program is None or display is None:
        skip_unless_ci("WebKit is not installed (Debian: apt install webkit2gtk-driver xvfb xauth)")
    port = free_port()
    driver = f"http://127.0.0.1:{port}"
    command = (display, "-a", program, f"--port={port}")
    async with process(*command, HOME=str(directory)), aiohttp.ClientSession() as session:

        async def call(method: str, path: str, **body: Any) -> Any:
            async with session.request(method, driver + path, json=body or None) as answer:
                value = (await answer.json())["value"]
            if isinstance(value, dict) and "error" in value:
                raise PageError(value["message"])
            return value

        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    await call("GET", "/status")
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        path = f"/session/{(await call('POST', '/session', capabilities={}))['sessionId']}"
        try:
            await call("POST", f"{path}/timeouts", script=int(ANSWER_TIMEOUT_S * 1000))
            await call("POST", f"{path}/url", url=url)

            async def run(script: str) -> str:
                waiting = f"const done = arguments[0]; {script}.then(done, error => done('!' + error))"
                found = str(await call("POST", f"{path}/execute/async", script=waiting, args=[]))
                if found.startswith("!"):
                    raise PageError(found[1:])
                return found

            yield await OtherPage(run).watched()
        finally:
            await call("DELETE", path)
