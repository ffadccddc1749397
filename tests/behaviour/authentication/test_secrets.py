"""After logins of every kind, right and wrong, no password and no token is anywhere that somebody reads."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.support import mqtt_codec
from tests.support.authentication_service import authentication_service
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances, whoami
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.tokens import AuthorizationServer

pytestmark = pytest.mark.hubbub_only

PASSWORDS = {"ours": "0urs-s3cret", "web": "w3b-s3cret", "guest": "guest-s3cret"}
WRONG = "wr0ng-s3cret"
PATHS = [
    "/api/overview", "/api/nodes", "/api/connections", "/api/channels", "/api/consumers", "/api/users", "/api/whoami",
    "/api/permissions", "/api/vhosts", "/api/queues", "/api/auth/attempts/hubbub@localhost", "/api/auth",
    "/api/definitions", "/api/parameters", "/api/hubbub/mqtt/sessions", "/metrics", "/metrics/per-object",
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
def broker(
    tmp_path_factory: pytest.TempPathFactory, issuer: AuthorizationServer, audit: Path
) -> Iterator[HubbubServer]:
    users = [
        {"name": name, "password": PASSWORDS[name], "tags": ["administrator"], "permissions": [{"vhost": "/"}]}
        for name in ("ours", "guest")
    ]

    with authentication_service(judge) as service:
        settings: dict[str, object] = {
            "authentication.backends": "[internal, oauth, http]",
            "authentication.oauth.resource_server_id": "hub",
            "authentication.oauth.jwks_url": issuer.url,
            **{f"authentication.http.{name}": url for name, url in service.paths().items()},
            "users": json.dumps(users),
            "audit.file": audit,
            "audit.objects": "true",
            "events.exchange": "true",
            "log.level": "debug",
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
        for name, password in [*PASSWORDS.items(), ("ours", WRONG), ("web", WRONG), ("x", good), ("x", expired)]
    ]
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

    secrets = [*PASSWORDS.values(), WRONG, *(token.rpartition(".")[2] for token in (good, expired))]
    found = [(secret, text[:200]) for secret in secrets for text in said if secret in text]
    assert found == []
    assert '"ann"' in audit.read_text()


def get(broker: HubbubServer, path: str) -> str:
    port = broker.settings["metrics.port" if path.startswith("/metrics") else "management.port"]
    request = urllib.request.Request(f"http://{HOST}:{port}{path}")
    login = base64.b64encode(f"guest:{PASSWORDS['guest']}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())
