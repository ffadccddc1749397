"""The web UI's files, and what a browser is told about them.

Owns the names that are served, and the headers around them. Refuses to know what the page shows: the page asks the API.
Nothing is loaded from elsewhere, nothing in a page is run or styled but by these files, and no other page frames them.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from broker.management.replies import not_found

UI = Path(__file__).parent / "ui"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for anew after an upgrade; 304 while it is the same
}


class PageFiles:
    """`/` and `/ui/…`. The files are those that were there at the start."""

    def __init__(self) -> None:
        self.files = {path.relative_to(UI).as_posix(): path for path in UI.rglob("*") if path.is_file()}

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [web.get("/", self.page), web.get("/ui/{name:.+}", self.file)]

    async def page(self, request: web.Request) -> web.FileResponse:
        """The page that loads the others."""
        return web.FileResponse(self.files["index.html"], headers=HEADERS)

    async def file(self, request: web.Request) -> web.FileResponse:
        """A script, the sheet, the icon."""
        found = self.files.get(request.match_info["name"])
        if found is None:
            raise not_found()
        return web.FileResponse(found, headers=HEADERS)
