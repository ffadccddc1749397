"""SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677): three messages in, two out, no socket.

Owns the messages' syntax and their order. Refuses to know packets, and users beyond what `core.access` says of them.

    C: n,,n=USER,r=NONCE            S: r=NONCE+NONCE,s=SALT,i=ITERATIONS
    C: c=biws,r=NONCE+NONCE,p=PROOF S: v=SIGNATURE

There is no channel binding (SCRAM-SHA-256-PLUS is not offered), and nobody may act as somebody else.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.core.errors import AccessRefused

if TYPE_CHECKING:
    from broker.core.access import Access, User
    from broker.core.scram_verifier import Verifier

MESSAGE_BYTES_MAX = 4_096
NONCE_BYTES = 18


class ScramServer:
    """One login. `respond` twice; then `user` is who was proven."""

    name = "SCRAM-SHA-256"

    def __init__(
        self,
        access: Access,
        peer_is_loopback: bool,
        peer: str = "",
        *,
        account: Callable[[str], str] = lambda name: name,
        nonce: str | None = None,
    ) -> None:
        """`account`: the user that is meant by the name given, such as `user` by `vhost:user`; `nonce`: ours."""
        self.access = access
        self.peer_is_loopback = peer_is_loopback
        self.peer = peer
        self.account = account
        self.nonce = nonce or base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode()
        self.name_given = ""
        self.user: User | None = None
        self.verifier: Verifier | None = None
        self.header = b""
        self.first_messages = b""
        self.is_over = False

    def respond(self, message: bytes) -> bytes:
        """Our answer to the client's first or last message. Raises AccessRefused, and then the login is over."""
        over, self.is_over = self.is_over, True
        if over or len(message) > MESSAGE_BYTES_MAX:
            raise self.malformed("a SCRAM message too many, or too long")
        if self.verifier is None:
            answer = self.on_first(message)
            self.is_over = False
            return answer
        return self.on_final(message, self.verifier)

    def malformed(self, text: str) -> AccessRefused:
        """Counted as any other login that failed."""
        self.access.refusal(self.account(self.name_given), self.peer)
        return AccessRefused(text)

    def on_first(self, message: bytes) -> bytes:
        """client-first-message (RFC 5802 §7)."""
        parts = message.split(b",")
        if len(parts) < 4 or parts[0] not in (b"n", b"y"):  # 'p': channel binding, which only PLUS has
            raise self.malformed("the first SCRAM message is not one without channel binding")
        authorized, named, nonce = parts[1], attribute(parts[2], b"n"), attribute(parts[3], b"r")
        if not named or not is_nonce(nonce):  # also where m= comes first: an extension that must be understood
            raise self.malformed("the first SCRAM message lacks name or nonce")
        name = unescaped(named)
        if name is None or (authorized and authorized != b"a=" + named):
            raise self.malformed("the name of a SCRAM message cannot be read, or is not who is to be authorized")
        self.name_given = name
        verifier = self.access.verifier(self.account(name), self.peer)
        self.header = parts[0] + b"," + authorized + b","
        self.nonce = nonce.decode() + self.nonce
        salt = base64.b64encode(verifier.salt).decode()
        answer = f"r={self.nonce},s={salt},i={verifier.iterations}".encode()
        self.first_messages = message[len(self.header) :] + b"," + answer
        self.verifier = verifier
        return answer

    def on_final(self, message: bytes, verifier: Verifier) -> bytes:
        """client-final-message (RFC 5802 §7)."""
        without_proof, comma, proof = message.rpartition(b",p=")
        parts = without_proof.split(b",")
        if not comma or len(parts) < 2 or attribute(parts[1], b"r") != self.nonce.encode():
            raise self.malformed("the last SCRAM message lacks nonce or proof")
        if decoded(attribute(parts[0], b"c")) != self.header:
            raise self.malformed("the last SCRAM message is bound to another channel")
        auth_message = self.first_messages + b"," + without_proof
        is_proven = verifier.is_proven(auth_message, decoded(proof) or b"")
        self.user = self.access.admit_proven(
            self.account(self.name_given), verifier, is_proven, self.peer_is_loopback, self.peer
        )
        return b"v=" + base64.b64encode(verifier.server_signature(auth_message))


def attribute(part: bytes, letter: bytes) -> bytes:
    """The value of `letter=value`; empty where the part is something else."""
    return part[2:] if part[:2] == letter + b"=" else b""


def is_nonce(nonce: bytes) -> bool:
    """Printable ASCII without a comma, and not empty (RFC 5802 §7)."""
    return bool(nonce) and all(0x21 <= octet <= 0x7E for octet in nonce)


def unescaped(name: bytes) -> str | None:
    """A saslname: ',' is '=2C' and '=' is '=3D'; None where '=' stands for something else."""
    rest = name.replace(b"=2C", b"").replace(b"=3D", b"")
    if b"=" in rest:
        return None
    try:
        return name.replace(b"=2C", b",").replace(b"=3D", b"=").decode()
    except UnicodeDecodeError:
        return None


def decoded(content: bytes) -> bytes | None:
    """Base64, or None where it is none."""
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
