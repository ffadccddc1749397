"""mosquitto.conf's words, one by one: what becomes of each.

Owns three tables. TAKEN: general options that are settings of Hubbub. LISTENER_WORDS: options of a listener, with a
sentence for those that are not taken. DROPPED: general options that are not taken, each with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

MIB = 1024 * 1024
UNITS_S = {"h": 3600, "d": 86_400, "w": 604_800, "m": 30 * 86_400, "y": 365 * 86_400}


class WrongValueError(ValueError):
    """In words for the operator."""


class Setting(NamedTuple):
    """What an option becomes. `key` "": nothing; `text` "": there is nothing to say."""

    key: str
    value: Any
    text: str


Take = Callable[[str], Setting]


def whole(text: str) -> int:
    """A number."""
    if not re.fullmatch(r"\d+", text):
        raise WrongValueError(f"expected a number, got '{text}'")
    return int(text)


def truth(text: str) -> bool:
    """true or false."""
    if text not in ("true", "false"):
        raise WrongValueError(f"expected true or false, got '{text}'")
    return text == "true"


def count(key: str, *, none: str = "") -> Take:
    """A number; 0 means no limit, and then the setting stays as it is (`none`: what to say then)."""
    return lambda text: Setting(key, whole(text), "") if whole(text) else Setting("", None, none)


def plain(key: str) -> Take:
    """A number as it is."""
    return lambda text: Setting(key, whole(text), "")


def flag(key: str) -> Take:
    """A truth value as it is."""
    return lambda text: Setting(key, truth(text), "")


def only(wanted: bool, otherwise: str) -> Take:
    """An option of which Hubbub has one value only."""
    return lambda text: Setting("", None, "" if truth(text) is wanted else otherwise)


def persistence(text: str) -> Setting:
    """Hubbub keeps what must last."""
    otherwise = "what must last is always on disk here, before it is acknowledged"
    return Setting("", None, "" if truth(text) else otherwise)


def location(text: str) -> Setting:
    """A directory of its own beside Mosquitto's."""
    path = text.rstrip("/") + "/hubbub"
    return Setting("data_dir", path, f"data_dir is {path}: what Mosquitto has stored is not taken over")


def expiration(text: str) -> Setting:
    """`14d`, `2m`."""
    found = re.fullmatch(r"(\d+)([hdwmy])", text)
    if found is None:
        raise WrongValueError(f"expected a number and h, d, w, m or y, got '{text}'")
    return Setting("mqtt.session_expiry_max_s", int(found.group(1)) * UNITS_S[found.group(2)], "")


def memory(text: str) -> Setting:
    """Above it publishers wait; Mosquitto refuses and disconnects."""
    size = whole(text)
    if size == 0:
        return Setting("", None, "")
    told = "above it publishers wait; Mosquitto refuses what needs more"
    return Setting("memory.messages_bytes_max", max(size, MIB), told)


def size_limit(text: str) -> Setting:
    """0: no limit but the protocol's."""
    return count("limits.message_bytes_max", none="0: limits.message_bytes_max stays, 128 MiB")(text)


def log_type(text: str) -> Setting:
    """Levels, not kinds."""
    level = {"all": "debug", "debug": "debug", "error": "error", "warning": "warning"}.get(text, "info")
    return Setting("log.level", level, "") if text != "none" else Setting("log.level", "error", "the least there is")


def log_dest(text: str) -> Setting:
    """Standard error, and nothing else."""
    return Setting("", None, "" if text == "stderr" else f"{text}: the log goes to standard error")


TAKEN: dict[str, Take] = {
    "persistence": persistence,
    "persistence_location": location,
    "persistent_client_expiration": expiration,
    "max_keepalive": plain("mqtt.keep_alive_max_s"),
    "max_packet_size": size_limit,
    "message_size_limit": size_limit,
    "max_queued_messages": count("mqtt.session_messages_max"),
    "max_queued_bytes": count("mqtt.session_bytes_max"),
    "max_inflight_messages": count("limits.mqtt_inflight_max", none="0: limits.mqtt_inflight_max stays, 1024"),
    "memory_limit": memory,
    "global_max_connections": count("limits.connections_max"),
    "queue_qos0_messages": flag("mqtt.queue_qos0"),
    "sys_interval": plain("mqtt.sys_interval_s"),
    "websockets_headers_size": count("limits.http_head_bytes_max"),
    "log_type": log_type,
    "log_dest": log_dest,
    "retain_available": only(True, "retained messages are always there"),
    "allow_zero_length_clientid": only(True, "clients without an identifier are always given one"),
    "upgrade_outgoing_qos": only(False, "a message is delivered with the lower of the two QoS, as the standard says"),
    "allow_duplicate_messages": only(False, "overlapping subscriptions of a client get a message once"),
    "check_retain_source": only(True, "what was retained stays, also when its publisher loses the right"),
}

LISTENER_WORDS = {
    "protocol": "",
    "certfile": "",
    "keyfile": "",
    "cafile": "",
    "require_certificate": "",
    "tls_version": "",
    "max_connections": "",
    "capath": "expected one file (tls.ca): put the certificates together with cat",
    "crlfile": "NOT TAKEN: certificates that were revoked are not refused",
    "use_identity_as_username": "",
    "use_subject_as_username": "the whole subject is no name here: authentication.certificate.name says which part is",
    "accept_protocol_versions": "not taken: MQTT 3.1, 3.1.1 and 5 are spoken on every listener",
    "disable_client_cert_date_checks": "not taken: a certificate out of date is refused",
    "enable_proxy_protocol": "not taken: say who is trusted (proxy_protocol.trusted), and mqtt.proxy_protocol: true",
    "proxy_protocol_v2_require_tls": "not taken",
    "listener_allow_anonymous": "NOT TAKEN: who may come in is the same on all listeners (mqtt.anonymous)",
    "listener_auto_id_prefix": "not taken: identifiers that the broker gives are its own",
    "http_api": "the HTTP API is management.port",
    "max_topic_alias_broker": "limits.mqtt_topic_aliases_max is for both ways",
    "use_username_as_clientid": "not taken: client identifiers are the clients' own",
    "ciphers": "not taken: OpenSSL's own choice",
    "ciphers_tls1.3": "not taken: OpenSSL's own choice",
    "dhparamfile": "not taken: OpenSSL's own choice",
    "tls_engine": "not taken",
    "tls_engine_kpass_sha1": "not taken",
    "tls_keyform": "not taken: PEM files",
    "psk_hint": "pre-shared keys are not spoken",
    "max_topic_alias": "limits.mqtt_topic_aliases_max is for all listeners: 32",
    "max_qos": "not taken: every QoS is always there",
    "mount_point": "not taken: topics are the same on all listeners",
    "http_dir": "no files are served",
    "socket_domain": "the address decides: `::` takes IPv4 as well",
    "bind_interface": "not taken: give the listener an address",
    "websockets_origin": "not taken here: say it as websocket.origins",
}

DROPPED = {
    "psk_file": "pre-shared keys are not spoken",
    "plugin": "plugins of Mosquitto cannot be loaded",
    "auth_plugin": "plugins of Mosquitto cannot be loaded; a web service may be asked: authentication.http",
    "auth_plugin_deny_special_chars": "plugins of Mosquitto cannot be loaded",
    "global_plugin": "plugins of Mosquitto cannot be loaded",
    "plugin_load": "plugins of Mosquitto cannot be loaded",
    "plugin_use": "plugins of Mosquitto cannot be loaded",
    "enable_control_api": "there are no $CONTROL topics: the HTTP API and `hubbub` change what may change",
    "global_max_clients": "not taken: sessions are not counted; limits.connections_max counts connections",
    "packet_buffer_size": "not needed: buffers belong to who has something to send",
    "retain_expiry_interval": "not taken: MQTT 5's message expiry says it for each message",
    "clientid_prefixes": "not taken: any client identifier may come",
    "auto_id_prefix": "not taken: identifiers that the broker gives are its own",
    "autosave_interval": "not needed: what is acknowledged is on disk",
    "autosave_on_changes": "not needed: what is acknowledged is on disk",
    "persistence_file": "not needed: data_dir is a directory",
    "max_inflight_bytes": "not taken: the receive maximum counts messages",
    "max_queued_messages_per_listener": "not taken",
    "connection_messages": "connections are always in the log, from the level info on",
    "log_facility": "the log goes to standard error",
    "log_timestamp": "every line has its time",
    "log_timestamp_format": "RFC 3339, UTC",
    "websockets_log_level": "log.level is for everything",
    "pid_file": "not written: systemd knows",
    "user": "not taken: whoever starts it (User= of the unit)",
    "set_tcp_nodelay": "always so",
}
