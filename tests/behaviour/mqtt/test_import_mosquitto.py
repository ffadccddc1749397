"""From a running Mosquitto to Hubbub: its clients come in as before, at the same port, with the same passwords."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311
from tests.support.mqtt_raw import MqttRaw, PeerClosedError
from tests.support.mqtt_server import Mosquitto
from tests.support.server import REPOSITORY, Server
from tests.support.skipping import skip_unless_ci

pytestmark = pytest.mark.hubbub_only
PASSWORDS = {"alice": "wonder", "bob": "builder", "root": "root", "carol": "carol"}


class Imported(Server):
    """Hubbub with what was written for it."""

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"})
        self.port = port

    @property
    def command(self) -> Sequence[str]:
        off = ("--set", "management.port=null", "--set", "metrics.port=null", "--set", "websocket.port=null")
        data = ("--data-dir", str(self.directory / "data"))
        return [sys.executable, "-m", "broker", "serve", "--config", str(self.directory / "hubbub.yaml"), *data, *off]


def reason(server: Server, version: int, user: str | None, password: str | None) -> int:
    """Of the CONNACK."""
    client = MqttRaw(server.address, version)
    client.send(codec.connect(version, "client", user=user, password=password))
    found = client.expect(codec.CONNACK).reason
    client.close()
    return found


def imported_from(mosquitto: Mosquitto, directory: Path) -> Imported:
    """Hubbub with what `hubbub import` makes of Mosquitto's files, not yet started."""
    done = subprocess.run(
        [sys.executable, "-m", "broker", "import", "mosquitto", str(mosquitto.configuration), "--to", str(directory)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return Imported(directory, mosquitto.port)


@pytest.mark.parametrize("version", [V311, V5])
def test_the_same_clients_come_in(tmp_path: Path, version: int) -> None:
    (tmp_path / "mosquitto").mkdir()
    mosquitto = Mosquitto.with_passwords(tmp_path / "mosquitto", PASSWORDS)
    logins = [("alice", "wonder"), ("bob", "builder"), ("alice", "builder"), ("eve", "x"), (None, None)]
    mosquitto.start()
    before = [reason(mosquitto, version, *login) == 0 for login in logins]
    mosquitto.kill()
    hubbub = imported_from(mosquitto, tmp_path)
    hubbub.start()
    try:
        after = [reason(hubbub, version, *login) == 0 for login in logins]
        assert hubbub.stop() == 0
        hubbub.assert_clean()
    finally:
        hubbub.kill()

    assert before == after == [True, True, False, False, False]


RULES = """
user alice
topic read news/#
topic write orders/new
topic own/alice
topic deny news/secret
user root
topic #
pattern write devices/%c/state
pattern read users/%u/#
pattern deny devices/locked/state
"""
TOPICS = ("news/today", "news/secret", "orders/new", "own/alice", "own/bob", "devices/alice/state",
          "devices/locked/state", "users/alice/mail", "users/bob/mail", "other")  # fmt: skip


def rights(server: Server, user: str) -> dict[str, tuple[bool, bool]]:
    """By topic: whether the user's message gets to who reads everything, and whether root's gets to the user."""
    found = {}
    for topic in TOPICS:
        root = logged_in(server, "root")
        root.subscribe(topic, qos=1)
        writer = logged_in(server, user)
        writer.publish(topic, b"from the user")
        with contextlib.suppress(PeerClosedError):  # so Mosquitto 2.0.11 says that it may not
            writer.ping()
        root.deliver(topic, b"from root", qos=1)
        written = root.message().payload == b"from the user"
        reader = logged_in(server, user)
        reader.subscribe(topic, qos=1)
        root.deliver(topic, b"again", qos=1)
        reader.ping()
        found[topic] = (written, b"again" in [each.payload for each in reader.waiting])
        for each in (root, writer, reader):
            each.close()
    return found


def logged_in(server: Server, user: str) -> MqttRaw:
    client = MqttRaw(server.address, V311)
    assert client.connect(user, user=user, password=PASSWORDS[user]).reason == 0
    return client


def test_everybody_may_what_they_might_before(tmp_path: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    mosquitto = Mosquitto.with_passwords(tmp_path / "mosquitto", PASSWORDS)
    (tmp_path / "rules").write_text(RULES)
    (tmp_path / "rules").chmod(0o644)
    with mosquitto.configuration.open("a") as configuration:
        configuration.write(f"acl_file {tmp_path}/rules\n")
    mosquitto.start()
    before = {user: rights(mosquitto, user) for user in ("alice", "bob")}
    mosquitto.kill()
    hubbub = imported_from(mosquitto, tmp_path)
    hubbub.start()
    try:
        after = {user: rights(hubbub, user) for user in ("alice", "bob")}
        assert hubbub.stop() == 0
        hubbub.assert_clean()
    finally:
        hubbub.kill()

    assert before == after
    assert after["alice"]["news/today"] == (False, True)
    assert after["alice"]["news/secret"] == (False, False)


PLUGIN = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)


def client(name: str, *roles: tuple[str, int], **more: object) -> dict[str, object]:
    """As the plugin keeps it."""
    salt = name.encode().ljust(12, b".")
    digest = hashlib.pbkdf2_hmac("sha512", PASSWORDS[name].encode(), salt, 101)
    return {
        "username": name, "password": base64.b64encode(digest).decode(), "salt": base64.b64encode(salt).decode(),
        "iterations": 101, "roles": [{"rolename": role, "priority": priority} for role, priority in roles], **more,
    }  # fmt: skip


def role(name: str, *acls: tuple[str, str, int, bool]) -> dict[str, object]:
    words = ("acltype", "topic", "priority", "allow")
    return {"rolename": name, "acls": [dict(zip(words, each, strict=True)) for each in acls]}


STORE = {
    "defaultACLAccess": {"publishClientSend": False, "publishClientReceive": True, "subscribe": False},
    "clients": [
        client("alice", ("reader", 1), ("orders", 5)),
        client("bob"),
        client("root", ("all", 0)),
        client("carol", ("all", 0), disabled=True),
    ],
    "groups": [{"groupname": "builders", "roles": [{"rolename": "devices"}], "clients": [{"username": "bob"}]}],
    "roles": [
        role("all", ("publishClientSend", "#", 0, True), ("subscribePattern", "#", 0, True)),
        role("reader", ("subscribePattern", "news/#", 0, True), ("publishClientReceive", "news/secret", 9, False),
             ("publishClientSend", "orders/new", 0, True), ("subscribeLiteral", "own/alice", 0, True)),
        role("orders", ("publishClientSend", "orders/new", 0, False), ("publishClientSend", "own/alice", 0, True)),
        role("devices", ("publishClientSend", "devices/locked/state", 9, False),
             ("publishClientSend", "devices/+/state", 1, True), ("subscribePattern", "users/bob/#", 0, True),
             ("subscribePattern", "other", 1, False), ("subscribePattern", "other", 0, True)),
    ],
}  # fmt: skip


def test_users_roles_and_groups_of_the_dynamic_security_plugin_may_what_they_might_before(tmp_path: Path) -> None:
    if PLUGIN is None:
        skip_unless_ci("mosquitto's dynamic security plugin is not installed (Debian: mosquitto)")
    (tmp_path / "mosquitto").mkdir()
    store = tmp_path / "dynamic-security.json"
    store.write_text(json.dumps(STORE))
    mosquitto = Mosquitto(
        tmp_path / "mosquitto", [f"plugin {PLUGIN}", f"plugin_opt_config_file {store}"], anonymous=False
    )
    logins = [*PASSWORDS.items(), ("alice", "builder"), ("eve", "x"), (None, None)]
    mosquitto.start()
    let_in = [reason(mosquitto, V5, *login) == 0 for login in logins]
    before = {user: rights(mosquitto, user) for user in ("alice", "bob")}
    mosquitto.kill()
    hubbub = imported_from(mosquitto, tmp_path)
    hubbub.start()
    try:
        assert [reason(hubbub, V5, *login) == 0 for login in logins] == let_in
        after = {user: rights(hubbub, user) for user in ("alice", "bob")}
        assert hubbub.stop() == 0
        hubbub.assert_clean()
    finally:
        hubbub.kill()

    assert let_in == [True, True, True, False, False, False, False]
    assert before == after
    assert after["alice"] == {
        **dict.fromkeys(TOPICS, (False, False)),
        "news/today": (False, True),
        "own/alice": (True, True),
    }
    assert after["bob"]["devices/alice/state"] == (True, False)
    assert after["bob"]["users/bob/mail"] == (False, True)
