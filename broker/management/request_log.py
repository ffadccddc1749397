"""What aiohttp has to say of requests, in the log: what is no HTTP is one line, for it is the peer's mistake."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError

LOGGER = logging.getLogger("hubbub.http")


class RequestLog(logging.LoggerAdapter[logging.Logger]):
    """For aiohttp, in place of its own logger."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **more: Any) -> None:
        """A traceback for errors of ours only."""
        if isinstance(exc_info, HttpProcessingError):
            first_line = str(exc_info.message).partition("\n")[0].rstrip(":")
            self.info("%s: a request that is no HTTP: %s", args[0] if args else "-", first_line)
            return
        super().exception(msg, *args, exc_info=exc_info, **more)


def request_log() -> Any:
    """aiohttp asks for a Logger, and uses what this has."""
    return RequestLog(LOGGER, {})
