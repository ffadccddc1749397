"""Listings: RabbitMQ's query parameters `name`, `use_regex`, `sort`, `sort_reverse`, `columns`, `page`, `page_size`.

Owns how rows become an answer, in slices of the loop's time so that no listing stops the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from typing import Any

from aiohttp import web

from broker.core.patterns import STEPS_MAX, InvalidPatternError, Pattern
from broker.management.asked import number_of
from broker.management.rates import KINDS, AskedRates, Rates, Window
from broker.management.replies import ApiError, answer, bad_request
from broker.management.slices import answer_rows, sliced

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 500
AGE_S_MAX = 86_400
REGEX_MAX = 1000
"""Characters of a name filter: it is matched against every name."""
EXCESSES_MAX = 10
"""Names for which a filter may take too many steps before the question is refused."""


def as_it_is(row: Any) -> dict[str, Any]:
    """The shape of a row that is one already."""
    shaped: dict[str, Any] = row
    return shaped


def name_in(row: dict[str, Any]) -> str:
    """The name of such a row."""
    return str(row.get("name", ""))


async def listing(
    request: web.Request,
    rows: Iterable[Any],
    shape: Callable[[Any], dict[str, Any]] = as_it_is,
    name: Callable[[Any], str] = name_in,
) -> web.Response:
    """The rows that the query asks for; a page of them where it asks for pages.

    `shape` makes a row of what stands for it, and `name` tells its name: of 100,000 queues only the page is shaped,
    unless they are to be sorted by what the shape has to tell.
    """
    found = await sliced(rows)
    total = len(found)
    found = await filtered(request, found, name)
    by, descending = request.query.get("sort", ""), request.query.get("sort_reverse") == "true"
    if by == "name" and name is not name_in:
        found.sort(key=name, reverse=descending)
    elif by:
        path = by.split(".")
        # Only what they are sorted by is kept of the shapes: all of them at once are much.
        keys = await sliced(sortable(value_at(shape(row), path)) for row in found)
        order = sorted(range(len(found)), key=keys.__getitem__, reverse=descending)
        found = [found[at] for at in order]
    wanted = columns_of(request)
    if "page" not in request.query:
        return await answer_rows(selected(row, wanted) if wanted else row for row in map(shape, found))
    page, size = page_of(request)
    pages = max(1, -(-len(found) // size))
    if page > pages:
        reason = f"Page out of range, page: {page} page size: {size}, len: {len(found)}"
        raise ApiError(400, "page_out_of_range", reason)
    items = [shape(each) for each in found[(page - 1) * size : page * size]]
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


def columns_of(request: web.Request) -> list[str]:
    """`columns=name,message_stats.publish`: what the answer is narrowed to; empty: all of it."""
    return [column for column in request.query.get("columns", "").split(",") if column]


def narrowed(request: web.Request, row: dict[str, Any]) -> web.Response:
    """A single object, narrowed to the columns that the query asks for."""
    wanted = columns_of(request)
    return answer(selected(row, wanted) if wanted else row)


def asked_rates(request: web.Request, rates: Rates) -> AskedRates:
    """Rates, with the samples that the query asks for: `lengths_age=60&lengths_incr=5`, in seconds; one needs both."""
    windows = {
        kind: Window(
            number_of(request, f"{kind}_age", 1, 1, AGE_S_MAX), number_of(request, f"{kind}_incr", 1, 1, AGE_S_MAX)
        )
        for kind in KINDS
        if f"{kind}_age" in request.query and f"{kind}_incr" in request.query
    }
    return AskedRates(rates, windows)


def page_of(request: web.Request) -> tuple[int, int]:
    """`page` and `page_size`."""
    page, size = request.query.get("page", "1"), request.query.get("page_size", str(PAGE_SIZE_DEFAULT))
    try:
        found = int(page), int(size)
    except ValueError:
        raise bad_request("Pagination parameters are invalid") from None
    if found[0] < 1 or not 1 <= found[1] <= PAGE_SIZE_MAX:
        said = size if "page_size" in request.query else "undefined"
        reason = f"Invalid pagination parameters: page number {found[0]}, page size {said}"
        raise ApiError(400, "invalid_pagination_parameters", reason)
    return found


async def filtered(request: web.Request, rows: list[Any], name_of: Callable[[Any], str]) -> list[Any]:
    """Those whose name holds `name`, or matches it where `use_regex` is true."""
    name = request.query.get("name", "")
    if not name:
        return rows
    if request.query.get("use_regex") != "true":
        return await those(rows, lambda row: name in name_of(row))
    if len(name) > REGEX_MAX:
        raise bad_request(f"name: expected at most {REGEX_MAX} characters")
    try:
        pattern = Pattern(name)
    except InvalidPatternError as error:
        detail = f"name: expected a regular expression: {error.reason}"
        raise bad_request("Pagination parameters are invalid", detail) from None
    return await those(rows, lambda row: fits(pattern, name_of(row)))


async def those(rows: list[Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """Which are wanted."""
    verdicts = await sliced(map(wanted, rows))
    return list(compress(rows, verdicts))


def fits(pattern: Pattern, name: str) -> bool:
    """Whether the name matches. 400 for a pattern that takes too many steps, again and again."""
    if pattern.excesses > EXCESSES_MAX:
        raise bad_request(f"the regular expression takes more than {STEPS_MAX} steps for a name")
    return pattern.fits(name)


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
        choose(row, column.split("."), chosen)
    return chosen


def choose(row: dict[str, Any], path: list[str], chosen: dict[str, Any]) -> None:
    """Put what the row has at the path into `chosen`; of a list, each element's."""
    name, *within = path
    if name not in row:
        return
    value = row[name]
    if not within:
        chosen[name] = value
    elif isinstance(value, dict):
        choose(value, within, chosen.setdefault(name, {}))
    elif isinstance(value, list):
        parts = chosen.setdefault(name, [{} for _ in value])
        for each, part in zip(value, parts, strict=True):
            if isinstance(each, dict):
                choose(each, within, part)


def name_of_each(row: tuple[Any, Any]) -> str:
    """The name of a row of `every`."""
    name: str = row[1].name
    return name


def every(server: Any, kind: str) -> Iterator[tuple[Any, Any]]:
    """(vhost, queue or exchange) of every vhost; `kind`: "queues" or "exchanges". Safe while they come and go."""
    for vhost in list(server.broker.vhosts.values()):
        for each in list(getattr(vhost, kind).values()):
            yield vhost, each
