"""Structured logs: one line per event on standard error, as text or as JSON.

Owns the format. Refuses to know files and rotation: whoever starts the broker keeps its standard error.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO, Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What the caller passed as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    """RFC 3339, UTC, milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"


def _quoted(text: str) -> str:
    """As it is where it is one word, else as JSON has it: a field never breaks the line."""
    return text if text.isprintable() and " " not in text else json.dumps(text, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z info  net: text key=value`, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One event, for people."""
        name = record.name.removeprefix("hubbub.")
        line = f"{_time(record)} {record.levelname.lower():7} {name}: {record.getMessage()}"
        line += "".join(f" {key}={_quoted(str(value))}" for key, value in _fields(record).items())
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, text, the event's own fields, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One event, for programs."""
        event: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False, default=str)


def configure(log_format: LogFormat, level: LogLevel, stream: IO[str] | None = None) -> None:
    """Send every log record of the process to `stream` (standard error), in `log_format`, from `level` on."""
    target = logging.StreamHandler(stream if stream is not None else sys.stderr)
    target.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [target]
    root.setLevel(level.upper())
    # aiohttp logs every request at info: an access log that nobody asked for.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
