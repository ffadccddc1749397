"""Settings from the environment, as containers are told them."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.config import ConfigError, Settings, keys, load
from broker.environment import OF_COMMANDS, name_of


def of(**variables: str) -> Settings:
    return load(environment={f"HUBBUB_{name}": text for name, text in variables.items()})


def test_each_setting_has_a_variable_of_its_own() -> None:
    names = [name_of(key) for key in keys()]

    assert len(names) == len(set(names)) > 100
    assert not OF_COMMANDS.intersection(names)
    assert not {f"{name}_FILE" for name in names}.intersection(names)


def test_values_are_yaml_except_where_text_is_expected() -> None:
    settings = of(
        AMQP_TLS_PORT="null", AMQP_PORT="5673", DATA_DIR="123", VHOSTS="[/, orders]", DURABILITY_MODE="interval",
        LIMITS_CONNECTIONS_MAX="7", WEBSOCKET_DEFLATE="true", AUTHENTICATION_TIMEOUT_MS="5",
        USERS="[{name: ann, password: s3, tags: [administrator]}]",
    )  # fmt: skip

    assert (settings.amqp.tls_port, settings.amqp.port, settings.data_dir) == (None, 5673, "123")
    assert (settings.vhosts, settings.durability.mode) == (["/", "orders"], "interval")
    assert (settings.limits.connections_max, settings.websocket.deflate) == (7, True)
    assert settings.authentication.timeout_ms == 5
    assert [(user.name, user.password) for user in settings.users] == [("ann", "s3")]


def test_set_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hubbub.yaml"
    path.write_text("amqp: {port: 1, heartbeat_s: 1, channel_max: 1}\n")
    environment = {"HUBBUB_AMQP_PORT": "2", "HUBBUB_AMQP_HEARTBEAT_S": "2", "HUBBUB_DATA_DIR": "there"}
    settings = load(path, ["amqp.port=3"], environment=environment, data_dir="here")

    assert (settings.amqp.port, settings.amqp.heartbeat_s, settings.amqp.channel_max) == (3, 2, 1)
    assert settings.data_dir == "here"


def test_an_empty_variable_is_as_none() -> None:
    assert of(AMQP_PORT="", NONSENSE="") == Settings()


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("- {name: ann, password: s3}\n")

    assert of(USERS_FILE=str(path)).users[0].name == "ann"
    with pytest.raises(ConfigError, match=r"^HUBBUB_USERS_FILE: .*none cannot be read: No such file"):
        of(USERS_FILE=str(tmp_path / "none"))
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        of(USERS_FILE=str(path))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("AMPQ_PORT", "1", "HUBBUB_AMPQ_PORT: expected .* got an unknown key; did you mean HUBBUB_AMQP_PORT?"),
        ("AMQP_PORT", "many", "HUBBUB_AMQP_PORT: amqp.port: expected `int | null`, got `str`"),
        ("LOG_LEVEL", "loud", "HUBBUB_LOG_LEVEL: log.level: expected one of debug, error, info, warning, got `loud`"),
        ("VHOSTS", "[", "HUBBUB_VHOSTS: vhosts: expected YAML"),
        ("AMQP_TLS_PORT", "5671", "HUBBUB_AMQP_TLS_PORT: amqp.tls_port: expected tls.certificate"),
    ],
)
def test_what_is_wrong_names_the_variable(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("|", r"\|").replace("?", r"\?")):
        of(**{name: text})


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        of(USERS="[{name: ann, password: s3cr3t")
    assert "s3cr3t" not in str(caught.value)


def test_what_kubernetes_says_of_services_is_no_setting() -> None:
    address = "tcp://10.0.0.7:15692"
    said = of(
        PORT=address, SERVICE_HOST="10.0.0.7", SERVICE_PORT="5672", SERVICE_PORT_AMQP="5672", PORT_5672_TCP=address,
        PORT_5672_TCP_PROTO="tcp", PORT_5672_TCP_PORT="5672", PORT_5672_TCP_ADDR="10.0.0.7",
        METRICS_PORT=address, METRICS_SERVICE_HOST="10.0.0.7", METRICS_PORT_15692_TCP_ADDR="10.0.0.7",
    )  # fmt: skip

    assert said == Settings()


def test_what_the_commands_read_is_no_setting() -> None:
    assert of(URL="http://127.0.0.1:1", USER="ann", PASSWORD="s3", CONFIG="x") == Settings()
