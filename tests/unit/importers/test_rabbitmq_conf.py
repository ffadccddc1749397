"""rabbitmq.conf in Hubbub's settings; each key is taken, or said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from broker.cli import main
from broker.config import Settings, load
from broker.importers.findings import Imported, ImportFailedError
from broker.importers.rabbitmq_conf import read_conf, size
from tests.support.certificates import Authority


def imported_of(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "rabbitmq.conf"
    path.write_text(text)
    return read_conf(path)


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hubbub.yaml"
    path.write_text(yaml.safe_dump(imported_of(tmp_path, text).settings))
    return load(path)


def test_an_empty_file_is_rabbitmq_s_defaults(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "# nothing\n")

    assert (settings.amqp.port, settings.mqtt.port, settings.websocket.port) == (5672, None, None)
    assert (settings.management.address, settings.management.port, settings.metrics.port) == ("::", 15672, 15692)
    assert [(user.name, user.tags, user.loopback_only) for user in settings.users] == [
        ("guest", ["administrator"], True)
    ]


def test_listeners_limits_and_the_first_user(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        """
        listeners.tcp.local = 127.0.0.1:5673
        mqtt.listeners.tcp.default = 1884   # devices
        mqtt.vhost = devices
        web_mqtt.tcp.port = 15676
        management.tcp.port = 15673
        management.tcp.ip = 10.0.0.1
        prometheus.tcp.port = 9999
        heartbeat = 30
        channel_max = 100
        max_message_size = 1000000
        consumer_timeout = 60000
        vm_memory_high_watermark.absolute = 2GiB
        disk_free_limit.absolute = 500MB
        default_vhost = shop
        default_user = ann
        default_pass = 's3cret'
        default_user_tags.management = true
        default_user_tags.administrator = false
        default_permissions.configure = ^ann-
        log.console.level = warning
        log.console.formatter = json
        anonymous_login_user = ann
        """,
    )

    assert (settings.amqp.address, settings.amqp.port, settings.mqtt.port) == ("127.0.0.1", 5673, 1884)
    assert (settings.mqtt.vhost, settings.websocket.port, settings.metrics.port) == ("devices", 15676, 9999)
    assert (settings.management.address, settings.management.port) == ("10.0.0.1", 15673)
    assert (settings.amqp.heartbeat_s, settings.amqp.channel_max) == (30, 100)
    assert (settings.amqp.consumer_timeout_ms, settings.limits.message_bytes_max) == (60_000, 1_000_000)
    assert (settings.memory.messages_bytes_max, settings.disk_free_min_bytes) == (2 << 30, 500_000_000)
    (user,) = settings.users
    assert (user.name, user.password, user.tags, user.loopback_only) == ("ann", "s3cret", ["management"], False)
    assert (user.permissions[0].vhost, user.permissions[0].configure) == ("shop", "^ann-")
    assert (settings.vhosts, settings.log.level, settings.log.format) == (["shop"], "warning", "json")
    assert (settings.anonymous.enabled, settings.anonymous.user) == (True, "ann")


def test_tls_and_what_it_asks_of_clients(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server")
    text = (
        f"listeners.tcp = none\nlisteners.ssl.default = 5671\nssl_options.certfile = {certificate}\n"
        f"ssl_options.keyfile = {key}\nssl_options.cacertfile = {authority.certificate}\n"
        "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nssl_options.versions.1 = tlsv1.3\n"
        "management.ssl.port = 15671\nmanagement.ssl.certfile = x\nssl_cert_login_from = common_name\n"
    )
    settings = settings_of(tmp_path, text)

    assert (settings.amqp.port, settings.amqp.tls_port, settings.management.tls_port) == (None, 5671, 15671)
    assert (settings.tls.verify, settings.tls.ca) == ("required", str(authority.certificate))
    assert settings.tls.minimum_version == "1.3"
    assert settings_of(tmp_path, text.replace("peer_cert = true", "peer_cert = false")).tls.verify == "optional"


def test_backends(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        """
        auth_backends.1.authn = ldap
        auth_backends.1.authz = internal
        auth_backends.2 = rabbit_auth_backend_http
        auth_backends.3 = oauth2
        auth_backends.4 = internal
        auth_ldap.servers.1 = directory
        auth_ldap.port = 636
        auth_ldap.use_ssl = true
        auth_ldap.user_dn_pattern = uid=${username},ou=people
        auth_http.user_path = http://127.0.0.1/user
        auth_http.vhost_path = http://127.0.0.1/vhost
        auth_http.resource_path = http://127.0.0.1/resource
        auth_oauth2.resource_server_id = shop
        auth_oauth2.jwks_uri = https://idp/keys
        auth_oauth2.scope_aliases.admin = shop.tag:administrator shop.read:*/*
        auth_oauth2.preferred_username_claims.1 = email
        auth_cache.cache_ttl = 30000
        """,
    )
    authentication = settings.authentication

    assert [str(each) for each in authentication.backends[1:]] == ["http", "oauth", "internal"]
    assert authentication.used() == {"ldap", "internal", "http", "oauth"}
    assert authentication.ldap.url == "ldaps://directory:636"
    assert authentication.ldap.user_dn_pattern == "uid={username},ou=people"
    assert authentication.oauth.scope_aliases == {"admin": ["shop.tag:administrator", "shop.read:*/*"]}
    assert (authentication.oauth.preferred_username_claims, authentication.cache_s) == (["email"], 30)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cluster_formation.peer_discovery_backend = dns", "one node: not taken"),
        ("stomp.listeners.tcp.1 = 61613", "STOMP is not spoken"),
        ("load_definitions = /x.json", "makes of that file is for `definitions_file`"),
        ("listeners.tcp.other = 5673", "a second tcp listener: not taken"),
        ("colour = red", "unknown key: not taken"),
        ("auth_backends.1 = cache", "there is no backend cache: not taken"),
        ("vm_memory_high_watermark.relative = 0.4", "40 % of the memory"),
        ("ssl_cert_login_from = distinguished_name", "authentication.certificate.name"),
        ("proxy_protocol = true", "proxy_protocol.trusted"),
        ("quorum_queue.segment_max_entries = 1", "durable queue of this one node"),
    ],
)
def test_what_is_not_taken_or_differs_is_said(tmp_path: Path, line: str, said: str) -> None:
    imported = imported_of(tmp_path, f"listeners.tcp.default = 5672\n{line}\n")
    found = [each.text for each in imported.findings if each.what == line.partition(" ")[0]]

    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "line", ["heartbeat = soon", "no words", "listeners.tcp.1 = x", "disk_free_limit.absolute = 1XB"]
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(ImportFailedError, match=r"rabbitmq\.conf:2: "):
        imported_of(tmp_path, f"\n{line}\n")


@pytest.mark.parametrize(
    ("text", "octets"), [("7", 7), ("1kB", 1000), ("1KiB", 1024), ("2GB", 2 * 10**9), ("1M", 1 << 20)]
)
def test_sizes(text: str, octets: int) -> None:
    assert size(text) == octets


def test_the_command_tells_the_two_files_apart(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq.conf").write_text("listeners.tcp.default = 5673\ncolour = red\n")
    words = ["import", "rabbitmq", str(tmp_path / "rabbitmq.conf"), "--to", str(tmp_path / "to"), "--json"]
    done = CliRunner().invoke(main, words)
    said = json.loads(done.output)

    assert said["problem"] == ""
    assert said["files"] == [str(tmp_path / "to/hubbub.yaml")]
    assert {"place": f"{tmp_path}/rabbitmq.conf:2", "what": "colour", "text": "unknown key: not taken"} in said[
        "findings"
    ]
    assert load(tmp_path / "to/hubbub.yaml").amqp.port == 5673


def test_a_truth_value_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match="expected true or false, got 'maybe'"):
        imported_of(tmp_path, "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = maybe\n")
