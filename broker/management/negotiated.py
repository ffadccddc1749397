"""A page of metrics in the form that who asks for it likes best: Prometheus's text, or OpenMetrics; gzip or not.

Owns both forms' differences. Pages are made in Prometheus's text format 0.0.4; OpenMetrics 1.0.0 is that with the names
of counters without `_total` in their heads, without comments, and with an end (`# EOF`).

Invariant: whatever is asked for, there is an answer: who likes neither gets the text, as from every Prometheus client.
"""

from __future__ import annotations

import asyncio
import gzip
import re

from aiohttp import web

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
GZIP_LEVEL = 1
GZIP_BYTES_MIN = 1024
"""A shorter page is not worth it."""
ACCEPTED_MAX = 50
"""Media types of an `Accept`; what stands behind them is not read."""


async def page_of(request: web.Request, text: bytes) -> web.Response:
    """A page for Prometheus, whose text is in format 0.0.4."""
    headers = {"Content-Type": TEXT, "Vary": "Accept, Accept-Encoding"}
    if prefers_openmetrics(request.headers.get("Accept", "")):
        text = openmetrics(text)
        headers["Content-Type"] = OPENMETRICS
    if len(text) >= GZIP_BYTES_MIN and takes_gzip(request.headers.get("Accept-Encoding", "")):
        text = await asyncio.to_thread(gzip.compress, text, GZIP_LEVEL, mtime=0)  # which works without the GIL
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=text, headers=headers)


def prefers_openmetrics(accept: str) -> bool:
    """RFC 9110 §12.5.1: whether it is liked better than text."""
    liked = {"openmetrics": 0.0, "text": 0.0}
    for each in accept.split(",")[:ACCEPTED_MAX]:
        media_type, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = quality_of(parameters)
        if media_type == "application/openmetrics-text":
            liked["openmetrics"] = max(liked["openmetrics"], quality)
        elif media_type in ("text/plain", "text/*", "*/*"):
            liked["text"] = max(liked["text"], quality)
    return liked["openmetrics"] > liked["text"]


def takes_gzip(accept_encoding: str) -> bool:
    """RFC 9110 §12.5.3."""
    for each in accept_encoding.split(",")[:ACCEPTED_MAX]:
        coding, *parameters = (part.strip().lower() for part in each.split(";"))
        if coding in ("gzip", "*"):
            return quality_of(parameters) > 0
    return False


def quality_of(parameters: list[str]) -> float:
    """`q=0.5`; 1 where it is not said, 0 where it is no number."""
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            return float(value) if re.fullmatch(r"[01](\.\d{0,3})?", value.strip()) else 0.0
    return 1.0


def openmetrics(text: bytes) -> bytes:
    """The same in OpenMetrics 1.0.0."""
    counters = {name.removesuffix(b"_total") for name in re.findall(rb"^# TYPE (\S+) counter$", text, re.MULTILINE)}
    lines = []
    for line in text.splitlines():
        if line.startswith(b"#"):
            word, _, rest = line[2:].partition(b" ")
            if word not in (b"HELP", b"TYPE"):
                continue
            name, _, said = rest.partition(b" ")
            family = name.removesuffix(b"_total")
            line = b"# %s %s %s" % (word, family if family in counters else name, said)
        lines.append(line)
    return b"\n".join(lines) + b"\n# EOF\n"
