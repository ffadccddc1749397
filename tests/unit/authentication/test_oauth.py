"""Tokens: what must hold of one, whose keys count, and when they are fetched."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from broker.authentication.backend import Login, OtherUser, RefusedError, SetupError, UnavailableError
from broker.authentication.key_set import KeySet
from broker.authentication.oauth import OAuth, header_of
from broker.core.clock import ManualClock
from tests.support.tokens import AuthorizationServer


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    server.make_key("one")
    server.make_key("curve", "ES256")
    yield server
    server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def make(issuer: AuthorizationServer, clock: ManualClock, **changes: Any) -> OAuth:
    keys = KeySet(issuer.url, ca=None, clock=clock, refresh_s=3600)
    settings: dict[str, Any] = {
        "resource_server_id": "hub",
        "issuer": "https://issuer.example",
        "verify_audience": True,
        "scope_prefix": None,
        "scope_aliases": {},
        "additional_scopes_key": "",
        "preferred_username_claims": ["user_name"],
    }
    return OAuth(keys, clock, **{**settings, **changes})


def claims_at(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "sub": "ann",
        "iss": "https://issuer.example",
        "aud": "hub",
        "exp": clock.now_ms // 1000 + 60,
        "scope": "hub.read:*/* hub.tag:management",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def login(token: str | bytes | None) -> Login:
    return Login("ignored", token.encode() if isinstance(token, str) else token, "10.0.0.1", False)


async def user_of(oauth: OAuth, token: str | bytes) -> OtherUser:
    identity = await oauth.authenticate(login(token))
    assert identity is not None
    user = await oauth.authorize(identity, login(token))
    assert isinstance(user, OtherUser)
    return user


@pytest.mark.parametrize(("key", "algorithm"), [("one", "RS256"), ("curve", "ES256")])
async def test_a_token_says_who_it_is(
    issuer: AuthorizationServer, clock: ManualClock, key: str, algorithm: str
) -> None:
    claims = claims_at(clock)

    user = await user_of(make(issuer, clock), issuer.token(claims, key, algorithm))

    assert user.name == "ann"
    assert user.tags == ("management",)
    assert user.expires_ms == claims["exp"] * 1000
    assert user.may_read("/", "q")
    assert not user.may_write("/", "q")
    assert user.may_access("/")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "has expired"),
        ({"exp": None}, "does not say when"),
        ({"exp": "soon"}, "."),
        ({"exp": float("inf")}, "."),
        ({"nbf": 1 << 39}, "not valid yet"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "other"}, "not for 'hub'"),
        ({"aud": ["other", "hubb"]}, "not for 'hub'"),
        ({"aud": None}, "not for 'hub'"),
        ({"sub": None}, "none of the claims user_name, sub, client_id"),
    ],
)
async def test_a_claim_that_does_not_hold_is_a_refusal(
    issuer: AuthorizationServer, clock: ManualClock, changes: dict[str, Any], reason: str
) -> None:
    token = issuer.token(claims_at(clock, **changes))

    with pytest.raises(RefusedError, match=reason) as error:
        await make(issuer, clock).authenticate(login(token))

    assert token not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [{"aud": ["x", "hub"]}, {"aud": "x hub"}, {"nbf": 5}, {"sub": None, "client_id": "ann"}, {"user_name": "ann"}],
)
async def test_other_forms_of_right_claims(
    issuer: AuthorizationServer, clock: ManualClock, changes: dict[str, Any]
) -> None:
    claims = claims_at(clock, **changes)
    if changes.get("nbf"):
        claims["nbf"] = clock.now_ms // 1000 + 5  # the issuer's clock may be ahead a little
    assert (await user_of(make(issuer, clock), issuer.token(claims))).name == "ann"


async def test_a_token_expires_by_the_brokers_clock(issuer: AuthorizationServer, clock: ManualClock) -> None:
    oauth, token = make(issuer, clock), issuer.token(claims_at(clock))
    await user_of(oauth, token)

    clock.pass_ms(60_000)

    with pytest.raises(RefusedError, match="has expired"):
        await oauth.authenticate(login(token))


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_a_token_without_a_signature_is_refused(
    issuer: AuthorizationServer, clock: ManualClock, algorithm: str
) -> None:
    token = f"{encoded({'alg': algorithm, 'kid': 'one'})}.{encoded(claims_at(clock))}."

    with pytest.raises(RefusedError, match="algorithm"):
        await make(issuer, clock).authenticate(login(token))


@pytest.mark.parametrize("form", [serialization.Encoding.PEM, serialization.Encoding.DER])
async def test_a_public_key_is_no_shared_secret(
    issuer: AuthorizationServer, clock: ManualClock, form: serialization.Encoding
) -> None:
    """RFC 8725 §2.1: the token says HS256, and is signed with what everybody knows."""
    public = issuer.private["one"].public_key()
    secret = public.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims_at(clock))}"
    signature = base64.urlsafe_b64encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest()).rstrip(b"=")

    with pytest.raises(RefusedError, match="algorithm"):
        await make(issuer, clock).authenticate(login(f"{signed}.{signature.decode()}"))


async def test_another_algorithm_than_the_keys_is_refused(issuer: AuthorizationServer, clock: ManualClock) -> None:
    token = jwt.encode(claims_at(clock), issuer.private["one"], "PS256", headers={"kid": "one"})

    with pytest.raises(RefusedError, match="algorithm"):
        await make(issuer, clock).authenticate(login(token))


async def test_a_token_that_was_changed_is_refused(issuer: AuthorizationServer, clock: ManualClock) -> None:
    header, _, signature = issuer.token(claims_at(clock)).split(".")
    token = f"{header}.{encoded(claims_at(clock, sub='admin'))}.{signature}"

    with pytest.raises(RefusedError, match="cannot be verified: InvalidSignatureError"):
        await make(issuer, clock).authenticate(login(token))


@pytest.mark.parametrize("password", [None, b"", b"secret", b"a.b.c", b"e30.e30.e30", b"W10.W10.", b"\xff.\xff.\xff"])
async def test_a_password_that_is_no_token_is_somebody_elses(
    issuer: AuthorizationServer, clock: ManualClock, password: bytes | None
) -> None:
    assert await make(issuer, clock).authenticate(login(password)) is None


def test_a_header_is_json_with_an_algorithm() -> None:
    assert header_of(f"{encoded({'alg': 'RS256'})}.e30.x".encode()) == {"alg": "RS256"}
    assert header_of(b"x" * 70_000) is None


async def test_keys_are_rotated(clock: ManualClock) -> None:
    issuer = AuthorizationServer()
    try:
        issuer.make_key("one")
        oauth = make(issuer, clock)
        old = issuer.token(claims_at(clock, exp=clock.now_ms // 1000 + 86_400))
        await user_of(oauth, old)

        issuer.make_key("two")
        new = issuer.token(claims_at(clock, exp=clock.now_ms // 1000 + 86_400), "two")
        with pytest.raises(RefusedError, match="a key that is not in the key set"):  # fetched a moment ago
            await oauth.authenticate(login(new))
        clock.pass_ms(10_001)
        await user_of(oauth, new)
        assert oauth.keys.fetched == 2

        del issuer.shown["one"]
        clock.pass_ms(3_600_001)
        with pytest.raises(RefusedError, match="a key that is not in the key set"):
            await oauth.authenticate(login(old))
    finally:
        issuer.close()


async def test_unknown_keys_do_not_make_it_fetch_for_each_token(
    issuer: AuthorizationServer, clock: ManualClock
) -> None:
    oauth = make(issuer, clock)
    issuer.private["stranger"] = issuer.private["one"]
    for _ in range(20):
        with pytest.raises(RefusedError):
            await oauth.authenticate(login(issuer.token(claims_at(clock), "stranger")))

    assert oauth.keys.fetched == 1


async def test_keys_stay_while_the_server_is_away(clock: ManualClock) -> None:
    issuer = AuthorizationServer()
    issuer.make_key("one")
    oauth = make(issuer, clock)
    token = issuer.token(claims_at(clock, exp=clock.now_ms // 1000 + 86_400))
    await user_of(oauth, token)
    issuer.close()

    clock.pass_ms(3_600_001)

    assert (await user_of(oauth, token)).name == "ann"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"keys": 7}', "<html>"])
async def test_without_any_keys_it_is_not_available(clock: ManualClock, body: str) -> None:
    issuer = AuthorizationServer()
    issuer.make_key("one")
    issuer.web.answer = lambda path, asked: body
    try:
        with pytest.raises(UnavailableError, match="no key set"):
            await make(issuer, clock).authenticate(login(issuer.token(claims_at(clock))))
    finally:
        issuer.close()


@pytest.mark.parametrize(
    "changes", [{"use": "enc"}, {"kty": "oct", "k": "c2VjcmV0"}, {"alg": "HS256"}, {"alg": "ES256"}, {"n": "!"}]
)
async def test_what_is_no_key_for_signatures_is_left_out(clock: ManualClock, changes: dict[str, str]) -> None:
    issuer = AuthorizationServer()
    issuer.make_key("one", **changes)
    issuer.make_key("good")
    try:
        oauth = make(issuer, clock)
        with pytest.raises(RefusedError, match="a key that is not in the key set"):
            await oauth.authenticate(login(issuer.token(claims_at(clock))))
        assert set(oauth.keys.keys) == {"good"}
    finally:
        issuer.close()


def test_an_authority_that_is_not_there_is_told_at_the_start(clock: ManualClock) -> None:
    with pytest.raises(SetupError, match=r"authentication\.oauth\.ca"):
        KeySet("https://x", ca="/nowhere.pem", clock=clock, refresh_s=60)
