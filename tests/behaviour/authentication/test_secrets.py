"""After logins of every kind, right and wrong, no password and no token is anywhere that somebody reads."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.conformance.mqtt.test_authentication import final as scram_final
from tests.support import amqp_codec, mqtt_codec
from tests.support.amqp_raw import RawConnection
from tests.support.authentication_service import authentication_service
from tests.support.certificates import Authority
from tests.support.directory import PASSWORDS as DIRECTORY_PASSWORDS
from tests.support.directory import PEOPLE, READER, Directory
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances, whoami
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.tokens import AuthorizationServer

pytestmark = pytest.mark.hubbub_only

PASSWORDS = {
    "ours": "0urs-s3cret",
    "web": "w3b-s3cret",
    "guest": "guest-s3cret",
    "filed": "f1led-s3cret",
    "ann": DIRECTORY_PASSWORDS["ann"],
}
WRONG, NEW = "wr0ng-s3cret", "n3w-s3cret"
PATHS = [
    "/api/overview", "/api/nodes", "/api/connections", "/api/channels", "/api/consumers", "/api/users", "/api/whoami",
    "/api/permissions", "/api/vhosts", "/api/queues", "/api/auth/attempts/hubbub@localhost", "/api/auth",
    "/api/definitions", "/api/parameters", "/api/hubbub/mqtt/sessions", "/api/hubbub/config", "/api/hubbub/traces",
    "/api/hubbub/traces/1", "/api/auth/attempts/hubbub@localhost/source", "/api/bindings", "/api/exchanges",
    "/metrics", "/metrics/per-object", "/metrics/detailed?family=connection_metrics",
]  # fmt: skip


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    server.make_key("one")
    yield server
    server.close()


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.json"


def judge(path: str, asked: dict[str, str]) -> str:
    if path == "user":
        return "allow administrator" if asked.get("password") == PASSWORDS["web"] else "deny"
    return "allow"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("server")
    running = Directory(tmp_path_factory.mktemp("slapd"), authority)
    running.start()
    yield running
    running.stop()


def password_file(directory: Path) -> Path:
    """With one user."""
    salt = b"salt"
    digest = hashlib.pbkdf2_hmac("sha512", PASSWORDS["filed"].encode(), salt, 1000, 64)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    path = directory / "passwords"
    path.write_text("filed:$7$1000${}${}:administrator\n".format(*parts))
    return path


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, issuer: AuthorizationServer, directory: Directory, audit: Path
) -> Iterator[HubbubServer]:
    users = [
        {"name": name, "password": PASSWORDS[name], "tags": ["administrator"], "permissions": [{"vhost": "/"}]}
        for name in ("ours", "guest")
    ]

    with authentication_service(judge) as service:
        settings: dict[str, object] = {
            "authentication.backends": "[internal, oauth, password_file, ldap, http]",
            "authentication.password_file.path": password_file(tmp_path_factory.mktemp("file")),
            "authentication.ldap.url": directory.url,
            "authentication.ldap.search_base": PEOPLE,
            "authentication.ldap.bind_dn": READER,
            "authentication.ldap.bind_password": DIRECTORY_PASSWORDS["cn=reader"],
            "authentication.ldap.tags": "[administrator]",
            "authentication.ldap.permissions": json.dumps([{"vhost": "/"}]),
            "authentication.oauth.resource_server_id": "hub",
            "authentication.oauth.jwks_url": issuer.url,
            **{f"authentication.http.{name}": url for name, url in service.paths().items()},
            "users": json.dumps(users),
            "audit.file": audit,
            "audit.objects": "true",
            "events.exchange": "true",
            "log.level": "debug",
            "log.stall_ms": 1,
            "metrics.port": free_port(),
        }
        running = server_with_entrances(tmp_path_factory.mktemp("secrets"), settings)
        with serving(running):
            eventually(lambda: "is ready" in running.log)
            yield running


def attempt(broker: HubbubServer, entrance: str, name: str, password: str) -> str:
    """What the client was told."""
    try:
        return enter(broker, entrance, name, password)
    except RefusedError as refused:
        return str(refused)


def test_no_secret_is_where_somebody_reads(broker: HubbubServer, issuer: AuthorizationServer, audit: Path) -> None:
    claims = {"sub": "ann", "aud": "hub", "scope": "hub.read:*/*/* hub.write:*/*/* hub.tag:administrator"}
    good = issuer.token({**claims, "exp": int(time.time()) + 600})
    expired = issuer.token({**claims, "exp": int(time.time()) - 600})
    said = [
        attempt(broker, entrance, name, password)
        for entrance in ENTRANCES
        for name, password in [
            *PASSWORDS.items(),
            *((name, WRONG) for name in PASSWORDS if name != "guest"),
            ("x", good),
            ("x", expired),
        ]
    ]
    said += administrators_mistakes(broker, good, expired)
    said += scram(broker, "ours", PASSWORDS["ours"]) + scram(broker, "ours", WRONG)
    amqplain(broker, PASSWORDS["ours"])
    amqplain(broker, WRONG)
    whoami(broker, f"Bearer {good}")
    with pytest.raises(RefusedError) as refused:
        whoami(broker, f"Bearer {expired}")
    said.append(str(refused.value))
    # some stay, to be seen in lists
    connections = []
    for name, password in (("ours", PASSWORDS["ours"]), ("web", PASSWORDS["web"]), ("x", good)):
        credentials = pika.PlainCredentials(name, password)
        connections.append(
            pika.BlockingConnection(pika.ConnectionParameters(HOST, broker.port, credentials=credentials))
        )
        connections[-1].channel()
    connections[-1].update_secret(issuer.token({**claims, "exp": int(time.time()) + 700}), "renewal")
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V5)
    properties = {
        "authentication_method": "OAUTHBEARER",
        "authentication_data": b"n,,\1auth=Bearer " + good.encode() + b"\1\1",
    }
    assert raw.connect(properties=properties).reason == 0

    for path in PATHS:
        said.append(get(broker, path))
    said += [broker.log, audit.read_text()]
    raw.close()
    for connection in connections:
        connection.close()

    secrets = [*PASSWORDS.values(), WRONG, NEW, DIRECTORY_PASSWORDS["cn=reader"]]
    secrets += [token.rpartition(".")[2] for token in (good, expired)]
    found = [(secret, text[:200]) for secret in secrets for text in said if secret in text]
    assert found == []
    assert '"ann"' in audit.read_text()


def administrators_mistakes(broker: HubbubServer, good: str, expired: str) -> list[str]:
    """Requests with secrets in them, right and wrong; what was answered."""
    trace = {"vhost": "/", "user": "ours", "seconds": 60}
    publish = {"protocol": "amqp", "exchange": "amq.topic", "routing_key": "a"}
    return [
        ask(broker, "POST", "hubbub/traces", trace),
        ask(broker, "PUT", "users/new", {"password": NEW, "tags": "management"}),
        ask(broker, "PUT", "users/new", {"password": NEW, "tags": 7}),
        ask(broker, "PUT", "users/new", {"password": [NEW], "tags": ""}),
        ask(broker, "PUT", "users/new", {"password_hash": NEW, "tags": ""}),
        ask(broker, "PUT", "users/", {"password": NEW}),
        ask(broker, "POST", "definitions", {"users": [{"name": "x", "password": NEW, "tags": {"no": "tags"}}]}),
        ask(broker, "POST", "definitions", {"users": [{"name": "x", "password_hash": NEW, "hashing_algorithm": "x"}]}),
        ask(broker, "POST", "hubbub/explain", {**publish, "token": good}),
        ask(broker, "POST", "hubbub/explain", {**publish, "token": expired}),
        ask(broker, "POST", "hubbub/explain", {**publish, "token": WRONG}),
        ask(broker, "POST", "hubbub/reload", {}),
    ]


def scram(broker: HubbubServer, name: str, password: str) -> list[str]:
    """A login by SCRAM-SHA-256; what was said."""
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V5)
    first = f"n={name},r=nonce"
    method = {"authentication_method": "SCRAM-SHA-256"}
    raw.send(
        mqtt_codec.connect(mqtt_codec.V5, "s", properties={**method, "authentication_data": f"n,,{first}".encode()})
    )
    challenge = raw.expect(mqtt_codec.AUTH).properties["authentication_data"]
    last = scram_final(first, challenge, password)
    raw.send(mqtt_codec.auth(0x18, {**method, "authentication_data": last}))
    answer = raw.receive()
    raw.close()
    return [repr(challenge), repr(answer)]


def amqplain(broker: HubbubServer, password: str) -> None:
    """A login by AMQP's own mechanism."""
    raw = RawConnection(broker.address)
    raw.start()
    table = amqp_codec.encode_table({"LOGIN": "ours", "PASSWORD": password})[4:]
    raw.start_ok(mechanism="AMQPLAIN", response=table)
    raw.read_method()
    raw.close()


def ask(broker: HubbubServer, method: str, path: str, body: object) -> str:
    """As the administrator `guest`; the answer, whatever it is."""
    url = f"http://{HOST}:{broker.settings['management.port']}/api/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    login = base64.b64encode(f"guest:{PASSWORDS['guest']}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def get(broker: HubbubServer, path: str) -> str:
    port = broker.settings["metrics.port" if path.startswith("/metrics") else "management.port"]
    request = urllib.request.Request(f"http://{HOST}:{port}{path}")
    login = base64.b64encode(f"guest:{PASSWORDS['guest']}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())
