"""Requests that change something, told as events: who asked for what, from where, and what came of it.

Owns which requests are told: all but those that only look, and publishing and `explain`, which change no object.
Refuses to know who listens (`core.events`): mostly the audit log. The objects' own events say what has changed; these
tell of what was refused, too, and of what has no event: a reload, a backup, a connection closed, messages taken.

Invariant: no body is in them, and of the path the names alone, so that no password is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.core.errors import CoreError
from broker.core.events import Events
from broker.management.replies import ApiError, translated

LOOKS = {"GET", "HEAD", "OPTIONS"}
UNTOLD = ("/publish", "/explain")
WITHHELD = {"_", "password"}
"""Of what a path names."""


async def tell_what_comes_of(
    events: Events,
    request: web.Request,
    peer: str,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """The answer to the request, and the event `api.changed` or `api.refused`."""
    resource = request.match_info.route.resource
    path = resource.canonical.removesuffix("{_}") if resource is not None else ""
    if request.method in LOOKS or path.endswith(UNTOLD):
        return await handler(request)
    about = {name: value for name, value in request.match_info.items() if name not in WITHHELD}
    said = {"peer_host": peer, "method": request.method, "path": path, "about": about}
    try:
        answered = await handler(request)
    except (ApiError, CoreError) as error:
        refusal = error if isinstance(error, ApiError) else translated(error)
        events.tell("api.refused", **said, status=refusal.status)
        raise
    events.tell("api.changed" if answered.status < 400 else "api.refused", **said, status=answered.status)
    return answered
