"""The TLS of our listeners.

Owns turning file names into an `ssl.SSLContext`: TLS 1.2 or later, our certificate, whether clients must show theirs.
"""

from __future__ import annotations

import ssl
from typing import Literal

Verify = Literal["none", "optional", "required"]

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class TlsError(Exception):
    """A certificate, key or authority cannot be used. The text names the file."""


def server_context(certificate: str, key: str, ca: str | None = None, verify: Verify = "none") -> ssl.SSLContext:
    """A context for listeners from paths of PEM files; `ca` signs the clients' certificates. TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"certificate {certificate} with key {key} cannot be used: {error}") from None
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"authority {ca} cannot be used: {error}") from None
    context.verify_mode = _VERIFY[verify]
    return context
