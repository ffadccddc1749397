"""OAUTHBEARER, the server's side (RFC 7628): one message with a token.

    C: n,a=USER,^Aauth=Bearer TOKEN^A^A         (^A: octet 0x01; USER may be left out: the token says who it is)

Owns the message's syntax. Refuses to know tokens: `core.access` is asked with the token as the password. It keeps
nothing between calls, so the same message may come again while others are asked.

Deviation: a token that is refused is answered by the end of the connection (MQTT 5 §4.12), not by an error message that
the client acknowledges (RFC 7628 §3.2.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.core.errors import AccessRefused
from broker.mqtt.scram import unescaped

if TYPE_CHECKING:
    from broker.core.access import Access, User

MESSAGE_BYTES_MAX = 65_536
MESSAGE = re.compile(rb"n,(?:a=([^,]*))?,\x01((?:[A-Za-z]+=[^\x01]*\x01)*)\x01")
BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")


class OAuthBearer:
    """One login."""

    name = "OAUTHBEARER"

    def __init__(
        self,
        access: Access,
        peer_is_loopback: bool,
        peer: str = "",
        *,
        account: Callable[[str], str] = lambda name: name,
    ) -> None:
        """`account`: the user that is meant by the name given, such as `user` by `vhost:user`."""
        self.access = access
        self.peer_is_loopback = peer_is_loopback
        self.peer = peer
        self.account = account
        self.name_given = ""
        self.user: User | None = None

    def respond(self, message: bytes) -> bytes:
        """Nothing more is to be said: `user` is who was proven. Raises AccessRefused, Undecided."""
        found = MESSAGE.fullmatch(message) if len(message) <= MESSAGE_BYTES_MAX else None
        name = unescaped(found.group(1) or b"") if found is not None else None
        token = None
        if found is not None:
            pairs = dict(pair.split(b"=", 1) for pair in found.group(2).split(b"\1") if pair)
            token = BEARER.fullmatch(pairs.get(b"auth", b""))
        if name is None or token is None:
            raise AccessRefused("an OAUTHBEARER message is not one with a token")
        self.name_given = name
        user = self.access.authenticate(self.account(name), token.group(1), self.peer_is_loopback, self.peer)
        self.user = user
        return b""
