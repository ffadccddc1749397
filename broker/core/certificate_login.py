"""Which of the names in a client's certificate is the user's.

Owns reading a decoded certificate (`ssl.SSLSocket.getpeercert`). Refuses to know TLS, and whether the certificate was
verified: one that was not has no decoded form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.core.errors import AccessRefused

COMMON_NAME = "common_name"
ALTERNATIVE_NAMES = {"dns": "DNS", "email": "email", "uri": "URI"}
"""Kinds of subject alternative names (RFC 5280 §4.2.1.6), by the words of the setting."""


def name_in(certificate: Mapping[str, Any] | None, kind: str) -> str:
    """The first name of the kind: COMMON_NAME, or one of ALTERNATIVE_NAMES. Raises AccessRefused without one."""
    if not certificate:
        raise AccessRefused("EXTERNAL without a client certificate")
    if kind == COMMON_NAME:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        if not names:
            raise AccessRefused("the client certificate has no common name")
    else:
        names = [value for key, value in certificate.get("subjectAltName", ()) if key == ALTERNATIVE_NAMES[kind]]
        if not names:
            raise AccessRefused(f"the client certificate has no alternative name of the kind {kind}")
    return str(names[0])
