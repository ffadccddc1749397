"""What the broker keeps of a password so that SCRAM-SHA-256 can check it (RFC 5802 §3, RFC 7677): keys, no password.

Owns how a verifier is derived and whether a proof fits it. Refuses to know users, messages and who asks.

Deviation: of SASLprep (RFC 4013) only the normalization is done, and no character is prohibited.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from typing import NamedTuple

ITERATIONS = 15_000
"""Of PBKDF2: RFC 7677 asks for 4096 at least. A client pays it at every login, the broker when a password is set."""
SALT_BYTES = 16


class Verifier(NamedTuple):
    """One user's, as it is stored."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def is_proven(self, auth_message: bytes, proof: bytes) -> bool:
        """Whether who made the proof knows the password (RFC 5802 §3)."""
        signature = digest(self.stored_key, auth_message)
        if len(proof) != len(signature):
            return False
        client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self.stored_key)

    def server_signature(self, auth_message: bytes) -> bytes:
        """By which a client knows that the server knows the password too."""
        return digest(self.server_key, auth_message)


def digest(key: bytes, content: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.new(key, content, hashlib.sha256).digest()


def normalized(password: bytes) -> bytes:
    """A password as both sides write it (RFC 4013 §2.2); one that is not UTF-8 as it is."""
    try:
        return unicodedata.normalize("NFKC", password.decode()).encode()
    except UnicodeDecodeError:
        return password


def derive(password: bytes, iterations: int = ITERATIONS, salt: bytes | None = None) -> Verifier:
    """The verifier of a password, with a salt of its own unless one is given."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", normalized(password), salt, iterations)
    return Verifier(
        salt, iterations, hashlib.sha256(digest(salted, b"Client Key")).digest(), digest(salted, b"Server Key")
    )


def of_nobody(name: str, iterations: int, key: bytes) -> Verifier:
    """For a user who does not exist or has no verifier: always the same for a name, and never proven."""
    seed = digest(key, name.encode("utf-8", "replace"))
    return Verifier(seed[:SALT_BYTES], iterations, secrets.token_bytes(32), secrets.token_bytes(32))
