"""Settings read anew while the broker runs: on SIGHUP, and by `POST /api/hubbub/reload`.

Belongs to the composition root (`server`). Owns which settings may change live, and who is told of them; whatever is
not in the table below needs a restart, and is named. Refuses to read files: it is given what reads them.

Invariants: settings that cannot be used change nothing; what needs a restart stays as it is, and is said again with
each reload until there was one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from broker import logs
from broker.config import ConfigError, Settings
from broker.net.tls import CertificateFiles, TlsError

log = logging.getLogger("hubbub.server")


class SettingsRefusedError(ValueError):
    """They cannot be used, and nothing has changed. The text is for the operator."""


class Reloaded(NamedTuple):
    """Keys with dots: what counts from now on, and what does not until the next start."""

    changed: list[str]
    needs_restart: list[str]


class Part(NamedTuple):
    """Settings that change together. `use(server, settings)` tells who holds them; the settings are whole."""

    keys: frozenset[str]
    use: Callable[[Any, Settings], None]


def part(use: Callable[[Any, Settings], None], section: str, names: str) -> Part:
    """`names` of a section, with spaces between."""
    prefix = f"{section}." if section else ""
    return Part(frozenset(prefix + name for name in names.split()), use)


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    """The keys whose values differ."""
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, msgspec.Struct):
            yield from differences(before, after, f"{prefix}{name}.")
        elif before != after:
            yield prefix + name


def merged(old: Any, new: Any, keys: Iterable[str], prefix: str = "") -> Any:
    """`old` with the values that `new` has for `keys`."""
    changes: dict[str, Any] = {}
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, msgspec.Struct):
            changes[name] = merged(before, after, keys, f"{prefix}{name}.")
        elif prefix + name in keys:
            changes[name] = after
    return msgspec.structs.replace(old, **changes)


def certificate_files(tls: Any) -> list[CertificateFiles]:
    """What `tls` names, the default first."""
    named = (CertificateFiles(each.certificate, each.key, tuple(each.names)) for each in tls.certificates)
    return [CertificateFiles(tls.certificate, tls.key), *named]


def use_tls(server: Any, settings: Settings) -> None:
    """Handshakes from now on. TlsError."""
    tls = settings.tls
    server.certificates.change(certificate_files(tls), tls.ca, tls.verify, tls.minimum_version)


def use_log(_server: Any, settings: Settings) -> None:
    """The next line."""
    logs.configure(settings.log.format, settings.log.level)


def use_vhosts(server: Any, settings: Settings) -> None:
    """Those that are not there are made; none goes."""
    for name in settings.vhosts:
        server.broker.add_vhost(name)


def use_resources(server: Any, settings: Settings) -> None:
    """The budgets behind the alarms."""
    server.memory_alarm.use(settings.memory.messages_bytes_max)
    server.memory_alarm.stalled_after_ms = settings.limits.begun_stalled_ms
    server.store.disk_free_min_bytes = settings.disk_free_min_bytes


def use_edge(server: Any, settings: Settings) -> None:
    """Who may come, and through whom."""
    server.ports.proxies.use(settings.proxy_protocol.trusted)
    server.ports.use_connections_max(settings.limits.connections_max)


def use_login_failures(server: Any, settings: Settings) -> None:
    """From the next failure on."""
    server.broker.access.failures.use(settings.login_failures)


def use_dialects(server: Any, settings: Settings) -> None:
    """Connections from now on; of the native dialect and the core's limits also those that are there."""
    amqp, limits, section = settings.amqp, settings.limits, settings.websocket
    anonymous = settings.anonymous.user if settings.anonymous.enabled else ""
    server.amqp.channel_max, server.amqp.heartbeat_s = amqp.channel_max, amqp.heartbeat_s
    server.amqp.ack_timeouts.timeout_ms = amqp.consumer_timeout_ms
    server.amqp.anonymous_user = anonymous
    server.amqp.use_limits(limits)
    server.mqtt.use(settings.mqtt, limits)
    server.native.use(limits, anonymous)
    server.websockets.use(
        limits, origins=section.origins, trusted_proxies=section.trusted_proxies, deflate=section.deflate
    )
    server.broker.use_limits(limits)


def read_where_needed(_server: Any, _settings: Settings) -> None:
    """Whoever needs these asks the server's settings each time."""


TLS = part(use_tls, "tls", "certificate key ca certificates verify minimum_version")
LIVE: tuple[Part, ...] = (
    TLS,  # first: it is the only one that may fail
    part(use_log, "log", "format level"),
    part(use_vhosts, "", "vhosts"),
    part(use_resources, "", "disk_free_min_bytes memory.messages_bytes_max limits.begun_stalled_ms"),
    part(use_edge, "", "proxy_protocol.trusted limits.connections_max"),
    part(
        use_login_failures,
        "login_failures",
        "per_pair per_address per_user wait_first_ms wait_max_ms forget_s remembered_max shared",
    ),
    part(use_dialects, "amqp", "channel_max heartbeat_s consumer_timeout_ms"),
    part(use_dialects, "anonymous", "enabled user"),
    part(use_dialects, "websocket", "origins trusted_proxies deflate"),
    part(
        use_dialects,
        "mqtt",
        "vhost anonymous anonymous_user keep_alive_max_s session_expiry_max_s session_messages_max session_bytes_max "
        "session_overflow dead_letter_exchange connections_per_second_max queue_qos0 share_strategy "
        "acls acl_default client_id",
    ),
    part(
        use_dialects,
        "limits",
        "message_bytes_max consumers_per_channel_max unacked_per_channel_max "
        "transaction_operations_max transaction_bytes_max begun_bytes_per_connection_max open_batch_bytes_max "
        "http_head_bytes_max websocket_frame_bytes_max websocket_message_bytes_max websocket_subscriptions_max "
        "websocket_credit_max websocket_awaited_max mqtt_receive_max mqtt_inflight_max mqtt_topic_aliases_max "
        "mqtt_control_packet_bytes_max mqtt_topic_levels_max mqtt_topic_bytes_max mqtt_subscriptions_per_session_max "
        "mqtt_retained_per_subscribe_max "
        "queues_max exchanges_max bindings_max queue_memory_bytes_max retained_messages_max retained_bytes_max "
        "retained_message_bytes_max",
    ),
    part(read_where_needed, "", "drain_after_s limits.drain_timeout_ms tls.reload_interval_s metrics.objects_max"),
)


def reload(server: Any, load: Callable[[], Settings]) -> Reloaded:
    """Take new settings into use. SettingsRefusedError: nothing has changed, and the log says why."""
    old: Settings = server.settings
    try:
        new = load()
        differing = list(differences(old, new))
        parts = [each for each in LIVE if each.keys.intersection(differing)]
        if TLS in parts and (server.certificates is None or new.tls.certificate is None or new.tls.key is None):
            parts.remove(TLS)  # there is no listener that could show a certificate, or none is left to show
        live = frozenset().union(*(each.keys for each in parts)).intersection(differing)
        settings = merged(old, new, live)
        for use in dict.fromkeys(each.use for each in parts):
            use(server, settings)
    except (ConfigError, TlsError) as error:
        log.error("the settings stay as they were: %s", error)
        raise SettingsRefusedError(str(error)) from error
    server.settings = settings
    reloaded = Reloaded([key for key in differing if key in live], [key for key in differing if key not in live])
    log.info("settings are read anew", extra={"changed": ", ".join(reloaded.changed) or "none"})
    for key in reloaded.needs_restart:
        log.warning("%s", explain(key))
    return reloaded


def explain(key: str) -> str:
    """Why a changed setting does not count yet."""
    if key == "users":
        return "users count in a new store only: this one's are changed by `hubbub user` or the HTTP API"
    return f"{key} needs a restart"
