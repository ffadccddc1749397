"""Settings: what the operator may write, and what they are told when it is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from broker.config import ConfigError, Settings, load


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hubbub.yaml"
    path.write_text(text)
    return path


def _error(path: Path | None, *assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, assignments)
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    settings = load()

    assert settings == Settings()
    assert (settings.amqp.port, settings.management.port, settings.metrics.port) == (5672, 15672, 15692)
    assert settings.durability.mode == "fsync"
    assert [(user.name, user.tags, user.loopback_only) for user in settings.users] == [
        ("guest", ["administrator"], True)
    ]


def test_a_file_overrides_defaults_and_set_overrides_the_file(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "data_dir: /somewhere\namqp:\n  port: 1234\n  heartbeat_s: 10\nlimits:\n  connections_max: 7\n"
        "users:\n  - {name: a, password: b, permissions: [{vhost: x, read: '^y'}]}\nvhosts: ['/', x]\n",
    )
    settings = load(path, ["amqp.port=4321", "durability.mode=interval", "management.port=null"], data_dir="/elsewhere")

    assert settings.data_dir == "/elsewhere"
    assert (settings.amqp.port, settings.amqp.heartbeat_s, settings.amqp.frame_max) == (4321, 10, 131072)
    assert settings.durability.mode == "interval"
    assert settings.management.port is None
    assert settings.limits.connections_max == 7
    assert settings.users[0].permissions[0].read == "^y"
    assert settings.vhosts == ["/", "x"]


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "# nothing\n")) == Settings()


def test_set_takes_text_as_it_is_where_text_is_expected() -> None:
    settings = load(None, ["data_dir=1234", "amqp.address=127.0.0.1"])

    assert settings.data_dir == "1234"
    assert settings.amqp.address == "127.0.0.1"


def test_set_takes_lists() -> None:
    settings = load(None, ["users=[{name: a, password: b}]", "vhosts=[/, v]"])

    assert [user.name for user in settings.users] == ["a"]
    assert settings.vhosts == ["/", "v"]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("amqp:\n  prot: 5672\n", 2, "amqp.prot: expected one of address, port, "),
        ("amqp:\n  prot: 5672\n", 2, "got an unknown key; did you mean `port`?"),
        ("data_dri: x\n", 1, "data_dri: expected one of data_dir, "),
        ("amqp:\n\n  port: high\n", 3, "amqp.port: expected `int | null`, got `str`"),
        ("amqp:\n  port: 70000\n", 2, "amqp.port: expected `int` <= 65535, got `70000`"),
        ("durability: {mode: maybe}\n", 1, "durability.mode: expected one of fsync, interval, got `maybe`"),
        ("users:\n  - name: a\n    password: b\n  - name: c\n", 4, "users[1].password: expected a value, got none"),
        ("limits:\n  connections_max: 0\n", 2, "limits.connections_max: expected `int` >= 1, got `0`"),
        ("amqp: 5672\n", 1, "amqp: expected `object`, got `int`"),
        ("log: {level: info}\nlog: {level: debug}\n", 2, "log: expected once, got twice"),
        ("- a\n- b\n", 1, "expected a mapping of settings, got a list"),
        ("amqp: [\n", 2, "expected YAML: "),
        ("tls:\n  verify: required\n", 2, "tls.verify: expected tls.ca as well"),
        ("amqp:\n  tls_port: 5671\n", 2, "amqp.tls_port: expected tls.certificate and tls.key as well"),
        ("amqp:\n  frame_max: 1000000\n", None, "limits.read_bytes_max: expected at least 2000000"),
        ("anonymous:\n  enabled: true\n  user: who\n", 3, "anonymous.user: expected one of users, got `who`"),
        (
            "users: [{name: a, password: b, permissions: [{read: '('}]}]\n",
            1,
            "users[0].permissions[0].read: expected a regular expression",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int | None, expected: str) -> None:
    path = _file(tmp_path, text)
    error = _error(path)

    assert error.startswith(f"{path}:{line}: " if line is not None else f"{path}: "), error
    assert expected in error


def test_a_certificate_that_does_not_exist_is_named(tmp_path: Path) -> None:
    error = _error(None, "amqp.tls_port=5671", f"tls.certificate={tmp_path}/none.pem", f"tls.key={tmp_path}/none.key")

    assert f"tls.certificate: expected a file, got `{tmp_path}/none.pem`" in error


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "cannot be read" in _error(tmp_path / "none.yaml")


@pytest.mark.parametrize("assignment", ["amqp.port", "=1", "amqp..port=1", "amqp.port.more=1"])
def test_a_malformed_assignment_is_named(assignment: str) -> None:
    assert _error(None, "amqp.port=1", assignment).startswith(f"--set {assignment}: ")


def test_a_wrong_value_by_set_is_named_with_the_option() -> None:
    assert _error(None, "amqp.port=x").startswith("--set amqp.port=x: amqp.port: expected `int | null`")


def test_every_limit_has_its_unit_or_bound_in_its_name() -> None:
    from broker.limits import Limits

    assert all(name.endswith(("_max", "_bytes", "_ms", "_backlog")) for name in Limits.__struct_fields__)
    with pytest.raises(AttributeError):
        Limits().connections_max = 3  # type: ignore[misc]


def test_settings_can_be_shown() -> None:
    assert msgspec.to_builtins(Settings())["amqp"]["port"] == 5672


@pytest.mark.parametrize("topic", ["a/#/b", "a+", "#/a", "a/b#"])
def test_a_rule_about_topics_has_a_topic_filter(tmp_path, topic):
    path = tmp_path / "hubbub.yaml"
    path.write_text(
        f"mqtt:\n  acls:\n    - {{permission: deny, topic: 'ok/+/#'}}\n    - {{permission: deny, topic: '{topic}'}}\n"
    )
    with pytest.raises(ConfigError, match=r"hubbub.yaml:4: mqtt.acls\[1\].topic: expected \+ and # as whole levels"):
        load(path)
