"""What a request asks, and for whom: the user and what it may see, the vhost and names of the path, the JSON body.

Owns RabbitMQ's rules of user tags. Raises ApiError for whatever is missing, of the wrong type, or not for this user.

    administrator ─ everything      monitoring ─ sees everything      policymaker ─ policies of its vhosts
    management ─ its own vhosts and connections      (none of these) ─ may not log in here
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from broker.core.access import User
from broker.core.topic_access import TopicRightsOf
from broker.management.observed import ObservedServer
from broker.management.replies import ApiError, access_refused, bad_request, not_found, nothing_there, refused

ADMINISTRATOR, MONITORING, POLICYMAKER, MANAGEMENT = "administrator", "monitoring", "policymaker", "management"
MAY_LOG_IN = {ADMINISTRATOR, MONITORING, POLICYMAKER, MANAGEMENT}
SEES_ALL = {ADMINISTRATOR, MONITORING}
SETS_POLICIES = {ADMINISTRATOR, POLICYMAKER}
NOT_ONE_OF = {frozenset({ADMINISTRATOR}): "Not administrator user", frozenset(SEES_ALL): "Not monitor user"}
"""RabbitMQ's words for who lacks a tag."""

USER = web.RequestKey("user", User)
"""Where the login leaves the user in a request."""

DIGITS_MAX = 18

MISSING: Any = object()


def refuse_forms(request: web.Request) -> None:
    """415 for what is compressed, and for a POST that a form of any other page could send with the operator's login.

    A browser names its page (Origin) and lets no foreign page send JSON without asking first (CORS); nothing allows it.
    """
    if "Content-Encoding" in request.headers:
        raise ApiError(415, "unsupported_media_type", "expected a body that is not compressed")
    if request.method == "POST" and "Origin" in request.headers and request.content_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "expected application/json from a browser")


def user_of(request: web.Request) -> User:
    """Who asks."""
    user: User = request[USER]
    return user


def has_tag(user: User, tags: set[str]) -> bool:
    """One of the tags is enough."""
    return not tags.isdisjoint(user.tags)


def require(request: web.Request, tags: set[str]) -> User:
    """The user, if it has one of the tags."""
    user = user_of(request)
    if not has_tag(user, tags):
        raise refused(NOT_ONE_OF.get(frozenset(tags), "User not authorised to access object"))
    return user


def sees_vhost(user: User, vhost: str) -> bool:
    """Whether the user's listings hold what is in the vhost."""
    return has_tag(user, SEES_ALL) or user.may_access(vhost)


def vhost_of(server: ObservedServer, request: web.Request) -> Any:
    """The vhost that the path names; 404 where there is none, 401 where the user has no business in it."""
    name = request.match_info["vhost"]
    vhost = server.broker.vhosts.get(name)
    if vhost is None:
        raise nothing_there("vhost_not_found") if request.method in ("PUT", "POST") else not_found()
    if not sees_vhost(user_of(request), name):
        raise refused("User not authorised to access virtual host")
    return vhost


def acting_in(server: ObservedServer, request: web.Request) -> Any:
    """The vhost that the path names, for a change: the user must have permissions there, whatever its tags."""
    vhost = vhost_of(server, request)
    if not user_of(request).may_access(vhost.name):
        raise refused("User not authorised to access virtual host")
    return vhost


def check_right(request: web.Request, vhost: str, verb: str, what: str, name: str) -> None:
    """As over AMQP: configure, write or read on a queue or exchange."""
    user = user_of(request)
    if not user.may(vhost, verb, name, what):
        raise access_refused(f"access to {what} '{name}' in vhost '{vhost}' refused for user '{user.name}'")


def topic_rights(server: ObservedServer, request: web.Request, vhost: Any) -> TopicRightsOf:
    """What the user may by topic at the vhost's exchanges."""
    return TopicRightsOf(server.broker.access.topics, user_of(request), vhost)


NOT_JSON = "not_json"


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of the body; an empty body is an empty object."""
    return object_of(await text_of(request))


async def text_of(request: web.Request, word: str = NOT_JSON) -> str:
    """The body's text; an empty one is that of an empty object. `word`: the reason where it is none."""
    try:
        text = await request.text()
    except (ValueError, LookupError) as error:  # not UTF-8, no such charset
        raise bad_request(word, str(error)) from None
    return text if text and not text.isspace() else "{}"


def decoded(text: str | msgspec.Raw, shape: Any = Any, word: str = NOT_JSON) -> Any:
    """What JSON says; every string in it can be written as UTF-8. ValidationError where it is not of the shape."""
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as error:
        if shape is not Any:
            raise
        raise bad_request(word, str(error)) from None  # a number that none can be
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise bad_request(word, str(error)) from None


def object_of(text: str, word: str = NOT_JSON) -> dict[str, Any]:
    """The JSON object that a text is."""
    value = decoded(text, word=word)
    if isinstance(value, str):
        raise bad_request(
            "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"
        )
    if not isinstance(value, dict):
        raise bad_request(word, f"expected an object, got {kind(value)}")
    return value


def needs(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """The body, if it has all these fields; what is missing is named in RabbitMQ's way."""
    missing = [f"{{key_missing,{name}}}" for name in names if name not in body]
    if missing:
        raise bad_request(f"[{','.join(missing)}]")
    return body


def field(body: dict[str, Any], name: str, expected: type | tuple[type, ...], default: Any = MISSING) -> Any:
    """A field of the body, of the expected type; `default` where it is missing or null, if there is one."""
    value = body.get(name, MISSING)
    if value is MISSING or (value is None and default is not MISSING):
        if default is MISSING:
            raise bad_request(f"[{{key_missing,{name}}}]")
        return default
    types = expected if isinstance(expected, tuple) else (expected,)
    if isinstance(value, bool) and bool not in types:
        raise bad_request(f"{name}: expected {words(types)}, got a boolean")
    if not isinstance(value, types):
        raise bad_request(f"{name}: expected {words(types)}, got {kind(value)}")
    return value


def number(body: dict[str, Any], name: str, default: Any = MISSING) -> Any:
    """A whole number of the body. RabbitMQ takes "5" as well, and rabbitmqadmin sends it so."""
    value = body.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
        return int(value)
    return field(body, name, int, default)


def flag(body: dict[str, Any], name: str) -> bool:
    """A truth value; false where it is missing. RabbitMQ takes "true" as well, but not null."""
    value = body.get(name, False)
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise bad_request(f"{name}: expected a boolean, got {kind(value)}")


def number_of(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A number in the query."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise bad_request(f"{name}: expected an integer, got '{text}'") from None
    if not least <= value <= most:
        raise bad_request(f"{name}: expected {least} to {most}, got {value}")
    return value


def words(types: tuple[type, ...]) -> str:
    """Types for people."""
    return " or ".join(NAMES[each] for each in types)


def kind(value: object) -> str:
    """A JSON value's type for people."""
    return NAMES.get(type(value), "null")


NAMES: dict[type, str] = {
    bool: "a boolean", int: "an integer", float: "a number", str: "a string", dict: "an object", list: "a list",
}  # fmt: skip
