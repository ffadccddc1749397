"""Which name in a certificate is the user's."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.certificate_login import name_in
from broker.core.errors import AccessRefused

CERTIFICATE: dict[str, Any] = {
    "subject": ((("countryName", "DE"),), (("commonName", "ann"),), (("commonName", "second"),)),
    "subjectAltName": (
        ("IP Address", "127.0.0.1"),
        ("DNS", "sensor.example.org"),
        ("email", "ann@example.org"),
        ("URI", "spiffe://example.org/ann"),
        ("DNS", "second.example.org"),
    ),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("common_name", "ann"),
        ("dns", "sensor.example.org"),
        ("email", "ann@example.org"),
        ("uri", "spiffe://example.org/ann"),
    ],
)
def test_the_first_of_its_kind(kind: str, name: str) -> None:
    assert name_in(CERTIFICATE, kind) == name


@pytest.mark.parametrize("certificate", [None, {}, {"subject": ()}, {"subject": ((("countryName", "DE"),),)}])
@pytest.mark.parametrize("kind", ["common_name", "dns", "email", "uri"])
def test_without_one_nobody_comes_in(certificate: dict[str, Any] | None, kind: str) -> None:
    with pytest.raises(AccessRefused):
        name_in(certificate, kind)
