"""Listings: RabbitMQ's query parameters `name`, `use_regex`, `sort`, `sort_reverse`, `columns`, `page`, `page_size`.

Owns how rows become an answer, in slices of the loop's time so that no listing stops the messages.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from broker.management.asked import number_of
from broker.management.replies import ApiError, answer, bad_request

ROWS_PER_SLICE = 200
PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 500
REGEX_MAX = 1000
"""Characters of a name filter: it is matched against every name."""


async def sliced(rows: Iterable[Any]) -> list[Any]:
    """Makes the rows, and lets the messages go on in between."""
    made = []
    for row in rows:
        made.append(row)
        if len(made) % ROWS_PER_SLICE == 0:
            await asyncio.sleep(0)
    return made


async def listing(request: web.Request, rows: Iterable[dict[str, Any]]) -> web.Response:
    """The rows that the query asks for; a page of them where it asks for pages."""
    found = await sliced(rows)
    total = len(found)
    found = filtered(request, found)
    if request.query.get("sort"):
        key = request.query["sort"].split(".")
        found.sort(key=lambda row: sortable(value_at(row, key)), reverse=request.query.get("sort_reverse") == "true")
    wanted = [column for column in request.query.get("columns", "").split(",") if column]
    if "page" not in request.query:
        return answer(found if not wanted else [selected(row, wanted) for row in found])
    page = number_of(request, "page", 1, 1, 2**31)
    size = number_of(request, "page_size", PAGE_SIZE_DEFAULT, 1, PAGE_SIZE_MAX)
    pages = max(1, -(-len(found) // size))
    if page > pages:
        raise ApiError(400, "page_out_of_range", f"page out of range, page: {page}, pages: {pages}")
    items = found[(page - 1) * size : page * size]
    return answer(
        {
            "filtered_count": len(found),
            "item_count": len(items),
            "items": items if not wanted else [selected(row, wanted) for row in items],
            "page": page,
            "page_count": pages,
            "page_size": size,
            "total_count": total,
        }
    )


def filtered(request: web.Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose name holds `name`, or matches it where `use_regex` is true."""
    name = request.query.get("name", "")
    if not name:
        return rows
    if request.query.get("use_regex") != "true":
        return [row for row in rows if name in str(row.get("name", ""))]
    if len(name) > REGEX_MAX:
        raise bad_request(f"name: expected at most {REGEX_MAX} characters")
    try:
        pattern = re.compile(name)
    except re.error as error:
        raise bad_request(f"name: expected a regular expression: {error}") from None
    return [row for row in rows if pattern.search(str(row.get("name", "")))]


def value_at(row: Any, path: list[str]) -> Any:
    """`message_stats.publish_details.rate` of a row; None where there is none."""
    for step in path:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def sortable(value: Any) -> tuple[int, Any]:
    """What is missing first, then numbers, then texts: values of different types have an order, too."""
    if value is None:
        return (0, 0)
    if isinstance(value, int | float):
        return (1, value)
    return (2, str(value))


def selected(row: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    """The columns of a row, nested ones by dots."""
    chosen: dict[str, Any] = {}
    for column in columns:
        path = column.split(".")
        value = value_at(row, path)
        if value is None and not holds(row, path):
            continue
        inner = chosen
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = value
    return chosen


def holds(row: Any, path: list[str]) -> bool:
    """Whether the row has the column at all."""
    for step in path:
        if not isinstance(row, dict) or step not in row:
            return False
        row = row[step]
    return True


def every(server: Any, kind: str) -> Iterator[tuple[Any, Any]]:
    """(vhost, queue or exchange) of every vhost; `kind`: "queues" or "exchanges". Safe while they come and go."""
    for vhost in list(server.broker.vhosts.values()):
        for each in list(getattr(vhost, kind).values()):
            yield vhost, each
