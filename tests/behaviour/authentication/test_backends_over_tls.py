"""A web service and a key set over https: whom we trust, what we show, and that nothing is said to anybody else."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.authentication.backend import Login, SetupError, UnavailableError
from broker.authentication.http_service import HttpService
from broker.authentication.key_set import KeySet
from broker.authentication.questions import Questions
from broker.core.clock import ManualClock
from tests.support.authentication_service import AuthenticationService, authentication_service
from tests.support.certificates import Authority
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances
from tests.support.polling import eventually
from tests.support.tokens import AuthorizationServer

pytestmark = pytest.mark.hubbub_only
LOGIN = Login("peter", b"s3cret", "10.0.0.7", False)
Tls = Callable[..., ssl.SSLContext]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def service_of(web: AuthenticationService, ca: Path | None, own: tuple[Path, Path] | None = None) -> HttpService:
    certificate = None if own is None else (str(own[0]), str(own[1]))
    return HttpService(
        web.paths(),
        method="post",
        ca=None if ca is None else str(ca),
        certificate=certificate,
        clock=ManualClock(),
        questions=Questions(10, lambda: None),
        timeout_ms=5_000,
        cache_s=15,
    )


async def said(service: HttpService) -> bool:
    try:
        return await service.authenticate(LOGIN) is not None
    finally:
        await service.close()


async def test_a_service_whose_certificate_our_authority_signed_is_asked(authority: Authority) -> None:
    tls = authority.server_context(authority.issue("good"))
    with authentication_service(lambda path, asked: "allow", tls) as web:
        assert await said(service_of(web, authority.certificate))


@pytest.mark.parametrize(
    ("issued", "trusted", "why"),
    [
        ({}, False, "unable to get local issuer certificate|self-signed certificate"),
        ({"hosts": ["auth.example.org"], "here": False}, True, "not valid for '127.0.0.1'"),
        ({"days": -1}, True, "certificate has expired"),
    ],
    ids=["of nobody whom we trust", "for another host", "expired"],
)
async def test_a_service_with_a_bad_certificate_hears_nothing(
    authority: Authority, issued: dict[str, Any], trusted: bool, why: str
) -> None:
    tls = authority.server_context(authority.issue(f"bad{len(issued)}{trusted}", **issued))
    with authentication_service(lambda path, asked: "allow", tls) as web:
        with pytest.raises(UnavailableError, match=f"user_path: the service's certificate is refused: .*({why})"):
            await said(service_of(web, authority.certificate if trusted else None))
        assert web.asked == []


async def test_a_service_may_want_to_see_our_certificate(authority: Authority) -> None:
    tls = authority.server_context(authority.issue("strict"), wants_client=True)
    with authentication_service(lambda path, asked: "allow", tls) as web:
        with pytest.raises(UnavailableError):
            await said(service_of(web, authority.certificate))
        assert await said(service_of(web, authority.certificate, authority.issue("hubbub")))


def test_a_certificate_of_ours_that_cannot_be_read_is_said(authority: Authority) -> None:
    with (
        authentication_service(lambda path, asked: "allow") as web,
        pytest.raises(SetupError, match=r"http\.certificate: /nowhere\.pem cannot be used"),
    ):
        service_of(web, None, (Path("/nowhere.pem"), Path("/nowhere.key")))


async def test_a_key_set_is_fetched_from_whom_we_trust_only(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    good = AuthorizationServer(authority.server_context(authority.issue("keys")))
    bad = AuthorizationServer(authority.server_context(authority.issue("elsewhere", hosts=["x.example"], here=False)))
    try:
        for each in (good, bad):
            each.make_key("one")
        clock, ca = ManualClock(), str(authority.certificate)
        assert await KeySet(good.url, ca=ca, clock=clock, refresh_s=60).get("one") is not None
        for url, trusted in ((good.url, None), (bad.url, ca)):
            caplog.clear()
            with caplog.at_level(logging.ERROR), pytest.raises(UnavailableError, match="there is no key set yet"):
                await KeySet(url, ca=trusted, clock=clock, refresh_s=60).get("one")
            assert "the key set cannot be read: ClientConnectorCertificateError" in caplog.text
        assert bad.web.asked == []
    finally:
        good.close()
        bad.close()


@pytest.fixture(scope="module")
def issuer(authority: Authority) -> Iterator[AuthorizationServer]:
    server = AuthorizationServer(authority.server_context(authority.issue("issuer")))
    server.make_key("one")
    yield server
    server.close()


def test_users_of_both_come_in_over_every_protocol(
    tmp_path: Path, authority: Authority, issuer: AuthorizationServer
) -> None:
    def judge(path: str, asked: dict[str, str]) -> str:
        return "deny" if path == "user" and asked.get("password") != "right" else "allow administrator"

    own = authority.issue("hubbub")
    tls = authority.server_context(authority.issue("service"), wants_client=True)
    with authentication_service(judge, tls) as web:
        settings: dict[str, object] = {
            "authentication.backends": "[oauth, http]",
            "authentication.oauth.resource_server_id": "hub",
            "authentication.oauth.jwks_url": issuer.url,
            "authentication.oauth.ca": authority.certificate,
            **{f"authentication.http.{name}": url for name, url in web.paths().items()},
            "authentication.http.ca": authority.certificate,
            "authentication.http.certificate": own[0],
            "authentication.http.key": own[1],
        }
        running = server_with_entrances(tmp_path, settings)
        running.start()
        try:
            eventually(lambda: "is ready" in running.log)
            scope = "hub.read:*/*/* hub.write:*/*/* hub.tag:administrator"
            token = issuer.token({"sub": "ann", "aud": "hub", "exp": int(time.time()) + 600, "scope": scope})
            for entrance in ENTRANCES:
                assert enter(running, entrance, "web", "right") == "web"
                enter(running, entrance, "ann", token)
                with pytest.raises(RefusedError):
                    enter(running, entrance, "web", "wrong")
            assert json.dumps(running.log).count("right") == 0
            assert running.stop() == 0
            running.assert_clean()
        finally:
            running.kill()
