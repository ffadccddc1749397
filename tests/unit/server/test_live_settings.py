"""Every setting, one by one: a reload puts it to use, or says that it needs a restart, as the documents say."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from broker.config import keys, load
from broker.reloading import LIVE, TLS
from broker.sections import MqttAcl
from broker.server import Server
from tests.support.sources import ROOT
from tests.unit.server.test_server import LOOPBACK

SETTINGS = ROOT / "docs/operations/settings.md"
live = frozenset().union(*(each.keys for each in LIVE))
FILES = TLS.keys
"""tests/unit/server/test_reloading.py changes these: they need files."""

Seen = Callable[[Server], Any]


def of_failures(name: str) -> Seen:
    return lambda server: getattr(server.broker.access.failures.rules, name)


EFFECTS: dict[str, tuple[Any, Seen]] = {
    # key: (another value, what holds it)
    "amqp.channel_max": (9, lambda s: s.amqp.channel_max),
    "amqp.consumer_timeout_ms": (9, lambda s: s.amqp.ack_timeouts.timeout_ms),
    "amqp.heartbeat_s": (9, lambda s: s.amqp.heartbeat_s),
    "anonymous.enabled": (True, lambda s: s.amqp.anonymous_user == s.native.anonymous_user == "guest"),
    "disk_free_min_bytes": (9, lambda s: s.store.disk_free_min_bytes),
    "drain_after_s": (9, lambda s: s.draining.usual_s()),
    "limits.begun_bytes_per_connection_max": (9, lambda s: s.amqp.begun_bytes_max),
    "limits.begun_stalled_ms": (9, lambda s: s.memory_alarm.stalled_after_ms),
    "limits.bindings_max": (9, lambda s: s.broker.vhosts["/"].limits.bindings_max),
    "limits.connections_max": (9, lambda s: s.connections_max),
    "limits.consumers_per_channel_max": (9, lambda s: s.amqp.consumers_per_channel_max),
    "limits.drain_timeout_ms": (9, lambda s: s.settings.limits.drain_timeout_ms),
    "limits.exchanges_max": (9, lambda s: s.broker.vhosts["/"].limits.exchanges_max),
    "limits.http_head_bytes_max": (9, lambda s: s.websockets.head_bytes_max),
    "limits.message_bytes_max": (9, lambda s: s.mqtt.message_bytes_max),
    "limits.mqtt_control_packet_bytes_max": (9, lambda s: s.mqtt.control_bytes_max),
    "limits.mqtt_inflight_max": (9, lambda s: s.mqtt.inflight_max),
    "limits.mqtt_receive_max": (9, lambda s: s.mqtt.receive_maximum),
    "limits.mqtt_retained_per_subscribe_max": (9, lambda s: s.mqtt.sessions.retained_max),
    "limits.mqtt_subscriptions_per_session_max": (9, lambda s: s.mqtt.sessions.subscriptions_max),
    "limits.mqtt_topic_aliases_max": (9, lambda s: s.mqtt.topic_alias_maximum),
    "limits.mqtt_topic_bytes_max": (9, lambda s: s.mqtt.topic_bytes_max),
    "limits.mqtt_topic_levels_max": (9, lambda s: s.mqtt.topic_levels_max),
    "limits.open_batch_bytes_max": (9, lambda s: s.amqp.open_batch_bytes_max),
    "limits.queue_memory_bytes_max": (9, lambda s: s.broker.vhosts["/"].limits.queue_memory_bytes_max),
    "limits.queues_max": (9, lambda s: s.broker.vhosts["/"].limits.queues_max),
    "limits.retained_bytes_max": (9, lambda s: s.broker.vhosts["/"].retained.bytes_max),
    "limits.retained_message_bytes_max": (9, lambda s: s.broker.vhosts["/"].retained.message_bytes_max),
    "limits.retained_messages_max": (9, lambda s: s.broker.vhosts["/"].retained.messages_max),
    "limits.transaction_bytes_max": (9, lambda s: s.amqp.transaction_bytes_max),
    "limits.transaction_operations_max": (9, lambda s: s.amqp.transaction_operations_max),
    "limits.unacked_per_channel_max": (9, lambda s: s.amqp.unacked_per_channel_max),
    "limits.websocket_awaited_max": (9, lambda s: s.native.awaited_max),
    "limits.websocket_credit_max": (9, lambda s: s.native.credit_max),
    "limits.websocket_frame_bytes_max": (9, lambda s: s.websockets.frame_bytes_max),
    "limits.websocket_message_bytes_max": (9, lambda s: s.websockets.message_bytes_max),
    "limits.websocket_subscriptions_max": (9, lambda s: s.native.subscriptions_max),
    "log.level": ("error", lambda s: logging.getLevelName(logging.getLogger().level).lower()),
    "memory.messages_bytes_max": (9, lambda s: s.memory_alarm.bytes_max),
    "metrics.objects_max": (9, lambda s: s.scraped_objects_max),
    "mqtt.anonymous": ("never", lambda s: s.mqtt.anonymous),
    "mqtt.anonymous_user": ("ann", lambda s: s.mqtt.anonymous_user),
    "mqtt.client_id": ("user", lambda s: s.mqtt.client_id_rule),
    "mqtt.connections_per_second_max": (9, lambda s: s.mqtt.connect_rate.per_second_max),
    "mqtt.keep_alive_max_s": (9, lambda s: s.mqtt.server_keep_alive_s),
    "mqtt.queue_qos0": (True, lambda s: s.mqtt.sessions.queues_qos0),
    "mqtt.session_bytes_max": (9, lambda s: s.mqtt.sessions.queue_arguments.get("x-max-length-bytes")),
    "mqtt.session_expiry_max_s": (9, lambda s: s.mqtt.sessions.expiry_max_s),
    "mqtt.session_messages_max": (9, lambda s: s.mqtt.sessions.queue_arguments.get("x-max-length")),
    "mqtt.share_strategy": ("sticky", lambda s: s.mqtt.sessions.share_strategy),
    "mqtt.vhost": ("there", lambda s: s.mqtt.vhost_name),
    "tls.reload_interval_s": (9, lambda s: s.settings.tls.reload_interval_s),
    "vhosts": (["/", "new"], lambda s: sorted(s.broker.vhosts)),
    "websocket.deflate": (True, lambda s: s.websockets.deflate),
    "websocket.origins": (["https://a.example"], lambda s: sorted(s.websockets.origins)),
    "websocket.trusted_proxies": (["10.0.0.0/8"], lambda s: list(map(str, s.websockets.trusted))),
    "proxy_protocol.trusted": (["10.0.0.0/8"], lambda s: list(map(str, s.proxies.trusted))),
    **{
        f"login_failures.{name}": (9, of_failures(name))
        for name in [
            "forget_s",
            "per_address",
            "per_pair",
            "per_user",
            "remembered_max",
            "wait_first_ms",
            "wait_max_ms",
        ]
    },
    "login_failures.shared": (["10.0.0.0/8"], lambda s: list(map(str, s.broker.access.failures.shared))),
}
TOGETHER = {
    # these count with another one, or by what they do to clients: tested where that is
    "anonymous.user", "log.format", "mqtt.acl_default", "mqtt.acls",
    "mqtt.dead_letter_exchange", "mqtt.session_overflow",
}  # fmt: skip


def changed(section: Any, key: str, value: Any) -> Any:
    """The settings with another value."""
    name, _, rest = key.partition(".")
    inner = changed(getattr(section, name), rest, value) if rest else value
    return msgspec.structs.replace(section, **{name: inner})


class Reloadable:
    """A broker whose settings are changed one at a time."""

    def __init__(self, directory: Path) -> None:
        self.settings = load(None, LOOPBACK, data_dir=str(directory / "data"))
        self.server = Server(self.settings, lambda: self.settings)

    def reload(self, key: str, value: Any) -> tuple[list[str], list[str]]:
        self.settings = changed(self.server.settings, key, value)
        return self.server.reload()


@pytest_asyncio.fixture
async def reloadable(tmp_path: Path) -> AsyncIterator[Reloadable]:
    root = logging.getLogger()
    level, log_to = root.level, list(root.handlers)
    made = Reloadable(tmp_path)
    await made.server.start()
    yield made
    await made.server.stop()
    root.setLevel(level)
    root.handlers[:] = log_to


def test_the_table_has_every_live_setting() -> None:
    assert set(EFFECTS) | TOGETHER | FILES == live
    assert not set(EFFECTS) & (TOGETHER | FILES)


async def test_each_live_setting_takes_effect(reloadable: Reloadable) -> None:
    for key, (value, seen) in EFFECTS.items():
        assert seen(reloadable.server) != value, f"{key}: shows nothing"
        assert reloadable.reload(key, value) == ([key], [])
        assert seen(reloadable.server) == value, key


async def test_overflow_anonymous_user_and_rules_take_effect(reloadable: Reloadable) -> None:
    server = reloadable.server
    reloadable.reload("mqtt.session_messages_max", 5)
    assert reloadable.reload("mqtt.session_overflow", "reject") == (["mqtt.session_overflow"], [])
    assert server.mqtt.sessions.queue_arguments["x-overflow"] == "reject-publish"
    reloadable.reload("mqtt.session_overflow", "dead-letter")
    assert reloadable.reload("mqtt.dead_letter_exchange", "dead") == (["mqtt.dead_letter_exchange"], [])
    assert server.mqtt.sessions.queue_arguments["x-dead-letter-exchange"] == "dead"
    reloadable.reload("anonymous.enabled", True)
    assert reloadable.reload("anonymous.user", "ann") == (["anonymous.user"], [])
    assert server.amqp.anonymous_user == server.native.anonymous_user == "ann"
    rule = MqttAcl(permission="deny", topic="a/#")
    assert reloadable.reload("mqtt.acls", [rule]) == (["mqtt.acls"], [])
    assert reloadable.reload("mqtt.acl_default", "deny") == (["mqtt.acl_default"], [])
    rules = server.broker.access.topics
    assert [(vhost, each.key) for vhost, each in rules.fixed] == [(None, b"a.#")]
    assert not rules.default_allow
    assert reloadable.reload("log.format", "json") == (["log.format"], [])
    assert "Json" in type(logging.getLogger().handlers[0].formatter).__name__


def cold() -> Iterator[str]:
    return (key for key in keys() if key not in live)


async def test_each_other_setting_is_said_to_need_a_restart(
    reloadable: Reloadable, caplog: pytest.LogCaptureFixture
) -> None:
    before = reloadable.server.settings
    for key in cold():
        caplog.clear()
        reloadable.settings = changed(before, key, "another value")
        assert reloadable.server.reload() == ([], [key])
        assert key in caplog.text
        assert ("new store only" if key == "users" else f"{key} needs a restart") in caplog.text
    assert reloadable.server.settings == before


def test_the_documents_say_of_each_setting_when_it_counts() -> None:
    """`at once` in the table, or `restart`."""
    rows = re.findall(r"^\| (`[^|]*) \| [^|]* \| (at once|restart|new store) \| ", SETTINGS.read_text(), re.M)
    said = {name: when for names, when in rows for name in re.findall(r"`([^`]+)`", names)}
    own = {key for key in keys() if not key.startswith("authentication.")}

    assert {key: said.get(key) for key in own} == {
        key: "new store" if key == "users" else "at once" if key in live else "restart" for key in own
    }
