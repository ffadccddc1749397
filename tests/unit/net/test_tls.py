"""Certificates: chosen by name, read anew while listening, and what cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from broker.net.tls import CertificateFiles, Certificates, TlsError
from tests.support.certificates import Authority
from tests.unit.net.conftest import Echo, StreamsEdge

MakeStreams = Callable[..., Awaitable[StreamsEdge]]
BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("default")
    made.issue("renewed")
    made.issue("alpha", hosts=["alpha.example"])
    made.issue("beta", hosts=["beta.example", "*.wild.example"])
    made.issue("expired", days=-1)
    made.issue("client")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("stranger"), "Stranger")
    made.issue("client")
    return made


def files(authority: Authority, name: str, *names: str) -> CertificateFiles:
    return CertificateFiles(str(authority.directory / f"{name}.pem"), str(authority.directory / f"{name}.key"), names)


def trusting(authority: Authority, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.check_hostname = False
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


async def shown(edge: StreamsEdge, context: ssl.SSLContext, name: str = "") -> str:
    """The common name of the certificate that a client sees which asks for `name`, or for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.listener.port, ssl=context, server_hostname=name)
    writer.write(b"echo")
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"echo"
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return str(subject[0][0][1])


@BOTH
async def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(
    make_streams: MakeStreams, authority: Authority, version: ssl.TLSVersion
) -> None:
    """RFC 6066 §3; the names are those of the certificates, or those that were given."""
    certificates = Certificates(
        [files(authority, "default"), files(authority, "alpha"), files(authority, "beta"),
         files(authority, "client", "Given.Example")]
    )  # fmt: skip
    edge = await make_streams(Echo, certificates.context)
    client = trusting(authority, version)

    for name, expected in (
        ("", "default"),
        ("alpha.example", "alpha"),
        ("ALPHA.example", "alpha"),
        ("beta.example", "beta"),
        ("a.wild.example", "beta"),
        ("a.b.wild.example", "default"),  # a wildcard is one label
        ("wild.example", "default"),
        ("given.example", "client"),
        ("unknown.example", "default"),
    ):
        assert await shown(edge, client, name) == expected, name


@BOTH
async def test_changed_files_are_shown_to_the_next_client_and_broken_ones_change_nothing(
    make_streams: MakeStreams,
    authority: Authority,
    version: ssl.TLSVersion,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def put(name: str, *suffixes: str) -> None:
        for suffix in suffixes:
            shutil.copy(authority.directory / f"{name}.{suffix}", tmp_path / f"new.{suffix}")
            (tmp_path / f"new.{suffix}").replace(tmp_path / f"server.{suffix}")  # another inode: surely a change

    put("default", "pem", "key")
    certificates = Certificates([CertificateFiles(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))])
    edge = await make_streams(Echo, certificates.context)
    client = trusting(authority, version)
    before, _, _ = await edge.connect(client)
    certificates.look()
    assert certificates.reloads == {"done": 0, "refused": 0}

    put("renewed", "pem")  # its key is not there yet
    certificates.look()
    certificates.look()
    assert certificates.reloads == {"done": 0, "refused": 1}
    assert len([each for each in caplog.records if "stay as they were" in each.message]) == 1
    assert await shown(edge, client) == "default"

    put("renewed", "key")
    certificates.look()
    assert certificates.reloads == {"done": 1, "refused": 1}
    assert await shown(edge, client) == "renewed"

    (tmp_path / "server.pem").unlink()
    certificates.look()
    assert certificates.reloads == {"done": 1, "refused": 2}
    assert await shown(edge, client) == "renewed"
    assert not before.at_eof()


@BOTH
async def test_a_changed_authority_judges_the_next_client(
    make_streams: MakeStreams, authority: Authority, stranger: Authority, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(authority.certificate, ca)
    certificates = Certificates([files(authority, "default")], str(ca), "required")
    edge = await make_streams(Echo, certificates.context)
    ours, theirs = trusting(authority, version), trusting(authority, version)
    ours.load_cert_chain(authority.directory / "client.pem", authority.directory / "client.key")
    theirs.load_cert_chain(stranger.directory / "client.pem", stranger.directory / "client.key")

    async def is_refused(client: ssl.SSLContext) -> bool:
        try:
            await shown(edge, client)
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            return True
        return False

    assert not await is_refused(ours)
    assert await is_refused(theirs)
    shutil.copy(stranger.certificate, ca)
    assert certificates.reload()
    assert await is_refused(ours)
    assert not await is_refused(theirs)


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
async def test_an_older_version_than_the_minimum_is_refused(
    make_streams: MakeStreams, authority: Authority, minimum: str
) -> None:
    edge = await make_streams(Echo, Certificates([files(authority, "default")], minimum_version=minimum).context)  # type: ignore[arg-type]
    older = trusting(authority, ssl.TLSVersion.TLSv1_2)

    if minimum == "1.2":
        assert await shown(edge, older) == "default"
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shown(edge, older)
    assert await shown(edge, trusting(authority, ssl.TLSVersion.TLSv1_3)) == "default"


async def test_it_is_known_when_a_certificate_expires_even_after_it_has(authority: Authority) -> None:
    current, expired = Certificates([files(authority, "default"), files(authority, "expired", "old.example")]).loaded

    assert abs(current.expires_at - (time.time() + 2 * 86_400)) < 3600
    assert expired.expires_at < time.time()


async def test_what_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"default\.pem has no host name"):
        Certificates([files(authority, "alpha"), files(authority, "default")])
    crossed = CertificateFiles(files(authority, "alpha").certificate, files(authority, "beta").key)
    with pytest.raises(TlsError, match=r"alpha\.pem with key .*beta\.key cannot be used"):
        Certificates([crossed])
    with pytest.raises(TlsError, match=r"gone\.pem cannot be used"):
        Certificates([files(authority, "alpha")], str(tmp_path / "gone.pem"), "required")
