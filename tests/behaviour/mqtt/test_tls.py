"""MQTT over TLS with and without client certificates, and who gets in with which password."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import mqtt_codec as codec
from tests.support.certificates import Authority
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw, PeerClosedError, unique
from tests.support.mqtt_server import Mosquitto, MqttHubbub, is_mosquitto
from tests.support.server import HOST, Server, serving

Serve = Callable[[str], Server]
REFUSED_V311, REFUSED_V5 = (4, 5), (0x86, 0x87)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    for name in ("server", "limited"):
        made.issue(name)
    return made


def _mosquitto(directory: Path, authority: Authority, verify: str) -> Server:
    lines = [f"certfile {authority.directory}/server.pem", f"keyfile {authority.directory}/server.key"]
    lines += [f"cafile {authority.certificate}", f"require_certificate {str(verify == 'required').lower()}"]
    return Mosquitto(directory, lines)


def _hubbub(directory: Path, authority: Authority, verify: str) -> Server:
    server = MqttHubbub(directory)
    server.settings |= {
        "mqtt.port": "null",
        "mqtt.tls_port": server.port,
        "tls.certificate": authority.directory / "server.pem",
        "tls.key": authority.directory / "server.key",
        "tls.ca": authority.certificate,
        "tls.verify": verify,
    }
    return server


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Serve]:
    """A running server for each verify mode that is asked for."""
    servers: dict[str, Server] = {}

    def serve_one(verify: str) -> Server:
        if verify not in servers:
            make = _mosquitto if is_mosquitto() else _hubbub
            servers[verify] = make(tmp_path_factory.mktemp(verify), authority, verify)
            servers[verify].start()
        return servers[verify]

    yield serve_one
    for server in servers.values():
        try:
            assert server.stop() == 0, server.log[-4000:]
            server.assert_clean()
        finally:
            server.kill()


def connected(server: Server, version: int, context: ssl.SSLContext) -> MqttRaw:
    peer = MqttRaw(server.address, version, tls=context)
    assert peer.connect().reason == 0
    return peer


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("size", [1, 100_000])
def test_messages_over_tls(serve: Serve, authority: Authority, version: int, size: int) -> None:
    peer = connected(serve("none"), version, authority.client_context())
    topic = unique()
    peer.subscribe(topic, qos=2)
    for qos in (0, 1, 2):
        peer.deliver(topic, b"p" * size, qos=qos)
        assert peer.message().payload == b"p" * size
    peer.close()


def test_a_server_that_the_client_does_not_know(serve: Serve) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        MqttRaw(serve("none").address, V5, tls=ssl.create_default_context())


def test_a_client_that_does_not_speak_tls(serve: Serve) -> None:
    peer = MqttRaw(serve("none").address, V5)
    peer.send(codec.connect(V5, "plain"))
    with pytest.raises((PeerClosedError, AssertionError, IndexError)):
        peer.expect(codec.CONNACK)
    peer.close()


def test_a_required_client_certificate(serve: Serve, authority: Authority) -> None:
    server = serve("required")
    own = (authority.directory / "limited.pem", authority.directory / "limited.key")
    peer = connected(server, V5, authority.client_context(own))
    peer.ping()
    peer.close()
    with pytest.raises((ssl.SSLError, PeerClosedError, OSError)):
        connected(server, V5, authority.client_context())


# ── passwords ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody enters without a password."""
    directory = tmp_path_factory.mktemp("closed")
    if is_mosquitto():
        server: Server = Mosquitto.with_passwords(directory, {"guest": "guest"})
    else:
        server = MqttHubbub(directory, {"mqtt.anonymous": "never"})
    with serving(server):
        yield server


@pytest.mark.parametrize(("version", "codes"), [(V311, REFUSED_V311), (V5, REFUSED_V5)], ids=["3.1.1", "5"])
@pytest.mark.parametrize(
    ("user", "password"), [("guest", "wrong"), ("guest", ""), ("nobody", "guest"), ("", ""), (None, None)]
)
def test_who_does_not_get_in(
    closed: Server, version: int, codes: tuple[int, ...], user: str | None, password: str | None
) -> None:
    peer = MqttRaw(closed.address, version)
    answer = peer.connect(user=user, password=password)

    assert answer.reason in codes
    assert peer.until_closed() == []


@pytest.mark.parametrize("version", [codec.V31, V311, V5])
def test_the_right_password(closed: Server, version: int) -> None:
    peer = MqttRaw(closed.address, version)
    assert peer.connect(user="guest", password="guest").reason == 0
    peer.ping()
    peer.close()


@pytest.mark.mosquitto_deviates("has no virtual hosts")
@pytest.mark.parametrize(("user", "enters"), [("other:guest", True), ("/:guest", True), ("missing:guest", False)])
def test_the_virtual_host_in_the_user_name(closed: Server, user: str, enters: bool) -> None:
    peer = MqttRaw(closed.address, V5)
    assert (peer.connect(user=user, password="guest").reason == 0) == enters
    peer.close()


def test_anonymous_from_this_machine(tmp_path: Path) -> None:
    server = Mosquitto(tmp_path) if is_mosquitto() else MqttHubbub(tmp_path)
    server.start()
    try:
        peer = MqttRaw((HOST, server.port), V311)
        assert peer.connect().reason == 0
        peer.close()
    finally:
        server.kill()
