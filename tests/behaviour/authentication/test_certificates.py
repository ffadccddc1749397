"""Users whom a client's certificate names, over AMQP (EXTERNAL) and MQTT, on TLS sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pika.exceptions
import pytest
from pika.credentials import ExternalCredentials

from tests.support import mqtt_codec
from tests.support.certificates import Authority
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only
URI = "spiffe://example.org/device/7"
NAMES = {"common_name": "cn-user", "dns": "device-7.example.org", "email": "ann@example.org", "uri": URI}
EVERYTHING = [{"vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"} for vhost in ("/", "other")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("server")
    others = [f"DNS:{NAMES['dns']}", f"email:{NAMES['email']}", f"URI:{NAMES['uri']}"]
    made.issue("cn-user", others=others)
    made.issue("stranger")  # known to nobody
    return made


Serve = Callable[[str], HubbubServer]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Serve]:
    """A running broker for each kind of name."""
    running: dict[str, HubbubServer] = {}

    def serve_one(kind: str) -> HubbubServer:
        if kind not in running:
            users = [{"name": name, "password": "unused", "permissions": EVERYTHING} for name in NAMES.values()]
            settings: dict[str, object] = {
                "amqp.tls_port": free_port(),
                "mqtt.address": HOST,
                "mqtt.port": free_port(),
                "mqtt.tls_port": free_port(),
                "mqtt.anonymous": "never",
                "tls.certificate": authority.directory / "server.pem",
                "tls.key": authority.directory / "server.key",
                "tls.ca": authority.certificate,
                "tls.verify": "optional",
                "authentication.certificate.name": kind,
                "authentication.certificate.mqtt": "true",
                "users": json.dumps(users),
            }
            running[kind] = HubbubServer(tmp_path_factory.mktemp(kind), settings)
            running[kind].start()
            eventually(lambda: "is ready" in running[kind].log)
        return running[kind]

    yield serve_one
    for server in running.values():
        try:
            assert server.stop() == 0
            server.assert_clean()
        finally:
            server.kill()


def amqp(server: HubbubServer, authority: Authority, name: str) -> pika.BlockingConnection:
    own = (authority.directory / f"{name}.pem", authority.directory / f"{name}.key")
    options = pika.SSLOptions(authority.client_context(own), HOST)
    port = int(str(server.settings["amqp.tls_port"]))
    parameters = pika.ConnectionParameters(HOST, port, "/", ExternalCredentials(), ssl_options=options)
    return pika.BlockingConnection(parameters)


def mqtt(server: HubbubServer, authority: Authority, name: str | None, **connect: Any) -> int:
    own = (authority.directory / f"{name}.pem", authority.directory / f"{name}.key") if name else None
    port = int(str(server.settings["mqtt.tls_port"]))
    raw = MqttRaw((HOST, port), mqtt_codec.V5, tls=authority.client_context(own))
    try:
        return raw.connect(**connect).reason
    finally:
        raw.close()


@pytest.mark.parametrize("kind", NAMES)
def test_amqp_external_is_the_user_whom_the_certificate_names(serve: Serve, authority: Authority, kind: str) -> None:
    connection = amqp(serve(kind), authority, "cn-user")
    channel = connection.channel()
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.confirm_delivery()
    channel.basic_publish("", name, b"x", pika.BasicProperties(user_id=NAMES[kind]), mandatory=True)
    connection.close()


@pytest.mark.parametrize("kind", NAMES)
def test_a_certificate_without_a_known_name_is_refused(serve: Serve, authority: Authority, kind: str) -> None:
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        amqp(serve(kind), authority, "stranger")
    assert mqtt(serve(kind), authority, "stranger") == 0x86


@pytest.mark.parametrize("kind", NAMES)
def test_mqtt_needs_no_password(serve: Serve, authority: Authority, kind: str) -> None:
    assert mqtt(serve(kind), authority, "cn-user") == 0


def test_an_mqtt_user_name_may_name_the_vhost(serve: Serve, authority: Authority) -> None:
    assert mqtt(serve("uri"), authority, "cn-user", user="other:") == 0
    assert mqtt(serve("uri"), authority, "cn-user", user="nowhere:") == 0x87


def test_a_password_is_asked_of_whom_it_is_said_to_be(serve: Serve, authority: Authority) -> None:
    assert mqtt(serve("uri"), authority, "cn-user", user="cn-user", password="unused") == 0
    assert mqtt(serve("uri"), authority, "cn-user", user="cn-user", password="wrong") == 0x86


def test_without_a_certificate_a_password_is_needed(serve: Serve, authority: Authority) -> None:
    assert mqtt(serve("uri"), authority, None) == 0x86
    assert mqtt(serve("uri"), authority, None, user="cn-user", password="unused") == 0
