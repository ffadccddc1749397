"""What there is to ask: the OpenAPI document of the HTTP API, and a page of it for people.

Owns how a route becomes an operation: its parameters are the path's, its summary is its endpoint's docstring, its query
and answers follow from what kind it is. What a body holds, and answers that are not the rule, stand in
`reference_table`. Nothing is listed by hand: a route that is served is in the document.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from broker.management.reference_table import ANSWERS, BODIES, HISTORY_QUERY, LISTING_QUERY, SAMPLES_QUERY, SINGLE_QUERY
from broker.management.replies import answer
from broker.version import VERSION

PAGES = ("/api", "/api/index.html")
NO_LOGIN = ("/api/auth", "/api/index.html", "/api/hubbub/openapi.json")
PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
DESCRIPTIONS = {
    202: "It has begun.",
    200: "What was asked for.",
    201: "It is new.",
    204: "It is done.",
    400: "The request is wrong; `reason` says how.",
    401: "There is no such login, or the user has no right to do this.",
    404: "There is no such object, or the user may not see it.",
    413: "The body is too large.",
    500: "It did not work; `reason` says why.",
    503: "Not now: the check fails, or the store takes nothing.",
}
EVERYWHERE = (401,)
BY_METHOD = {"GET": (200, 400), "PUT": (201, 204, 400, 413, 503), "DELETE": (204, 400, 503), "POST": (400, 413, 503)}

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Hubbub: the HTTP API</title>
<style>
body {{ font-family: sans-serif; margin: 2em }}
td {{ padding: .2em 1em .2em 0; vertical-align: top }}
code {{ white-space: nowrap }}
</style>
</head><body><h1>The HTTP API</h1>
<p>The same for programs: <a href="/api/hubbub/openapi.json">openapi.json</a>.
A vhost is escaped in a path: <code>%2F</code>.</p>
<table>{rows}</table></body></html>
"""


class Reference:
    """Of all routes."""

    def __init__(self, routes: Sequence[web.RouteDef]) -> None:
        """`routes`: what is served below /api, besides the reference itself."""
        self.documented = [*routes, *self.routes()]

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/hubbub/openapi.json", self.document),
            web.get("/api/index.html", self.page),
            web.get("/api", self.page),
        ]

    async def document(self, request: web.Request) -> web.Response:
        """This document (OpenAPI 3.1)."""
        return answer(openapi(self.documented))

    async def page(self, request: web.Request) -> web.Response:
        """The paths, for people."""
        rows = "".join(
            f"<tr><td>{each.method}</td><td><code>{html.escape(plain_path(each.path))}</code></td>"
            f"<td>{html.escape(summary(each))}</td></tr>"
            for each in self.documented
        )
        return web.Response(text=PAGE.format(rows=rows), content_type="text/html")


def openapi(routes: Sequence[web.RouteDef]) -> dict[str, Any]:
    """The document. https://spec.openapis.org/oas/v3.1.0"""
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        paths.setdefault(plain_path(each.path), {})[each.method.lower()] = operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hubbub",
            "version": VERSION,
            "description": "RabbitMQ's management API; what RabbitMQ has no word for is below `/api/hubbub`.",
        },
        "paths": paths,
        "security": [{"basic": []}],
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {
                "error": {
                    "type": "object",
                    "required": ["error", "reason"],
                    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
                }
            },
        },
    }


def plain_path(path: str) -> str:
    """A route's path without the patterns of its parameters."""
    return PARAMETER.sub(r"{\1}", path)


def summary(route: web.RouteDef) -> str:
    """The first paragraph of the endpoint's docstring."""
    text = inspect.getdoc(route.handler) or ""
    return " ".join(text.partition("\n\n")[0].split())


def operation(route: web.RouteDef) -> dict[str, Any]:
    """One method of one path."""
    path, method = plain_path(route.path), route.method
    names = PARAMETER.findall(route.path)
    made: dict[str, Any] = {
        "operationId": operation_id(method, path),
        "summary": summary(route),
        "parameters": [*map(path_parameter, names), *queried(method, path)],
        "responses": {str(status): response(status, path) for status in statuses(method, path, bool(names))},
    }
    body = body_of(method, path, route)
    if body is not None:
        made["requestBody"] = {
            "required": bool(body.get("required")),
            "content": {"application/json": {"schema": body}},
        }
    if path in NO_LOGIN or path == "/api":
        made["security"] = []
    return made


def body_of(method: str, path: str, route: web.RouteDef) -> dict[str, Any] | None:
    """What the body holds: by the table, or an object of which the docstring speaks."""
    if method in ("PUT", "POST") and (method, path) not in BODIES and "`{" in summary(route):
        return {"type": "object", "description": summary(route)}
    return BODIES.get((method, path))


def operation_id(method: str, path: str) -> str:
    """`get_api_queues_vhost_name`"""
    return "_".join([method.lower(), *re.findall(r"\w+", path.replace("-", "_").replace(".", "_"))])


def path_parameter(name: str) -> dict[str, Any]:
    """A name in a path; escaped, so that it may hold slashes."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def queried(method: str, path: str) -> list[dict[str, Any]]:
    """What the query may hold."""
    if method != "GET":
        return []
    asked = LISTING_QUERY if is_listing(path) else SINGLE_QUERY
    asked = HISTORY_QUERY if path.startswith("/api/hubbub/history") else {**asked, **SAMPLES_QUERY}
    return [{"name": name, "in": "query", "schema": schema} for name, schema in asked.items()]


def is_listing(path: str) -> bool:
    """A path of many objects: it ends in their kind, or in the vhost that they are in."""
    return path.endswith(("s", "{vhost}")) and "definitions" not in path and "checks" not in path


def statuses(method: str, path: str, is_named: bool) -> list[int]:
    """What may be answered."""
    own = ANSWERS.get((method, path), ())
    usual = BY_METHOD[method]
    if method == "POST" and not any(status < 300 for status in own):
        usual = (200, 201, 202, 204, *usual)
    if method == "GET" and is_check(path):
        usual = (*usual, 503)
    return sorted({*usual, *own, *EVERYWHERE, *((404,) if is_named else ())})


def is_check(path: str) -> bool:
    """Whether a path asks for the broker's health: that it is not well is an answer."""
    return "/health/" in path or "/healthchecks/" in path or "aliveness" in path


def response(status: int, path: str) -> dict[str, Any]:
    """An answer of that status."""
    made: dict[str, Any] = {"description": DESCRIPTIONS[status]}
    if status == 200:
        made["content"] = {"text/html" if path in PAGES else "application/json": {}}
    elif status == 503 and is_check(path):
        made["content"] = {"application/json": {"schema": {"type": "object", "required": ["status", "reason"]}}}
    elif status not in (201, 204):
        made["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    return made
