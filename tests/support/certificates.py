"""Certificates for tests, made by the `openssl` command: authorities, and what they sign.

Owns one directory of PEM files that live for two days. Nothing here is fit for anything but tests.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates in `directory`, which it creates: `NAME.pem` with `NAME.key`; its own is `ca.pem`."""

    def __init__(self, directory: Path, name: str = "Test CA") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name}", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),  # without it Python 3.13 and later refuse
        )

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    def issue(
        self,
        name: str,
        subject: str | None = None,
        *,
        hosts: Sequence[str] = (),
        days: int = 2,
        others: Sequence[str] = (),
        here: bool = True,
    ) -> tuple[Path, Path]:
        """(certificate, key) for a server on 127.0.0.1 and `hosts`, or a client; the subject is `/CN=NAME` if not told.

        With negative `days` it has expired; with `here` false it is not for 127.0.0.1. `others`: further alternative
        names, such as `email:ann@example.org`.
        """
        own = (f"IP:{HOST}",) if here else ()
        names = ",".join((*own, *(f"DNS:{host}" for host in hosts), *others))
        (self.directory / f"{name}.ext").write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        self._openssl(
            *("req", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject or f"/CN={name}")
        )
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", str(days), "-extfile", f"{name}.ext"),
        )
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def server_context(self, own: tuple[Path, Path], *, wants_client: bool = False) -> ssl.SSLContext:
        """A server with this certificate; `wants_client`: clients must show one of this authority's."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certificate))
        context.load_cert_chain(*own)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """A client that trusts this authority and, if told, shows a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if own is not None:
            context.load_cert_chain(*own)
        return context
