"""OAUTHBEARER: the message's syntax (RFC 7628 §3.1), and what is asked with it."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.errors import AccessRefused
from broker.mqtt.oauthbearer import OAuthBearer


class Access:
    """Takes one token."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def authenticate(self, *asked: Any) -> str:
        self.asked.append(asked)
        return "the user"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (b"n,,\1auth=Bearer ab.cd.ef\1\1", ""),
        (b"n,a=user,\1auth=Bearer ab.cd.ef\1\1", "user"),
        (b"n,a=us=2Cer=3D,\1auth=bearer  ab.cd.ef\1\1", "us,er="),
        (b"n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer ab.cd.ef\1\1", "user@example.com"),
    ],
)
def test_the_token_is_the_password(message: bytes, name: str) -> None:
    access: Any = Access()
    login = OAuthBearer(access, True, "127.0.0.1")

    assert login.respond(message) == b""

    assert access.asked == [(name, b"ab.cd.ef", True, "127.0.0.1")]
    assert login.name_given == name
    assert login.user is not None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"ab.cd.ef",
        b"n,,\1auth=Bearer ab.cd.ef\1",
        b"n,,auth=Bearer ab.cd.ef\1\1",
        b"y,,\1auth=Bearer ab.cd.ef\1\1",
        b"n,,\1auth=Basic ab.cd.ef\1\1",
        b"n,,\1auth=Bearer \1\1",
        b"n,,\1auth=Bearer a b\1\1",
        b"n,,\1host=x\1\1",
        b"n,a==,\1auth=Bearer ab\1\1",
        b"n,,\1auth=Bearer " + b"x" * 70_000 + b"\1\1",
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    access: Any = Access()

    with pytest.raises(AccessRefused):
        OAuthBearer(access, True).respond(message)

    assert access.asked == []
