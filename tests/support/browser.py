"""A real browser: Debian's Chromium without a window, told what to do over its DevTools protocol.

Owns the process and the conversation with it. A page is opened by its address; what is evaluated in it is JavaScript,
and a promise is awaited there.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from tests.support.skipping import skip_unless_ci

START_TIMEOUT_S = 30.0
EVALUATE_TIMEOUT_S = 30.0
KEY_CODES = {"Enter": 13, "Tab": 9, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


class PageError(AssertionError):
    """JavaScript threw."""


class Browser:
    """`async with Browser(directory) as browser`: one process with a profile of its own."""

    def __init__(self, directory: Path) -> None:
        self.profile = directory / "profile"
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._last = 0

    async def __aenter__(self) -> Browser:
        program = shutil.which("chromium")
        if program is None:
            skip_unless_ci("chromium is not installed (Debian: apt install chromium)")
        self.profile.mkdir(parents=True)
        self._process = await asyncio.create_subprocess_exec(
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-extensions", "--remote-debugging-port=0",
            f"--user-data-dir={self.profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # so that its children go with it
        )  # fmt: skip
        async with asyncio.timeout(START_TIMEOUT_S):
            port, path = await self._debugging_address()
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        await self._session.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _debugging_address(self) -> tuple[str, str]:
        """The browser writes it into its profile when it listens."""
        written = self.profile / "DevToolsActivePort"
        while True:
            lines = written.read_text().splitlines() if written.exists() else []
            if len(lines) >= 2:
                return lines[0], lines[1]
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        async for message in self._socket:
            answer = message.json()
            if "method" in answer and answer.get("sessionId") in self._pages:
                self._pages[answer["sessionId"]].on_event(answer["method"], answer["params"])
            waiting = self._answers.pop(answer.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._last += 1
        self._answers[self._last] = asyncio.get_running_loop().create_future()
        command: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        await self._socket.send_json(command)
        answer = await asyncio.wait_for(self._answers[self._last], EVALUATE_TIMEOUT_S)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def open(
        self, url: str, headers: dict[str, str] | None = None, alone: bool = False, context: str = ""
    ) -> Page:
        """A page of its own, loaded. `headers` go with each request: a login. `alone`: with storage of its own.

        `context`: with the storage of those that were opened in it.
        """
        within = {"browserContextId": context} if context else {}
        if alone:
            within = await self.call("Target.createBrowserContext")
        target = await self.call("Target.createTarget", url="about:blank", **within)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"], target["targetId"])
        await self.call("Runtime.enable", page.session)
        await self.call("Log.enable", page.session)
        if headers is not None:
            await self.call("Network.enable", page.session)
            await self.call("Network.setExtraHTTPHeaders", page.session, headers=headers)
        await self.call("Page.navigate", page.session, url=url)
        await page.evaluate(
            f"new Promise((resolve) => {{ const look = () => location.href === {url!r} && "
            "document.readyState === 'complete' ? resolve() : setTimeout(look, 10); look(); })"
        )
        return page


class Reader:
    """Who looks at a page, whichever engine shows it."""

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it resolves to. Raises PageError."""
        raise NotImplementedError

    async def until(self, condition: str) -> Any:
        """The first true value of an expression: the page is looked at again after each of its changes.

        Raises PageError, with what the page shows, where there is none in time.
        """
        try:
            return await self.evaluate(self._awaiting(condition))
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise PageError(f"never came true: {condition}\nthe page shows: {shown}") from None

    def _awaiting(self, condition: str) -> str:
        return f"""new Promise(resolve => {{
                const look = () => {{
                    const found = ({condition})
                    if (found) {{ watch.disconnect(); resolve(found) }}
                }}
                const watch = new MutationObserver(look)
                watch.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }})
                look()
            }})"""


class Page(Reader):
    """One tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.browser = browser
        self.session = session
        self.target = target
        self.errors: list[str] = []

    def on_event(self, method: str, event: dict[str, Any]) -> None:
        """Notes what a reader of the console would see as an error; a refused request is the page's own affair."""
        if method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            self.errors.append(str(event["args"]))
        elif (
            method == "Log.entryAdded" and event["entry"]["level"] == "error" and event["entry"]["source"] != "network"
        ):
            self.errors.append(event["entry"]["text"])

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it resolves to. Raises PageError."""
        answer = await self.browser.call(
            "Runtime.evaluate",
            self.session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def close(self) -> None:
        """The tab goes."""
        await self.browser.call("Target.closeTarget", targetId=self.target)

    async def press(self, *keys: str) -> None:
        """Keys as a reader presses them: "a", "Tab", "Enter", "Escape", "/"."""
        for key in keys:
            text = "\r" if key == "Enter" else key if len(key) == 1 else None
            told = {"key": key, "code": key if len(key) > 1 else "", "windowsVirtualKeyCode": KEY_CODES.get(key, 0)}
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            await self.browser.call("Input.dispatchKeyEvent", self.session, **down, **told)
            await self.browser.call("Input.dispatchKeyEvent", self.session, type="keyUp", **told)

    async def resize(self, width: int, height: int) -> None:
        """A window of that size; below 600 a phone's."""
        await self.browser.call(
            "Emulation.setDeviceMetricsOverride", self.session,
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    async def screenshot(self, file: Path, width: int, height: int) -> None:
        """What the page looks like in a window of that size, as PNG."""
        await self.resize(width, height)
        taken = await self.browser.call("Page.captureScreenshot", self.session, format="png")
        file.write_bytes(base64.b64decode(taken["data"]))
