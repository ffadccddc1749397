"""Pages of metrics in the form that is asked for: text or OpenMetrics, gzip or not, HEAD; other methods are refused."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from broker.management.negotiated import prefers_openmetrics, takes_gzip
from tests.support.peer import Peer
from tests.unit.management.conftest import Client, ObservedCore, login
from tests.unit.management.test_scrapes import PAGES

PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;q=0", False),
        ("text/plain, application/openmetrics-text", False),
        ("application/openmetrics-text;q=much, application/json", False),
        ("APPLICATION/OpenMetrics-Text ; Q=1, text/plain;q=0.9", True),
    ],
)
def test_openmetrics_is_for_who_likes_it_better_than_text(accept: str, openmetrics: bool) -> None:
    assert prefers_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("coding", "taken"), [("", False), ("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True)]
)
def test_gzip_is_for_who_takes_it(coding: str, taken: bool) -> None:
    assert takes_gzip(coding) is taken


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("path", PAGES, ids=["sums", "per object", "detailed"])
async def test_openmetrics_says_the_same_as_text(client: Client, server: ObservedCore, peer: Peer, path: str) -> None:
    peer.declare("q")
    peer.publish("q", b"m")
    text = await (await client.get(path, headers=login())).text()
    answer = await client.get(path, headers={**login(), "Accept": PROMETHEUS})
    openmetrics = await answer.text()

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))) for family in parse_text(text) for sample in family.samples
    }
    again = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in parse_openmetrics(openmetrics)
        for sample in family.samples
    }
    assert {name for name, _ in samples} == {name for name, _ in again}
    assert len(again) == len(samples)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_page_is_compressed_where_that_is_wanted(client: Client) -> None:
    async with client.get("/metrics", headers={**login(), "Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        plain = await answer.read()
    async with client.get("/metrics", headers={**login(), "Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) < len(plain) / 4
        names = [line for line in (await answer.read()).splitlines() if line.startswith(b"# TYPE")]  # unpacked
    assert names == [line for line in plain.splitlines() if line.startswith(b"# TYPE")]


@pytest.mark.asyncio(loop_scope="function")
async def test_head_is_answered_and_other_methods_are_not_allowed(client: Client) -> None:
    answer = await client.head("/metrics", headers=login())
    assert (answer.status, await answer.read()) == (200, b"")
    for method in ("POST", "PUT", "DELETE"):
        answer = await client.request(method, "/metrics", headers=login())
        assert answer.status == 405
        assert answer.headers["Allow"] == "HEAD, GET, OPTIONS"
