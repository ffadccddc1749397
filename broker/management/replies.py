"""What the HTTP API answers: JSON, and errors in the shape and words of RabbitMQ's management API.

Owns the mapping from the core's refusals to HTTP. Knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from broker.core import errors

ENCODER = msgspec.json.Encoder(enc_hook=str)


class ApiError(Exception):
    """An answer that is no success. `error`: a word; `reason`: a sentence for people."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason


def bad_request(reason: str) -> ApiError:
    """400."""
    return ApiError(400, "bad_request", reason)


def not_found() -> ApiError:
    """404, in RabbitMQ's words: what is not there and what may not be seen look alike."""
    return ApiError(404, "Object Not Found", "Not Found")


def refused(reason: str) -> ApiError:
    """401: RabbitMQ says so to whoever lacks a right, too."""
    return ApiError(401, "not_authorised", reason)


def login_failed(reason: str) -> ApiError:
    """401 for who could not log in: RabbitMQ spells the word with a z here."""
    return ApiError(401, "not_authorized", reason)


def translated(error: errors.CoreError) -> ApiError:
    """The core's refusal as an HTTP status."""
    if isinstance(error, errors.NotFound | errors.InvalidPath):
        return not_found()
    if isinstance(error, errors.TooManyLogins):
        return ApiError(503, "unavailable", error.text)
    if isinstance(error, errors.AccessRefused):
        return refused(error.text)
    if isinstance(error, errors.NotAccepted):
        return ApiError(503, "unavailable", error.text)
    return bad_request(error.text)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body."""
    return web.Response(body=ENCODER.encode(value), status=status, headers=headers, content_type="application/json")


def error_answer(error: ApiError, challenge: bool = True) -> web.Response:
    """An ApiError as its answer. 401 asks for a login, but not a page's script: the browser would interrupt."""
    headers = {"WWW-Authenticate": 'Basic realm="Hubbub"'} if error.status == 401 and challenge else None
    return answer({"error": error.error, "reason": error.reason}, error.status, headers)


def no_content() -> web.Response:
    """204: done, nothing to say."""
    return web.Response(status=204)


def created(is_new: bool) -> web.Response:
    """201 for what is new, 204 for what was there."""
    return web.Response(status=201 if is_new else 204)
