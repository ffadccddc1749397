"""Clients behind a real HAProxy that says, with the PROXY protocol, who they are: AMQP, MQTT, TLS, WebSocket, HTTP."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pika
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.amqp_raw import RawConnection
from tests.support.certificates import Authority
from tests.support.haproxy import HaProxy, Route, route
from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, USERS, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only

LOCAL_ONLY = {"name": "here", "password": "here", "tags": ["administrator"], "loopback_only": True}
HTTP_PORTS = ("management.port", "management.tls_port", "metrics.port", "metrics.tls_port")
PORTS = ("amqp.port", "amqp.tls_port", "mqtt.port", "mqtt.tls_port", "websocket.port", *HTTP_PORTS)
WORDS = {1: "send-proxy", 2: "send-proxy-v2 proxy-v2-options crc32c,unique-id"}


class Proxied:
    """A broker whose every port is behind a proxy, and the proxy's ports."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        certificate, key = authority.issue("server")
        ports = {name: free_port() for name in PORTS}
        settings = {
            **ports,
            "mqtt.address": HOST,
            "websocket.address": HOST,
            "tls.certificate": certificate,
            "tls.key": key,
            "proxy_protocol.trusted": f"[{HOST}]",
            "users": json.dumps([*USERS, LOCAL_ONLY]),
            **{f"{name}.proxy_protocol": "true" for name in ("amqp", "mqtt", "websocket", "management", "metrics")},
        }
        self.server = HubbubServer(directory, settings)
        self.server.port = ports["amqp.port"]
        self.ports = ports
        self.routes: dict[tuple[str, int], Route] = {
            (name, version): route(ports[name], words) for name in PORTS for version, words in WORDS.items()
        }

    def address(self, name: str, version: int) -> tuple[str, int]:
        return HOST, self.routes[name, version].port

    def api(self, path: str) -> Any:
        """GET through the proxy."""
        host, port = self.address("management.port", 2)
        request = urllib.request.Request(f"http://{host}:{port}/api/{path}")
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def is_known(self, own: tuple[str, int], protocol: str) -> bool:
        """Whether the broker knows a connection by the client's own end of its socket."""
        return any(
            (each["peer_host"], each["peer_port"]) == own[:2] and each["protocol"].startswith(protocol)
            for each in self.api("connections")
        )

    def refused(self, reason: str) -> float:
        host, port = self.address("metrics.port", 1)
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            found = re.search(rf'^hubbub_proxy_refused_total{{reason="{reason}"}} (\S+)$', answer.read().decode(), re.M)
        assert found is not None
        return float(found.group(1))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Proxied]:
    directory = tmp_path_factory.mktemp("proxied")
    made = Proxied(directory, authority)
    proxy = HaProxy(directory, made.routes.values())
    made.server.start()
    try:
        with proxy:
            yield made
        assert made.server.stop() == 0
        made.server.assert_clean()
    finally:
        made.server.kill()


@pytest.mark.parametrize("version", WORDS)
@pytest.mark.parametrize("port", ["amqp.port", "amqp.tls_port"])
def test_amqp_clients_are_known_by_their_own_address(
    proxied: Proxied, authority: Authority, port: str, version: int
) -> None:
    host, number = proxied.address(port, version)
    options = None if port == "amqp.port" else pika.SSLOptions(authority.client_context(), host)
    connection = connect(f"amqp://guest:guest@{host}:{number}/%2F", ssl_options=options)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("proxied", exclusive=True)
    channel.basic_publish("", "proxied", b"x" * 100_000)

    assert channel.basic_get("proxied", auto_ack=True)[2] == b"x" * 100_000
    own = connection._impl._transport._sock.getsockname()
    assert proxied.is_known(own, "AMQP")
    connection.close()


@pytest.mark.parametrize("version", WORDS)
@pytest.mark.parametrize(
    ("port", "path"),
    [("mqtt.port", ""), ("mqtt.tls_port", ""), ("websocket.port", "/ws"), ("management.port", "/ws")],
)
def test_mqtt_clients_are_known_by_their_own_address(
    proxied: Proxied, authority: Authority, port: str, path: str, version: int
) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, transport="websockets" if path else "tcp")
    if path:
        client.ws_set_options(path)
    if port == "mqtt.tls_port":
        client.tls_set_context(authority.client_context())
    client.username_pw_set("guest", "guest")
    came: list[bytes] = []

    @client.connect_callback()
    def on_connect(*_: Any) -> None:
        client.subscribe("proxied/t", 1)

    @client.subscribe_callback()
    def on_subscribe(*_: Any) -> None:
        client.publish("proxied/t", b"y" * 50_000, 1)

    @client.message_callback()
    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        came.append(bytes(message.payload))

    client.connect(*proxied.address(port, version))
    client.loop_start()
    try:
        eventually(lambda: came == [b"y" * 50_000])
        found: Any = client.socket()
        assert proxied.is_known(getattr(found, "_socket", found).getsockname(), "MQTT")
    finally:
        client.disconnect()
        client.loop_stop()


def raw_open(proxied: Proxied, header: bytes, user: str) -> str:
    """What the broker says to a login over AMQP behind a header: a method's name."""
    connection = RawConnection(proxied.server.address)
    connection.send_bytes(header)
    connection.send_bytes(b"AMQP\x00\x00\x09\x01")
    connection.expect("connection.start")
    connection.send(
        "connection.start-ok",
        client_properties={"capabilities": {"authentication_failure_close": True}},
        mechanism="PLAIN",
        response=f"\0{user}\0{user}",
        locale="en_US",
    )
    said = connection.read_method().name
    connection.socket.close()
    return said


def test_who_may_come_from_this_machine_only_may_not_come_through_a_proxy_from_elsewhere(proxied: Proxied) -> None:
    elsewhere, here = (f"PROXY TCP4 {each} {HOST} 50000 1\r\n".encode() for each in ("192.0.2.1", "127.0.0.9"))

    assert raw_open(proxied, elsewhere, "guest") == "connection.tune"
    assert raw_open(proxied, elsewhere, "here") == "connection.close"
    assert raw_open(proxied, here, "here") == "connection.tune"
    for header, status in ((elsewhere, 401), (here, 200)):
        with socket.create_connection((HOST, proxied.ports["management.port"]), timeout=10) as client:
            login = base64.b64encode(b"here:here").decode()
            request = f"GET /api/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n"
            client.sendall(header + request.encode())
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.status == status


@pytest.mark.parametrize("port", PORTS)
def test_a_trusted_proxy_without_a_header_is_refused_and_counted(proxied: Proxied, port: str) -> None:
    before = proxied.refused("missing")
    with socket.create_connection((HOST, proxied.ports[port]), timeout=10) as client:
        client.sendall(b"\x16\x03\x01\x00\x00 or GET / HTTP/1.1 or AMQP")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""

    eventually(lambda: proxied.refused("missing") == before + 1)


def test_tls_that_fails_behind_a_header_ends_that_connection_only(proxied: Proxied) -> None:
    host, number = proxied.address("amqp.tls_port", 2)
    with socket.create_connection((host, number), timeout=10) as client:
        client.sendall(b"this is no TLS at all")
        while client.recv(1000):
            pass
    with pytest.raises(ssl.SSLError), socket.create_connection((host, number), timeout=10) as client:
        ssl.create_default_context().wrap_socket(client, server_hostname=host)  # it does not know the authority

    assert proxied.api("whoami")["name"] == "guest"


@pytest.mark.parametrize("version", WORDS)
@pytest.mark.parametrize("port", HTTP_PORTS)
def test_http_and_https_are_served_behind_a_header(
    proxied: Proxied, authority: Authority, port: str, version: int
) -> None:
    host, number = proxied.address(port, version)
    scheme, context = ("https", authority.client_context()) if "tls" in port else ("http", None)
    with urllib.request.urlopen(f"{scheme}://{host}:{number}/health/live", context=context, timeout=10) as answer:
        assert answer.status == 200
