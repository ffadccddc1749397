"""Structured logs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from broker import logs


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_text_holds_the_event_and_its_fields_on_one_line() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream)
    logging.getLogger("hubbub.net").warning("port %d is slow", 5672, extra={"peer": "127.0.0.1:1", "why": "so\nit is"})
    logging.getLogger("hubbub.net").debug("not shown")

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.endswith('warning net: port 5672 is slow peer=127.0.0.1:1 why="so\\nit is"\n')
    assert line[:4].isdigit()
    assert line[23] == "Z"


def test_json_is_one_object_per_line_with_the_traceback_inside() -> None:
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("hubbub.server").exception("it failed", extra={"queue": "q\n1"})

    event = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert (event["level"], event["logger"], event["text"]) == ("error", "hubbub.server", "it failed")
    assert event["queue"] == "q\n1"
    assert "ValueError: broken" in event["traceback"]
