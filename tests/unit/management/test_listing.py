"""Listings: what is shaped, and in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from broker.management.listing import listing
from broker.management.replies import ApiError


@pytest.mark.parametrize(
    ("query", "shown", "shaped"),
    [
        ("page=1&page_size=2", ["b", "c"], 2),
        ("page=2&page_size=2", ["a"], 1),
        ("page=1&page_size=2&sort=name", ["a", "b"], 2),
        ("page=1&page_size=2&sort=name&sort_reverse=true", ["c", "b"], 2),
        ("page=1&page_size=2&name=b", ["b"], 1),
        ("page=1&page_size=2&name=[ac]&use_regex=true", ["c", "a"], 2),
        ("page=1&page_size=1&sort=length", ["a"], 4),  # which only the shape can tell, and nobody keeps all of them
    ],
)
async def test_only_what_a_page_shows_is_shaped(query: str, shown: list[str], shaped: int) -> None:
    made: list[str] = []

    def shape(name: str) -> dict[str, Any]:
        made.append(name)
        return {"name": name, "length": "bca".index(name) * -1}

    answered = await listing(make_mocked_request("GET", f"/api/queues?{query}"), ["b", "c", "a"], shape, str)

    assert isinstance(answered.body, bytes)
    assert [row["name"] for row in json.loads(answered.body)["items"]] == shown
    assert len(made) == shaped


async def test_a_filter_that_takes_too_many_steps_is_refused() -> None:
    names = ["a" * 60 + f"!{number}" for number in range(100)]

    asked = make_mocked_request("GET", "/api/queues?use_regex=true&name=^(a|aa)%2B$")

    with pytest.raises(ApiError, match="takes more than"):
        await listing(asked, names, lambda name: {"name": name}, str)
