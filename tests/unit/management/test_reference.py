"""The OpenAPI document: made of the routes, so that it has all of them, and true of what is answered."""

from __future__ import annotations

import inspect
import re
from typing import Any

from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from broker.management.app import SLASHES, Management
from broker.management.reference import plain_path
from tests.unit.management.conftest import Api, Client, ObservedCore


def endpoints(server: ObservedCore) -> list[tuple[str, str, Any]]:
    """Methods, paths below /api and what answers, as the router has them."""
    application = Management(server).api()
    return [
        (route.method, plain_path(resource.canonical.removesuffix("{_}")), route.handler)
        for resource in application.router.resources()
        if isinstance(resource, web.Resource) and resource.canonical.startswith("/api")
        for route in resource
        if route.method != "HEAD"
    ]


async def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = await api.get("/api/hubbub/openapi.json")
    return found


async def test_every_route_is_in_the_document_with_its_parameters_and_answers(api: Api, server: ObservedCore) -> None:
    paths = (await document(api))["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}

    assert documented == {(method, path) for method, path, _ in endpoints(server)}
    assert len(documented) > 100
    for path, methods in paths.items():
        for method, operation in methods.items():
            names = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert names == re.findall(r"{(\w+)}", path), path
            assert operation["summary"], f"{method} {path} has no docstring"
            assert operation["responses"].keys() & {"200", "201", "202", "204"}, path


async def test_whatever_reads_a_body_says_which(api: Api, server: ObservedCore) -> None:
    """By `reference_table`, or by a docstring that begins with the object."""
    paths = (await document(api))["paths"]
    for method, path, handler in endpoints(server):
        if "body_of(" in inspect.getsource(handler):
            body = paths[path][method.lower()].get("requestBody")
            assert body is not None, f"{method} {path}: tell its body in reference_table"


async def test_the_document_is_openapi(api: Api) -> None:
    assert list(OpenAPIV31SpecValidator(await document(api)).iter_errors()) == []


async def test_what_there_is_to_ask_needs_no_login(client: Client) -> None:
    for path in ("/api/hubbub/openapi.json", "/api/index.html", "/api", "/api/"):
        answer = await client.get(path)
        assert answer.status == 200
        assert "queues/{vhost}/{name}/get" in await answer.text()
    assert SLASHES not in await (await client.get("/api/index.html")).text()
