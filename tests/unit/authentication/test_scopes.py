"""The scopes of a token: where they are, and what they grant."""

from __future__ import annotations

from typing import Any

import pytest

from broker.authentication.scopes import Grants, matches, scopes_of


def scopes(claims: dict[str, Any], **changes: Any) -> list[str]:
    settings: dict[str, Any] = {"resource_server_id": "hub", "prefix": "hub.", "aliases": {}, "additional_key": ""}
    return scopes_of(claims, **{**settings, **changes})


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("*", "any/thing", True),
        ("foo*", "foobar", True),
        ("foo*", "a foo", False),
        ("*foo", "a foo", True),
        ("f*b*r", "foo bar", True),
        ("*a", "aba", True),
        ("foo", "foo2", False),
        ("%2F", "/", True),
        ("%2A", "*", True),
        ("%2A", "x", False),
        ("a.c", "abc", False),
        ("a+b", "a b", True),
        ("{vhost}-q", "/-q", True),
    ],
)
def test_a_pattern_fits_the_whole_text(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text, "/") is fits


def test_what_a_scope_grants() -> None:
    grants = Grants(["read:%2F/orders*", "write:prod*/x/topic.*", "configure:*/*", "tag:monitoring"], {})

    assert grants.tags == ["monitoring"]
    assert grants.may("/", "read", "orders-1")
    assert not grants.may("/", "write", "orders-1")
    assert grants.may("production", "write", "x")
    assert not grants.may("/", "write", "x")
    assert grants.may("anywhere", "configure", "anything")
    assert grants.may_access("/")
    assert grants.may_topic("prod", "write", "x", "topic.a")
    assert not grants.may_topic("prod", "write", "x", "other.a")
    assert not grants.may_topic("prod", "read", "x", "topic.a")
    assert not grants.may_topic("/", "read", "orders-1", "a")  # it says nothing of routing keys


@pytest.mark.parametrize("scope", ["read", "read:", "read:/", "delete:*/*", "read:a/b/c/d", "tag:", "openid", ":*/*"])
def test_what_is_no_scope_grants_nothing(scope: str) -> None:
    grants = Grants([scope], {})

    assert not grants.may_access("some")
    assert not grants.may("some", "read", "thing")
    assert grants.tags == []


def test_variables_stand_for_claims_literally() -> None:
    grants = Grants(["read:%2F/{sub}-*", "write:%2F/{none}"], {"sub": "*/x"})

    assert grants.may("/", "read", "*/x-inbox")
    assert not grants.may("/", "read", "somebody-inbox")
    assert grants.may("/", "write", "none")


@pytest.mark.parametrize("claim", ["hub.read:*/* openid hub.tag:a", ["hub.read:*/*", "openid", "hub.tag:a", 7]])
def test_scopes_are_a_list_or_words(claim: Any) -> None:
    assert scopes({"scope": claim}) == ["read:*/*", "tag:a"]


def test_another_prefix_or_none() -> None:
    claims = {"scope": "hub.read:a/b api/read:c/d"}

    assert scopes(claims, prefix="api/") == ["read:c/d"]
    assert scopes(claims, prefix="") == ["hub.read:a/b", "api/read:c/d"]


def test_an_alias_stands_for_scopes() -> None:
    aliases = {"admin": ["hub.tag:administrator", "hub.read:*/*"], "role.dev": "hub.write:*/dev"}

    assert scopes({"scope": "admin role.dev"}, aliases=aliases) == ["tag:administrator", "read:*/*", "write:*/dev"]


def test_further_claims_are_found_by_their_path() -> None:
    claims = {
        "realm": {"roles": ["hub.read:*/*"]},
        "groups": [{"scope": "hub.write:a/b"}, {"scope": ["hub.write:c/d"]}],
        "resources": {"hub": ["tag:x"], "other": ["tag:y"]},
        "authorization": {"permissions": [{"scopes": ["hub.configure:e/f"]}]},
    }

    found = scopes(claims, additional_key="realm.roles groups.scope resources none.at.all realm.roles.deeper")

    assert set(found) == {"read:*/*", "write:a/b", "write:c/d", "tag:x", "configure:e/f"}


def test_there_are_not_endlessly_many() -> None:
    with pytest.raises(ValueError, match="more than 2048 scopes"):
        scopes({"scope": " ".join(f"hub.read:a/{number}" for number in range(3000))})


@pytest.mark.parametrize("claim", [None, 7, {"hub": 7}, [None, {}], True])
def test_a_claim_of_another_type_has_no_scopes(claim: Any) -> None:
    assert scopes({"scope": claim, "x": claim}, additional_key="x x.y") == []
