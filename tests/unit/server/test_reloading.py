"""Settings read anew: what counts at once, what is said to need a restart, and what changes nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
import yaml

from broker.config import ConfigError, Settings, load
from broker.reloading import LIVE, SettingsRefusedError, differences
from broker.server import Server
from tests.support.certificates import Authority
from tests.unit.server.test_server import LOOPBACK

Write = Callable[..., None]


class Reloadable:
    """A broker whose settings are in a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "hubbub.yaml"
        self.server: Server

    def load(self) -> Settings:
        return load(self.path, LOOPBACK, data_dir=str(self.directory / "data"))

    def write(self, **settings: Any) -> None:
        self.path.write_text(yaml.safe_dump(settings))

    async def start(self, **settings: Any) -> Server:
        self.write(**settings)
        self.server = Server(self.load(), self.load)
        await self.server.start()
        return self.server


@pytest_asyncio.fixture
async def reloadable(tmp_path: Path) -> AsyncIterator[Reloadable]:
    made = Reloadable(tmp_path)
    root = logging.getLogger()
    level, log_to = root.level, list(root.handlers)
    yield made
    await made.server.stop()
    root.setLevel(level)
    root.handlers[:] = log_to


async def test_what_may_change_counts_at_once(reloadable: Reloadable) -> None:
    server = await reloadable.start()
    reloadable.write(
        log={"level": "warning"},
        vhosts=["/", "new"],
        disk_free_min_bytes=1,
        memory={"messages_bytes_max": 5_000_000},
        amqp={"heartbeat_s": 7, "channel_max": 9},
        anonymous={"enabled": True},
        mqtt={"anonymous": "never", "session_messages_max": 5, "connections_per_second_max": 3},
        websocket={"origins": ["https://a.example"], "trusted_proxies": ["10.0.0.1"], "deflate": True},
        limits={"connections_max": 11, "queues_max": 12, "retained_bytes_max": 13, "websocket_credit_max": 14},
    )
    reloaded = server.reload()

    assert reloaded.needs_restart == []
    assert set(reloaded.changed) == {
        *("log.level", "vhosts", "disk_free_min_bytes", "memory.messages_bytes_max", "amqp.heartbeat_s"),
        *("amqp.channel_max", "anonymous.enabled", "mqtt.anonymous", "mqtt.session_messages_max"),
        *("mqtt.connections_per_second_max", "websocket.origins", "websocket.trusted_proxies", "websocket.deflate"),
        *("limits.connections_max", "limits.queues_max", "limits.retained_bytes_max", "limits.websocket_credit_max"),
    }
    assert logging.getLogger().level == logging.WARNING
    assert "new" in server.broker.vhosts
    assert server.store.disk_free_min_bytes == server.disk_free_limit_bytes == 1
    assert server.memory_limit_bytes == 5_000_000
    assert (server.amqp.heartbeat_s, server.amqp.channel_max, server.amqp.anonymous_user) == (7, 9, "guest")
    assert server.mqtt.anonymous == "never"
    assert server.mqtt.sessions.queue_arguments["x-max-length"] == 5
    assert server.mqtt.connect_rate.per_second_max == 3
    assert server.websockets.origins == {"https://a.example"}
    assert server.websockets.deflate
    assert (server.poller.connections_max, server.streams.connections_max, server.connections_max) == (11, 11, 11)
    assert {each.limits.queues_max for each in server.broker.vhosts.values()} == {12}
    assert {each.retained.bytes_max for each in server.broker.vhosts.values()} == {13}
    assert (server.native.credit_max, server.native.anonymous_user) == (14, "guest")


async def test_what_needs_a_restart_is_named_with_every_reload_and_stays(
    reloadable: Reloadable, caplog: pytest.LogCaptureFixture
) -> None:
    server = await reloadable.start()
    reloadable.write(durability={"mode": "interval"}, drain_after_s=3, users=[{"name": "bob", "password": "secret"}])
    for changed in (["drain_after_s"], []):
        caplog.clear()
        assert server.reload() == (changed, ["durability.mode", "users"])
        assert "durability.mode needs a restart" in caplog.text
        assert "users count in a new store only" in caplog.text
        assert "secret" not in caplog.text
    assert (server.settings.durability.mode, server.settings.drain_after_s) == ("fsync", 3)


@pytest.mark.parametrize("text", ["amqp: {prot: 1}", "amqp: [", "log: {level: loud}", "mqtt: {anonymous: 7}"])
async def test_settings_that_cannot_be_used_change_nothing(
    reloadable: Reloadable, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await reloadable.start()
    before = server.settings
    reloadable.path.write_text(f"{text}\ndrain_after_s: 9\n")
    with pytest.raises(SettingsRefusedError, match=r"hubbub\.yaml:\d"):
        server.reload()

    assert server.settings == before
    assert "the settings stay as they were" in caplog.text


async def test_tls_takes_other_certificates_and_demands(reloadable: Reloadable, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    first, second = (dict(zip(("certificate", "key"), map(str, authority.issue(each)), strict=True)) for each in "ab")
    server = await reloadable.start(amqp={"tls_port": 0}, tls=first)
    assert server.certificates is not None
    context = server.certificates.context
    reloadable.write(
        amqp={"tls_port": 0},
        tls={**second, "ca": str(authority.certificate), "verify": "required", "minimum_version": "1.3"},
    )
    changed, needs_restart = server.reload()

    assert (set(changed), needs_restart) == (
        {"tls.certificate", "tls.key", "tls.ca", "tls.verify", "tls.minimum_version"},
        [],
    )
    assert server.certificates.context is context
    assert server.certificates.for_name(None).files.certificate == second["certificate"]
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_3"


async def test_a_certificate_that_cannot_be_used_changes_nothing_at_all(reloadable: Reloadable, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = map(str, authority.issue("a"))
    _, other_key = map(str, authority.issue("b"))
    server = await reloadable.start(amqp={"tls_port": 0}, tls={"certificate": certificate, "key": key})
    assert server.certificates is not None
    reloadable.write(
        amqp={"tls_port": 0, "heartbeat_s": 7}, tls={"certificate": certificate, "key": other_key, "verify": "none"}
    )
    with pytest.raises(SettingsRefusedError, match="cannot be used"):
        server.reload()

    assert server.amqp.heartbeat_s == 60
    assert server.certificates.files[0].key == key


async def test_every_live_setting_exists_once() -> None:
    keys = [key for each in LIVE for key in each.keys]
    assert len(keys) == len(set(keys))
    for key in keys:
        value: Any = Settings()
        for name in key.split("."):
            value = getattr(value, name)  # AttributeError: there is no such setting


async def test_differences_are_keys_with_dots() -> None:
    assert list(differences(Settings(), load(None, ["amqp.port=1", "data_dir=x"]))) == ["data_dir", "amqp.port"]


def test_files_are_renewed_though_the_settings_are_refused() -> None:
    renewed: list[str] = []

    def load_wrong() -> Settings:
        raise ConfigError("hubbub.yaml:3: amqp.prot: …")

    server = SimpleNamespace(
        turn=SimpleNamespace(enter=lambda: None),
        audit=None,
        certificates=SimpleNamespace(reload=lambda: renewed.append("certificates")),
        authentication=SimpleNamespace(reload=lambda: renewed.append("password file")),
        settings=Settings(),
        load=load_wrong,
    )
    with pytest.raises(SettingsRefusedError):
        Server.reload(server)  # type: ignore[arg-type]
    assert renewed == ["certificates", "password file"]
