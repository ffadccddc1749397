"""mosquitto.conf in Hubbub's settings; each option is taken, or said."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from broker.cli import main
from broker.config import Settings, load
from broker.importers.findings import Imported, ImportFailedError
from broker.importers.mosquitto import LOGIN_WORDS, lines_of, read
from broker.importers.mosquitto_words import DROPPED, LISTENER_WORDS, TAKEN
from tests.support.certificates import Authority
from tests.support.skipping import skip_unless_ci


def imported_of(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "mosquitto.conf"
    path.write_text(text)
    return read(path)


def said(imported: Imported, what: str) -> list[str]:
    """`line: text` of the findings about an option."""
    return [f"{each.place.rpartition(':')[2]}: {each.text}" for each in imported.findings if each.what == what]


def settings_of(imported: Imported, tmp_path: Path) -> Settings:
    path = tmp_path / "hubbub.yaml"
    path.write_text(yaml.safe_dump(imported.settings))
    return load(path)


def test_without_a_listener_it_is_for_this_machine_only_and_anonymous(tmp_path: Path) -> None:
    settings = settings_of(imported_of(tmp_path, "persistence true\n"), tmp_path)

    assert (settings.mqtt.address, settings.mqtt.port, settings.amqp.port) == ("127.0.0.1", 1883, None)
    assert (settings.mqtt.anonymous, settings.mqtt.anonymous_user) == ("always", "anonymous")
    assert [(user.name, len(user.password) > 20, user.tags) for user in settings.users] == [("anonymous", True, [])]


def test_with_a_listener_nobody_is_anonymous_unless_said(tmp_path: Path) -> None:
    closed = settings_of(imported_of(tmp_path, "listener 1884\n"), tmp_path)
    opened = settings_of(imported_of(tmp_path, "listener 1884 10.0.0.1\nallow_anonymous true\n"), tmp_path)

    assert (closed.mqtt.port, closed.mqtt.address, closed.mqtt.anonymous, closed.users) == (
        1884,
        "::",
        "never",
        [],
    )
    assert (opened.mqtt.address, opened.mqtt.anonymous) == ("10.0.0.1", "always")


def test_listeners_of_every_kind_and_their_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server")
    other, other_key = authority.issue("other", hosts=["other.example"])
    tls = f"certfile {certificate}\nkeyfile {key}\ncafile {authority.certificate}\nrequire_certificate true\n"
    text = f"listener 1883\nlistener 8883\n{tls}tls_version tlsv1.3\nlistener 9001\nprotocol websockets\n"
    text += f"listener 9002\nprotocol websockets\ncertfile {other}\nkeyfile {other_key}\n"
    text += "listener 1885\nmax_connections 10\nlistener 8885 10.0.0.1\ncrlfile x\n"
    imported = imported_of(tmp_path, text)
    settings = settings_of(imported, tmp_path)

    assert (settings.mqtt.port, settings.mqtt.tls_port) == (1883, 8883)
    assert (settings.websocket.port, settings.websocket.tls_port) == (9001, 9002)
    assert (settings.tls.certificate, settings.tls.certificates[0].key) == (str(certificate), str(other_key))
    assert (settings.tls.verify, settings.tls.minimum_version) == ("required", "1.3")
    assert said(imported, "listener 1885") == ["14: a second plain mqtt listener: not taken; there is one, on 1883"]
    assert said(imported, "listener 9001") == ["8: MQTT over WebSocket is at the path /ws; Mosquitto takes any"]
    assert said(imported, "require_certificate") == ["1: is asked on all TLS ports, on 9002, too"]


def test_limits_and_the_rest(tmp_path: Path) -> None:
    text = (
        "listener 1883\nmax_connections 100\nmax_queued_messages 500\nmax_queued_bytes 100000\n"
        "max_inflight_messages 20\nmax_packet_size 2000\nmax_keepalive 600\npersistent_client_expiration 2w\n"
        "sys_interval 0\nmemory_limit 5000000\nqueue_qos0_messages true\nlog_type error\nlog_type notice\n"
        "log_dest stderr\npersistence_location /var/lib/mosquitto/\n"
    )
    imported = imported_of(tmp_path, text)
    settings = settings_of(imported, tmp_path)

    assert (settings.limits.connections_max, settings.limits.mqtt_inflight_max) == (100, 20)
    assert (settings.mqtt.session_messages_max, settings.mqtt.session_bytes_max) == (500, 100_000)
    assert settings.mqtt.session_overflow == "drop-tail"
    assert (settings.limits.message_bytes_max, settings.mqtt.keep_alive_max_s) == (2000, 600)
    assert (settings.mqtt.session_expiry_max_s, settings.mqtt.sys_interval_s) == (1_209_600, 0)
    assert (settings.memory.messages_bytes_max, settings.mqtt.queue_qos0) == (5_000_000, True)
    assert (settings.log.level, settings.data_dir) == ("info", "/var/lib/mosquitto/hubbub")
    assert said(imported, "max_queued_messages") == []


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("max_qos 1", "max_qos", "1: not taken: every QoS is always there"),
        ("retain_available false", "retain_available", "1: retained messages are always there"),
        ("psk_file x", "psk_file", "1: pre-shared keys are not spoken"),
        ("plugin x.so", "plugin", "1: plugins of Mosquitto cannot be loaded"),
        ("plugin_opt_a b", "plugin_opt_a", "1: of a plugin: not taken"),
        ("colour red", "colour", "1: unknown option: not taken"),
        ("log_dest syslog", "log_dest", "1: syslog: the log goes to standard error"),
        ("connection far\naddress a", "connection far", "1: bridges between brokers are not there: not taken"),
        ("connection far\naddress a", "address", "2: of a bridge: not taken"),
        ("per_listener_settings true", "per_listener_settings", "1: logins are the same on all listeners here"),
        ("max_inflight_messages 0", "max_inflight_messages", "1: 0: limits.mqtt_inflight_max stays, 1024"),
    ],
)
def test_what_is_not_taken_is_said_with_its_line(tmp_path: Path, text: str, what: str, line: str) -> None:
    imported = imported_of(tmp_path, f"{text}\nlistener 1883\n")
    found = [each for each in said(imported, what) if each == line]

    assert found or said(imported, what) == ["1: stands before the first listener, of a default one that is not there"]


@pytest.mark.parametrize(
    "text",
    [
        "listener x", "port x", "max_keepalive x", "persistence maybe", "persistent_client_expiration 3z",
        "include_dir /none", "listener 1\ncertfile a", "listener 1\ncertfile a\nkeyfile b\nrequire_certificate true",
    ],
)  # fmt: skip
def test_what_mosquitto_would_not_take_either_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportFailedError, match=r"mosquitto\.conf:\d: "):
        imported_of(tmp_path, f"{text}\n")


def test_included_files_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    for name, text in (("b.conf", "max_keepalive 2"), ("a.conf", "max_keepalive 1"), ("c.txt", "colour red")):
        (tmp_path / "conf.d" / name).write_text(text)
    path = tmp_path / "mosquitto.conf"
    path.write_text(f"include_dir {tmp_path}/conf.d\n")

    assert [line.value for line in lines_of(path)] == ["1", "2"]


def test_every_option_of_the_installed_manual_is_known() -> None:
    """mosquitto.conf(5): a word that is in none of the tables would only be said to be unknown."""
    if shutil.which("man") is None or not Path("/usr/share/man/man5/mosquitto.conf.5.gz").exists():
        skip_unless_ci("the manual of mosquitto.conf is not installed (Debian: mosquitto, man-db)")
    text = subprocess.run(["man", "mosquitto.conf"], capture_output=True, text=True, timeout=60).stdout
    general = text[: text.index("CONFIGURING BRIDGES")]
    words = set(re.findall(r"^ {7}([a-z0-9_.]+) (?:\[ |[a-z]+(?:$| ))", re.sub(r".\x08", "", general), re.M))
    known = {*TAKEN, *LISTENER_WORDS, *DROPPED, "listener", "port", "bind_address", "include_dir"}
    known |= {"allow_anonymous", "password_file", "acl_file", "per_listener_settings"}

    assert {word for word in words if "_" in word} - known - NOT_OPTIONS == set()


NOT_OPTIONS: set[str] = {"use_identity_as_username", "psk_file"}
"""Words of the manual's prose."""


def test_the_command_writes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "mosquitto.conf").write_text("listener 1884\nallow_anonymous true\ncolour red\n")
    arguments = ["import", "mosquitto", str(tmp_path / "mosquitto.conf"), "--to", str(tmp_path / "to")]
    dry = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert not (tmp_path / "to").exists()
    done: Any = CliRunner().invoke(main, arguments)

    assert (dry.exit_code, done.exit_code) == (0, 0)
    assert f"{tmp_path}/mosquitto.conf:3: colour: unknown option: not taken" in dry.output
    path = tmp_path / "to" / "hubbub.yaml"
    assert done.output.endswith(f"written: {path}; start with: hubbub serve --config {path}\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path).mqtt.port == 1884


# ── the ACL file ──────────────────────────────────────────────────────────────────────────────────────────────────────

RULES = """
# of clients without a name
topic read $SYS/#
user roger rabbit
topic foo/bar
topic deny foo/secret
topic write with spaces/#
pattern read devices/%c/#
pattern deny devices/+/key
topic read late
"""


def rules_of(tmp_path: Path, text: str, general: str = "") -> tuple[list[tuple[Any, ...]], Imported]:
    (tmp_path / "acl").write_text(text)
    imported = imported_of(tmp_path, f"listener 1883\n{general}acl_file {tmp_path}/acl\n")
    settings = settings_of(imported, tmp_path)
    assert settings.mqtt.acl_default == "deny"
    return [(each.permission, each.action, each.topic, each.user) for each in settings.mqtt.acls], imported


def test_rules_stand_in_the_order_in_which_mosquitto_asks(tmp_path: Path) -> None:
    rules, imported = rules_of(tmp_path, RULES, "allow_anonymous true\n")

    assert rules == [
        ("deny", "all", "foo/secret", "roger rabbit"),
        ("allow", "subscribe", "$SYS/#", "anonymous"),
        ("allow", "all", "foo/bar", "roger rabbit"),
        ("allow", "publish", "with spaces/#", "roger rabbit"),
        ("allow", "subscribe", "late", "roger rabbit"),
        ("deny", "all", "devices/+/key", None),
        ("allow", "subscribe", "devices/%c/#", None),
    ]
    assert said(imported, "acl_file")[0].startswith("3: Mosquitto grants any subscription")


def test_rules_for_nobody_are_left_out_and_said(tmp_path: Path) -> None:
    rules, imported = rules_of(tmp_path, "topic a\ntopic b\nuser u\ntopic literal/%c\n")

    assert rules == [("allow", "all", "literal/%c", "u")]
    texts = [each.text for each in imported.findings if each.what == "topic"]
    assert texts == [
        "literal/%c: %c and %u stand for names here, and not for themselves",
        "2 rules for clients without a name, who may not come in: left out",
    ]


@pytest.mark.parametrize("text", ["topic", "colour red", "user", "pattern "])
def test_a_line_that_mosquitto_would_not_take_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportFailedError, match=r"acl:1: expected user, topic or pattern"):
        rules_of(tmp_path, f"{text}\n")


def test_an_acl_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match="cannot be read"):
        imported_of(tmp_path, f"listener 1883\nacl_file {tmp_path}/none\n")


OPTIONS = """
accept_protocol_versions acl_file allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_plugin
auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_interface cafile capath
certfile check_retain_source ciphers ciphers_tls1.3 clientid_prefixes connection_messages crlfile dhparamfile
disable_client_cert_date_checks enable_control_api enable_proxy_protocol global_max_clients global_max_connections
global_plugin http_dir keyfile listener_allow_anonymous listener_auto_id_prefix log_dest log_facility log_timestamp
log_timestamp_format log_type max_connections max_inflight_bytes max_inflight_messages max_keepalive
max_packet_size max_qos max_queued_bytes max_queued_messages max_topic_alias max_topic_alias_broker memory_limit
message_size_limit mount_point packet_buffer_size password_file per_listener_settings persistence persistence_file
persistence_location persistent_client_expiration pid_file plugin protocol proxy_protocol_v2_require_tls psk_file
psk_hint queue_qos0_messages require_certificate retain_available retain_expiry_interval set_tcp_nodelay
socket_domain sys_interval tls_engine tls_engine_kpass_sha1 tls_keyform tls_version upgrade_outgoing_qos
use_identity_as_username use_subject_as_username use_username_as_clientid user websockets_headers_size
websockets_log_level websockets_origin
"""
"""mosquitto.conf(5) of 2.0.11 and 2.1, without bridges."""


@pytest.mark.parametrize("option", OPTIONS.split())
def test_every_option_of_mosquitto_is_known(option: str) -> None:
    assert option in {*TAKEN, *LISTENER_WORDS, *DROPPED, *LOGIN_WORDS}


STORE = {
    "clients": [
        {"username": "ann", "password": "aGFzaA==", "salt": "c2FsdA==", "iterations": 101, "clientid": "one",
         "roles": [{"rolename": "narrow"}]},
        {"username": "bob", "disabled": True},
        {"username": "eve"},
    ],
    "groups": [{"groupname": "nameless", "roles": [{"rolename": "narrow"}]}],
    "anonymousGroup": "nameless",
    "roles": [{"rolename": "narrow", "allowwildcardsubs": False, "acls": [
        {"acltype": "subscribePattern", "topic": "home/#", "allow": True},
        {"acltype": "subscribePattern", "topic": "work/a", "allow": True},
        {"acltype": "publishClientReceive", "topic": "home/+/state", "allow": True},
        {"acltype": "publishClientReceive", "topic": "work/+", "allow": True},
        {"acltype": "subscribeLiteral", "topic": "#", "allow": False},
        {"acltype": "publishClientSend", "topic": "$CONTROL/dynamic-security/#", "allow": True},
        {"acltype": "unsubscribePattern", "topic": "#", "allow": True},
    ]}],
    "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": False, "subscribe": True},
}  # fmt: skip


def with_store(tmp_path: Path, text: str, more: str = "") -> Imported:
    (tmp_path / "store.json").write_text(text)
    lines = "plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file {}/store.json\nlistener 1883\n"
    return imported_of(tmp_path, lines.format(tmp_path) + more)


def test_of_dynamic_security_what_both_questions_grant_is_granted(tmp_path: Path) -> None:
    imported = with_store(tmp_path, json.dumps(STORE), "allow_anonymous true\npassword_file /other\n")
    rules = imported.get("mqtt.acls")

    assert imported.files == {"passwords": ("authentication.password_file.path", "ann:$7$101$c2FsdA==$aGFzaA==\n")}
    for user in ("ann", "anonymous"):
        assert [each for each in rules if each.get("user") == user] == [
            {"permission": "allow", "topic": "home/+/state", "action": "subscribe", "user": user},
            {"permission": "allow", "topic": "work/a", "action": "subscribe", "user": user},
        ]
    assert [each for each in rules if "user" not in each] == [
        {"permission": "allow", "topic": "#", "action": "publish"}
    ]
    assert imported.get("mqtt.acl_default") == "deny"
    told = {each.what for each in imported.findings}
    assert {"client ann", "client bob", "client eve", "role narrow", "defaultACLAccess", "password_file"} <= told
    assert {"$CONTROL", "to the letter", "allowwildcardsubs"} <= {
        word
        for each in imported.findings
        for word in ("$CONTROL", "to the letter", "allowwildcardsubs")
        if each.what == "role narrow" and word in each.text
    }


@pytest.mark.parametrize(
    ("text", "said"), [("{", "expected JSON"), ("[]", "expected clients"), ('{"clients": [{}]}', "username")]
)
def test_a_store_that_is_none_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ImportFailedError, match=said):
        with_store(tmp_path, text)


def test_the_plugin_without_its_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match=r":1: plugin: expected plugin_opt_config_file"):
        imported_of(tmp_path, "plugin /usr/lib/mosquitto_dynamic_security.so\n")


def test_a_certificate_that_is_a_login_there_is_one_here(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server")
    text = f"listener 8883\ncertfile {certificate}\nkeyfile {key}\ncafile {authority.certificate}\n"
    settings = settings_of(
        imported_of(tmp_path, text + "require_certificate true\nuse_identity_as_username true\n"), tmp_path
    )

    assert settings.authentication.certificate.mqtt
