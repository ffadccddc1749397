"""Enhanced authentication of MQTT 5 by SCRAM-SHA-256, spoken with the client's half written out here."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_raw import Client, MqttRaw

METHOD = "SCRAM-SHA-256"
pytestmark = pytest.mark.mosquitto_deviates("2.0.11 has no method of its own")


def final(first: str, answer: bytes, password: str) -> bytes:
    """client-final-message (RFC 5802 §3) for the server's first."""
    fields = dict(part.split("=", 1) for part in answer.decode().split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    bare = f"c=biws,r={fields['r']}"
    said = f"{first},{answer.decode()},{bare}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
    return f"{bare},p={base64.b64encode(proof).decode()}".encode()


def properties(data: bytes, method: str = METHOD) -> dict[str, object]:
    return {"authentication_method": method, "authentication_data": data}


FIRST = "n=guest,r=nonce-of-the-client"


def begin(client: Client, version: int) -> tuple[MqttRaw, codec.Packet]:
    """Up to the server's first AUTH."""
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "scram", properties=properties(f"n,,{FIRST}".encode())))
    return peer, peer.expect(codec.AUTH)


def authenticated(client: Client, version: int) -> tuple[MqttRaw, codec.Packet]:
    peer, challenge = begin(client, version)
    peer.send(codec.auth(0x18, properties(final(FIRST, challenge.properties["authentication_data"], "guest"))))
    return peer, peer.expect(codec.CONNACK)


@clause("", "4.12.0-2 4.12.0-5 3.15.2-1 3.2.0-1 3.15.2-2 3.15.2-3")
def test_scram(client: Client, version: int) -> None:
    _, challenge = begin(client, version)
    assert (challenge.reason, challenge.properties["authentication_method"]) == (0x18, METHOD)
    assert set(challenge.properties) == {"authentication_method", "authentication_data"}
    _, answer = authenticated(client, version)

    assert (answer.reason, answer.properties["authentication_method"]) == (0, METHOD)
    assert answer.properties["authentication_data"].startswith(b"v=")


@clause("", "4.12.0-4 3.1.4-2 3.14.0-1")
def test_a_wrong_password(client: Client, version: int) -> None:
    peer, challenge = begin(client, version)
    peer.send(codec.auth(0x18, properties(final(FIRST, challenge.properties["authentication_data"], "wrong"))))
    packets = peer.until_closed()

    assert [each.kind for each in packets] in ([], [codec.CONNACK])
    assert all(each.reason in (0x86, 0x87) for each in packets)


@clause("", "4.12.0-5 3.15.2-1")
def test_re_authentication(client: Client, version: int) -> None:
    peer, _ = authenticated(client, version)
    peer.send(codec.auth(0x19, properties(f"n,,{FIRST}".encode())))
    challenge = peer.expect(codec.AUTH)
    assert challenge.reason == 0x18
    peer.send(codec.auth(0x18, properties(final(FIRST, challenge.properties["authentication_data"], "guest"))))
    answer = peer.expect(codec.AUTH)

    assert (answer.reason, answer.properties["authentication_method"]) == (0, METHOD)
    peer.ping()


@clause("", "4.12.1-2")
@pytest.mark.parametrize("method", [METHOD, "OTHER"])
def test_a_failed_re_authentication(client: Client, version: int, method: str) -> None:
    """A wrong proof, or another method than CONNECT's."""
    peer, _ = authenticated(client, version)
    peer.send(codec.auth(0x19, properties(f"n,,{FIRST}".encode(), method)))
    if method == METHOD:
        challenge = peer.expect(codec.AUTH)
        peer.send(codec.auth(0x18, properties(final(FIRST, challenge.properties["authentication_data"], "wrong"))))

    peer.refused(0x86, 0x87, 0x82, 0x8C)


@clause("", "4.12.0-6 4.13.1-1")
def test_auth_without_a_method(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.auth(0x19, properties(b"")))

    peer.refused(0x82, 0x8C)
