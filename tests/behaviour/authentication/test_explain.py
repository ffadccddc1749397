"""`explain` of users whom a file, a web service, a directory or a token knows: they are asked, as at a publish."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.authentication_service import authentication_service
from tests.support.certificates import Authority
from tests.support.directory import GROUPS, PASSWORDS, PEOPLE, READER, Directory
from tests.support.entrances import server_with_entrances
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, serving
from tests.support.tokens import AuthorizationServer

pytestmark = pytest.mark.hubbub_only


def judge(path: str, asked: dict[str, str]) -> str:
    """Of web: may write to amq.topic, keys that begin with `a`. Nobody else is known."""
    if path == "topic":
        return "allow" if asked["routing_key"].startswith("a") and asked["variable_map.client_id"] == "c1" else "deny"
    if path == "resource":
        return "allow" if asked["name"] == "amq.topic" else "deny"
    return "allow" if asked["username"] == "web" else "deny"


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    server.make_key("one")
    yield server
    server.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("server")
    running = Directory(tmp_path_factory.mktemp("slapd"), authority)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, issuer: AuthorizationServer, directory: Directory
) -> Iterator[HubbubServer]:
    passwords = tmp_path_factory.mktemp("file") / "passwords"
    hashed = subprocess.run(
        [sys.executable, "-m", "broker", "hash-password", "filed"], input="x\nx\n", capture_output=True, text=True
    )
    passwords.write_text(hashed.stdout)
    groups = [{"dn": f"cn=writers,{GROUPS}", "permissions": [{"vhost": "/", "write": "^amq", "read": "^$"}]}]
    with authentication_service(judge) as service:
        settings: dict[str, object] = {
            "authentication.backends": "[internal, password_file, ldap, oauth, http]",
            "authentication.password_file.path": passwords,
            "authentication.password_file.permissions": json.dumps([{"vhost": "/", "write": "^amq.direct$"}]),
            "authentication.oauth.resource_server_id": "hub",
            "authentication.oauth.jwks_url": issuer.url,
            "authentication.ldap.url": directory.url,
            "authentication.ldap.search_base": PEOPLE,
            "authentication.ldap.bind_dn": READER,
            "authentication.ldap.bind_password": PASSWORDS["cn=reader"],
            "authentication.ldap.group_base": GROUPS,
            "authentication.ldap.groups": json.dumps(groups),
            **{f"authentication.http.{name}": url for name, url in service.paths().items()},
            "mqtt.acls": json.dumps([{"permission": "deny", "topic": "secret/#"}]),
        }
        running = server_with_entrances(tmp_path_factory.mktemp("explain"), settings)
        with serving(running):
            eventually(lambda: "is ready" in running.log)
            yield running


def explain(broker: HubbubServer, **body: Any) -> dict[str, Any]:
    """As an administrator; or what was wrong."""
    url = f"http://{HOST}:{broker.settings['management.port']}/api/hubbub/explain"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found


def amqp(broker: HubbubServer, exchange: str, **who: str) -> tuple[bool, list[tuple[str, str]], dict[str, str]]:
    found = explain(broker, protocol="amqp", exchange=exchange, routing_key="a", **who)
    return found["allowed"], [(each["kind"], each["verdict"]) for each in found["rules"]], found["backends"]


def by(name: str) -> dict[str, str]:
    return {"authentication": name, "authorization": name}


def test_a_user_of_the_password_file_has_its_permissions(broker: HubbubServer) -> None:
    assert amqp(broker, "amq.direct", user="filed") == (True, [("permission", "allows")], by("password_file"))
    assert amqp(broker, "amq.fanout", user="filed") == (False, [("permission", "refuses")], by("password_file"))


def test_the_ordered_rules_hold_for_users_of_other_backends(broker: HubbubServer) -> None:
    found = explain(broker, protocol="mqtt", topic="secret/1", client_id="c1", user="ann")

    assert not found["allowed"]
    assert [(each["kind"], each["verdict"]) for each in found["rules"]][-2:] == [
        ("rule", "refuses"),
        ("default", "not asked"),
    ]


def test_a_user_of_the_directory_has_what_its_groups_grant(broker: HubbubServer) -> None:
    assert amqp(broker, "amq.direct", user="ann") == (True, [("permission", "allows")], by("ldap"))
    assert amqp(broker, "", user="ann")[0] is True  # amq.default
    allowed, rules, backend = amqp(broker, "amq.direct", user="o'neil (x)")
    assert (allowed, rules, backend) == (False, [("vhost", "refuses")], by("ldap"))


def test_the_web_service_is_asked_about_this_very_message(broker: HubbubServer) -> None:
    allows = [("vhost", "allows"), ("permission", "allows")]
    assert amqp(broker, "amq.direct", user="web") == (
        False,
        [("vhost", "allows"), ("permission", "refuses")],
        by("http"),
    )
    found = explain(broker, protocol="mqtt", topic="a/b", client_id="c1", user="web")
    rules = [(each["kind"], each["verdict"]) for each in found["rules"]]
    assert (found["allowed"], rules[:3]) == (True, [*allows, ("topic", "allows")])
    assert found["rules"][2]["reason"] == "write with the routing key 'a.b', says the backend http"
    found = explain(broker, protocol="mqtt", topic="b/a", client_id="c1", user="web")
    rules = [(each["kind"], each["verdict"]) for each in found["rules"]]
    assert (found["allowed"], rules[:3]) == (False, [*allows, ("topic", "refuses")])


def test_a_token_stands_for_its_user(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    claims = {"sub": "tom", "aud": "hub", "exp": int(time.time()) + 600, "scope": "hub.write:*/amq.*/a"}
    token = issuer.token(claims)

    allowed, rules, backends = amqp(broker, "amq.topic", token=token)
    assert (allowed, rules[:3], backends) == (
        True,
        [("vhost", "allows"), ("permission", "allows"), ("topic", "allows")],
        by("oauth"),
    )
    found = explain(broker, protocol="amqp", exchange="amq.topic", routing_key="b", token=token)
    assert (found["user"], found["allowed"]) == ("tom", False)
    expired = issuer.token({**claims, "exp": int(time.time()) - 60})
    refusal = explain(broker, protocol="amqp", exchange="amq.topic", routing_key="b", token=expired)
    assert refusal["error"] == "bad_request"
    assert refusal["reason"].startswith("no backend knows the token: ")
    assert token not in json.dumps(found)
    assert expired not in json.dumps(refusal)


def test_a_user_whom_nobody_knows_is_said_to_be_unknown(broker: HubbubServer) -> None:
    refusal = explain(broker, protocol="amqp", exchange="amq.topic", routing_key="b", user="nobody")

    assert refusal == {"error": "bad_request", "reason": "no backend knows user 'nobody': invalid credentials"}


def test_the_command_says_which_backend(broker: HubbubServer, issuer: AuthorizationServer, tmp_path: Path) -> None:
    said = command(broker, "--as", "web", "amqp", "amq.direct", "x")
    assert "user web: known to the backend http; http says what it may" in said
    assert "- permission: refuses, write to the exchange 'amq.direct', says the backend http" in said
    token = tmp_path / "token"
    claims = {"sub": "tom", "aud": "hub", "exp": int(time.time()) + 600, "scope": "hub.write:*/*"}
    token.write_text(issuer.token(claims) + "\n")
    assert "user tom: known to the backend oauth" in command(
        broker, "--token-file", str(token), "amqp", "amq.direct", "x"
    )


def command(broker: HubbubServer, *arguments: str) -> str:
    url = f"http://{HOST}:{broker.settings['management.port']}"
    done = subprocess.run(
        [sys.executable, "-m", "broker", "explain", "publish", *arguments, "--url", url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
