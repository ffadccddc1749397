"""An authorization server for tests: keys, a JSON Web Key Set over HTTP, and tokens.

Owns what it signs with, and which of its keys it shows. Needs the extra `hubbub[oauth]`, as the tests have it.
"""

from __future__ import annotations

import json
import ssl
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.authentication_service import AuthenticationService


class AuthorizationServer:
    """Shows the keys in `shown`, by their identifiers; signs with any that it ever made."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: the server's side, for `https`."""
        self.private: dict[str, Any] = {}
        self.shown: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.web = AuthenticationService(self.answer, tls)

    @property
    def url(self) -> str:
        return f"{self.web.url}/keys"

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, str]:
        return self.status, json.dumps({"keys": list(self.shown.values())})

    def make_key(self, key_id: str, algorithm: str = "RS256", **changes: Any) -> None:
        """A new key, shown from now on."""
        if algorithm.startswith("ES"):
            private: Any = ec.generate_private_key(ec.SECP256R1())
            shown = json.loads(ECAlgorithm.to_jwk(private.public_key()))
        else:
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            shown = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
        self.private[key_id] = private
        self.shown[key_id] = {**shown, "kid": key_id, "use": "sig", "alg": algorithm, **changes}

    def token(self, claims: dict[str, Any], key_id: str = "one", algorithm: str = "RS256") -> str:
        return jwt.encode(claims, self.private[key_id], algorithm, headers={"kid": key_id})

    def close(self) -> None:
        self.web.close()
