"""The HTTP request that becomes a WebSocket (RFC 6455 §4.2), and what is answered.

Owns reading the request, what makes it acceptable, and the responses. Refuses to know what is carried: paths come with
the names of their subprotocols.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class RefusedError(Exception):
    """The request does not become a WebSocket: an HTTP status, and a sentence for people."""

    def __init__(self, status: int, text: str, headers: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = tuple(headers)


class Request(NamedTuple):
    """What was asked for. `headers`: by their names in small letters; several of one name are joined by commas."""

    method: str
    path: str
    headers: dict[str, str]

    def tokens(self, name: str) -> list[str]:
        """The parts of a header that is a list, as they came."""
        return [part.strip() for part in self.headers.get(name, "").split(",") if part.strip()]


def parse_request(head: bytes) -> Request:
    """The request line and headers, up to the empty line (RFC 9112 §3, §5). RefusedError."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/"):
        raise RefusedError(400, "expected a request of HTTP/1.1")
    method, target, version = parts
    if method != "GET":
        raise RefusedError(405, "expected GET", ["Allow: GET"])
    if version != "HTTP/1.1":
        raise RefusedError(505, "expected HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        if not line:
            break
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise RefusedError(400, "a header is malformed")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(method, target.partition("?")[0], headers)


def check_upgrade(request: Request) -> None:
    """What RFC 6455 §4.2.1 wants of the request. RefusedError."""
    if "host" not in request.headers:
        raise RefusedError(400, "expected the header Host")
    upgrades = "websocket" in (token.lower() for token in request.tokens("upgrade"))
    if not upgrades or "upgrade" not in (token.lower() for token in request.tokens("connection")):
        raise RefusedError(426, "expected an upgrade to a WebSocket", ["Upgrade: websocket"])
    if request.headers.get("sec-websocket-version") != VERSION:
        raise RefusedError(426, f"expected version {VERSION} of the protocol", [f"Sec-WebSocket-Version: {VERSION}"])
    try:
        key = base64.b64decode(request.headers.get("sec-websocket-key", ""), validate=True)
    except ValueError:  # not base64, or not ASCII
        key = b""
    if len(key) != 16:
        raise RefusedError(400, "expected Sec-WebSocket-Key with the base64 of 16 octets")


def check_origin(request: Request, allowed: frozenset[str]) -> None:
    """A browser says which page it is that wants to connect (§10.2); other clients need not. RefusedError."""
    origin = request.headers.get("origin")
    if allowed and origin is not None and origin.lower() not in allowed:
        raise RefusedError(403, f"pages of {origin} may not connect")


def choose_subprotocol(request: Request, known: tuple[str, ...], *, is_optional: bool) -> str:
    """The first one offered that the path knows; "" where none is offered and none is needed. RefusedError."""
    offered = request.tokens("sec-websocket-protocol")
    for name in offered:
        if name in known:
            return name
    if offered or not is_optional:
        raise RefusedError(400, f"expected one of the subprotocols {', '.join(known)}")
    return ""


def offers_deflate(request: Request) -> bool:
    """Whether an offer of permessage-deflate can be met, without context takeover either way (RFC 7692 §7.1)."""
    for offer in request.tokens("sec-websocket-extensions"):
        name, *parameters = (part.strip() for part in offer.split(";"))
        names = [parameter.partition("=")[0].strip() for parameter in parameters]
        known = {"server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"}
        # A smaller window for what we send is a wish that zlib's raw streams cannot always meet: declined.
        if name == "permessage-deflate" and set(names) <= known and len(set(names)) == len(names):
            return True
    return False


def acceptance(request: Request, subprotocol: str, *, deflates: bool) -> bytes:
    """The response that makes it a WebSocket (§4.2.2)."""
    digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + GUID, usedforsecurity=False).digest()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if deflates:
        lines.append(
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def refusal(error: RefusedError) -> bytes:
    """The response that ends it."""
    body = f"{error.text}\n".encode()
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        *error.headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body
