"""The TLS of our listeners: which certificate a client is shown, and what is asked of it.

Owns turning file names into `ssl.SSLContext`s, choosing among several certificates by the name that the client asks
for (SNI, RFC 6066 §3), and taking new files into use while the broker runs. Refuses to know who listens, and when to
look at the files again.

Invariants: listeners hold one context for as long as they live, and each handshake is given the certificate, key and
authority that are in force then; files that cannot be used change nothing, and are told of once.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verify = Literal["none", "optional", "required"]
Version = Literal["1.2", "1.3"]

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` does not name: an expired certificate is still to be read."""

log = logging.getLogger("hubbub.net")


class TlsError(Exception):
    """A certificate, key or authority cannot be used. The text names the file."""


@dataclass(frozen=True)
class CertificateFiles:
    """PEM files. `names`: the host names it is shown for; none: those in the certificate."""

    certificate: str
    key: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A certificate in force. `names` in small letters, `*.example.org` among them; `expires_at` since 1970."""

    files: CertificateFiles
    context: ssl.SSLContext
    names: tuple[str, ...]
    expires_at: float


def server_context(
    certificate: str, key: str, ca: str | None = None, verify: Verify = "none", minimum_version: Version = "1.2"
) -> ssl.SSLContext:
    """A context for listeners from paths of PEM files; `ca` signs the clients' certificates. TlsError."""
    context = _bare_context(verify, minimum_version)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"certificate {certificate} with key {key} cannot be used: {error}") from None
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"authority {ca} cannot be used: {error}") from None
    return context


def _bare_context(verify: Verify, minimum_version: Version) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _demand(context, verify, minimum_version)
    return context


def _demand(context: ssl.SSLContext, verify: Verify, minimum_version: Version) -> None:
    context.minimum_version = _VERSIONS[minimum_version]
    context.verify_mode = _VERIFY[verify]
    if verify != "none":
        # A resumed session keeps the client's certificate as it was verified, perhaps by an authority that has gone.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET


class Certificates:
    """The certificates of all TLS listeners; the first is shown to whoever asks for no name, or for an unknown one."""

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        ca: str | None = None,
        verify: Verify = "none",
        minimum_version: Version = "1.2",
    ) -> None:
        """Reads them. TlsError."""
        self.files = tuple(files)
        self.ca = ca
        self.verify = verify
        self.minimum_version = minimum_version
        self.reloads: dict[str, int] = {"done": 0, "refused": 0}
        """How often changed files were taken into use, or could not be."""
        self._seen = self._state_of_files()
        self._use(self._load())
        self.context = _bare_context(verify, minimum_version)
        """What listeners hold for as long as they live; it has no certificate of its own."""
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Read the files again if one of them has changed. Costs a `stat` of each."""
        if self._state_of_files() != self._seen:
            self.reload()

    def reload(self) -> bool:
        """Read the files again; whether they are in use now. Where one is broken, what was in force stays."""
        self._seen = self._state_of_files()
        try:
            loaded = self._load()
        except TlsError as error:
            self.reloads["refused"] += 1
            log.error("the certificates stay as they were: %s", error)
            return False
        self._use(loaded)
        self.reloads["done"] += 1
        log.info("certificates are read anew", extra={"certificates": len(loaded)})
        return True

    def change(
        self,
        files: Sequence[CertificateFiles],
        ca: str | None = None,
        verify: Verify = "none",
        minimum_version: Version = "1.2",
    ) -> None:
        """Other files, and other demands on clients, from the next handshake on. TlsError, and then nothing changes."""
        wanted = Certificates(files, ca, verify, minimum_version)
        self.files, self.ca, self.verify, self.minimum_version = wanted.files, ca, verify, minimum_version
        self._seen = wanted._seen
        self._use(wanted.loaded)
        _demand(self.context, verify, minimum_version)
        self.reloads["done"] += 1

    def for_name(self, name: str | None) -> Loaded:
        """The certificate for a host name: of that name, else of the wildcard around it, else the first."""
        if name:
            name = name.lower().rstrip(".")
            _, _, parent = name.partition(".")
            for asked in (name, f"*.{parent}"):  # RFC 6125 §6.4.3: a wildcard stands for one label
                found = self._by_name.get(asked)
                if found is not None:
                    return found
        return self.loaded[0]

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: Any) -> None:
        """Called by OpenSSL in each handshake, with a name or without."""
        connection.context = self.for_name(name).context

    def _use(self, loaded: list[Loaded]) -> None:
        self.loaded = loaded
        self._by_name: dict[str, Loaded] = {}
        for each in loaded:
            for name in each.names:
                self._by_name.setdefault(name, each)

    def _load(self) -> list[Loaded]:
        loaded: list[Loaded] = []
        for each in self.files:
            context = server_context(each.certificate, each.key, self.ca, self.verify, self.minimum_version)
            names, expires_at = _read(each)
            if loaded and not (each.names or names):
                raise TlsError(f"certificate {each.certificate} has no host name in it: say its names")
            loaded.append(Loaded(each, context, tuple(name.lower() for name in each.names or names), expires_at))
        return loaded

    def _state_of_files(self) -> list[tuple[int, ...]]:
        paths = [path for each in self.files for path in (each.certificate, each.key)]
        return [_state_of_file(path) for path in (paths if self.ca is None else [*paths, self.ca])]


def _state_of_file(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)


def _read(files: CertificateFiles) -> tuple[tuple[str, ...], float]:
    """The host names in a certificate, and when it expires.

    `ssl` decodes only what a peer has shown and what was verified: so both peers are here, in memory, and the one
    trusts the other's certificate itself, at whatever time.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        server.load_cert_chain(files.certificate, files.key)
        client.load_verify_locations(cafile=files.certificate)
        shown = _handshake(client, server)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"certificate {files.certificate} cannot be shown to clients: {error}") from None
    names = tuple(value for kind, value in shown.get("subjectAltName", ()) if kind == "DNS")
    return names, float(ssl.cert_time_to_seconds(shown["notAfter"]))


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any]:
    """What the client knows of the server's certificate after a TLS handshake of the two."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    for each in (theirs, ours, theirs, ours):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = theirs.getpeercert()
    assert shown is not None
    return dict(shown)
