"""What the HTTP API answers: JSON, and errors in the shape and words of RabbitMQ's management API.

Owns the mapping from the core's refusals to HTTP. Knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from broker.core import errors

AS_OF_NOW = {"Cache-Control": "no-cache"}
"""Nobody keeps an answer for later: it is true now."""
ENCODER = msgspec.json.Encoder(enc_hook=str)


class ApiError(Exception):
    """An answer that is no success. `error`: a word; `reason`: a sentence for people. RabbitMQ's, where it has one.

    `detail`: what can be said beyond that; it stands under `hubbub`, and in the exception's text.
    """

    def __init__(self, status: int, error: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.status = status
        self.error = error
        self.reason = reason
        self.detail = detail


class LoginError(ApiError):
    """401 for who is not logged in: it asks for a login."""


def bad_request(reason: str, detail: str = "") -> ApiError:
    """400."""
    return ApiError(400, "bad_request", reason, detail)


def not_found() -> ApiError:
    """404, in RabbitMQ's words: what is not there and what may not be seen look alike."""
    return ApiError(404, "Object Not Found", "Not Found")


def nothing_there(reason: str) -> ApiError:
    """404 for a change that names something that is not there: RabbitMQ says what."""
    return ApiError(404, "not_found", reason)


def refused(reason: str, detail: str = "") -> ApiError:
    """401: RabbitMQ says so to whoever lacks a right, too."""
    return ApiError(401, "not_authorised", reason, detail)


def access_refused(detail: str) -> ApiError:
    """401 for what AMQP would refuse as well: RabbitMQ's words, and what was refused."""
    return refused("Access refused.", detail)


def login_failed(reason: str) -> ApiError:
    """401 for who could not log in: RabbitMQ spells the word with a z here."""
    return LoginError(401, "not_authorized", reason)


def login_missing(reason: str) -> ApiError:
    """401 for who has not said who it is."""
    return LoginError(401, "not_authorised", reason)


def translated(error: errors.CoreError) -> ApiError:
    """The core's refusal as an HTTP status."""
    if isinstance(error, errors.NotFound | errors.InvalidPath):
        return not_found()
    if isinstance(error, errors.TooManyLogins):
        return ApiError(503, "unavailable", error.text)
    if isinstance(error, errors.AccessRefused):
        return access_refused(error.text)
    if isinstance(error, errors.NotAccepted):
        return ApiError(503, "unavailable", error.text)
    return bad_request(error.text)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body."""
    if status < 400:
        headers = {**AS_OF_NOW, **(headers or {})}
    return web.Response(body=ENCODER.encode(value), status=status, headers=headers, content_type="application/json")


def error_answer(error: ApiError, challenge: bool = True) -> web.Response:
    """An ApiError as its answer. A login is asked for, but not of a page's script: the browser would interrupt."""
    headers = {"WWW-Authenticate": 'Basic realm="Hubbub"'} if isinstance(error, LoginError) and challenge else None
    said: dict[str, Any] = {"error": error.error, "reason": error.reason}
    if error.detail:
        said["hubbub"] = {"detail": error.detail}
    return answer(said, error.status, headers)


def no_content() -> web.Response:
    """204: done, nothing to say."""
    return web.Response(status=204)


def created(is_new: bool) -> web.Response:
    """201 for what is new, 204 for what was there."""
    return web.Response(status=201 if is_new else 204)
