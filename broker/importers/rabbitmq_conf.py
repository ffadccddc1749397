"""A rabbitmq.conf (the new style, `key = value`) in Hubbub's settings: listeners, TLS, limits, a user, backends.

Owns RabbitMQ's keys and what each becomes: SETTINGS one by one, the rest by what they begin with. Invariant: a key that
becomes nothing is a finding. What is declared comes by the definitions: `importers.rabbitmq`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.importers.findings import Imported, ImportFailedError

LINE = re.compile(r"^([\w.$-]+)\s*=\s*(.*?)\s*(?:\s#.*)?$")
UNITS = {"": 1, "k": 2**10, "kib": 2**10, "kb": 10**3, "m": 2**20, "mib": 2**20, "mb": 10**6, "g": 2**30, "gib": 2**30,
         "gb": 10**9, "t": 2**40, "tib": 2**40, "tb": 10**12}  # fmt: skip
BACKENDS = {"internal": "internal", "http": "http", "ldap": "ldap", "oauth2": "oauth", "oauth": "oauth"}

Convert = Callable[[str], Any]


def size(text: str) -> int:
    """`512MiB`."""
    found = re.fullmatch(r"(\d+)\s*([a-zA-Z]*)", text)
    if found is None or found.group(2).lower() not in UNITS:
        raise ValueError(f"expected a size, got '{text}'")
    return int(found.group(1)) * UNITS[found.group(2).lower()]


def truth(text: str) -> bool:
    """true, false; on, off."""
    if text not in ("true", "false", "on", "off"):
        raise ValueError(f"expected true or false, got '{text}'")
    return text in ("true", "on")


def pattern(text: str) -> str:
    """LDAP's `${username}`."""
    return text.replace("${username}", "{username}")


SETTINGS: dict[str, tuple[str, Convert]] = {
    "heartbeat": ("amqp.heartbeat_s", int),
    "channel_max": ("amqp.channel_max", int),
    "frame_max": ("amqp.frame_max", int),
    "consumer_timeout": ("amqp.consumer_timeout_ms", int),
    "proxy_protocol": ("amqp.proxy_protocol", truth),
    "max_message_size": ("limits.message_bytes_max", int),
    "consumer_max_per_channel": ("limits.consumers_per_channel_max", int),
    "max_connections": ("limits.connections_max", int),
    "handshake_timeout": ("limits.handshake_timeout_ms", int),
    "vm_memory_high_watermark.absolute": ("memory.messages_bytes_max", size),
    "disk_free_limit.absolute": ("disk_free_min_bytes", size),
    "default_vhost": ("vhosts", lambda text: [text]),
    "anonymous_login_user": ("anonymous.user", str),
    "ssl_options.certfile": ("tls.certificate", str),
    "ssl_options.keyfile": ("tls.key", str),
    "ssl_options.cacertfile": ("tls.ca", str),
    "mqtt.vhost": ("mqtt.vhost", str),
    "mqtt.proxy_protocol": ("mqtt.proxy_protocol", truth),
    "mqtt.max_session_expiry_interval_seconds": ("mqtt.session_expiry_max_s", int),
    "mqtt.prefetch": ("limits.mqtt_inflight_max", int),
    "management.tcp.port": ("management.port", int),
    "management.listener.port": ("management.port", int),
    "management.tcp.ip": ("management.address", str),
    "management.ssl.port": ("management.tls_port", int),
    "prometheus.tcp.port": ("metrics.port", int),
    "prometheus.tcp.ip": ("metrics.address", str),
    "prometheus.ssl.port": ("metrics.tls_port", int),
    "web_mqtt.tcp.port": ("websocket.port", int),
    "web_mqtt.ssl.port": ("websocket.tls_port", int),
    "log.console.level": ("log.level", str),
    "log.console.formatter": ("log.format", lambda text: "json" if text == "json" else "text"),
    "auth_cache.cache_ttl": ("authentication.cache_s", lambda text: max(1, int(text) // 1000)),
    "auth_http.http_method": ("authentication.http.method", str),
    "auth_oauth2.resource_server_id": ("authentication.oauth.resource_server_id", str),
    "auth_oauth2.jwks_uri": ("authentication.oauth.jwks_url", str),
    "auth_oauth2.jwks_url": ("authentication.oauth.jwks_url", str),
    "auth_oauth2.issuer": ("authentication.oauth.issuer", str),
    "auth_oauth2.verify_aud": ("authentication.oauth.verify_audience", truth),
    "auth_oauth2.scope_prefix": ("authentication.oauth.scope_prefix", str),
    "auth_oauth2.additional_scopes_key": ("authentication.oauth.additional_scopes_key", str),
    "auth_oauth2.https.cacertfile": ("authentication.oauth.ca", str),
    "auth_ldap.use_starttls": ("authentication.ldap.start_tls", truth),
    "auth_ldap.user_dn_pattern": ("authentication.ldap.user_dn_pattern", pattern),
    "auth_ldap.dn_lookup_base": ("authentication.ldap.search_base", str),
    "auth_ldap.dn_lookup_attribute": ("authentication.ldap.search_filter", lambda text: f"({text}={{username}})"),
    "auth_ldap.dn_lookup_bind.user_dn": ("authentication.ldap.bind_dn", str),
    "auth_ldap.dn_lookup_bind.password": ("authentication.ldap.bind_password", str),
    "auth_ldap.ssl_options.cacertfile": ("authentication.ldap.ca", str),
    **{f"auth_http.{each}": (f"authentication.http.{each}", str)
       for each in ("user_path", "vhost_path", "resource_path", "topic_path")},
}  # fmt: skip

DROPPED = {
    # what a key begins with: why
    "cluster_": "one node: not taken", "net_ticktime": "one node: not taken", "distribution.": "one node: not taken",
    "quorum_queue.": "not taken: a quorum queue is a durable queue of this one node", "raft.": "one node: not taken",
    "queue_leader_locator": "one node: not taken", "queue_master_locator": "one node: not taken",
    "load_definitions": "not taken: what `hubbub import rabbitmq` makes of that file is for `definitions_file`",
    "definitions.": "not taken: what `hubbub import rabbitmq` makes of that file is for `definitions_file`",
    "tcp_listen_options.": "not taken: the sockets' options are set", "num_acceptors.": "not needed",
    "log.": "not taken: the log goes to standard error", "stomp.": "STOMP is not spoken",
    "stream.": "streams are not there", "web_stomp.": "STOMP is not spoken", "web_mqtt.": "not taken",
    "ssl_options.ciphers.": "not taken: OpenSSL's own choice", "ssl_options.honor_": "not taken: OpenSSL's own choice",
    "ssl_options.": "not taken", "management.ssl.": "the certificate is that of `tls` on every port",
    "prometheus.ssl.": "the certificate is that of `tls` on every port", "management.": "not taken",
    "mqtt.exchange": "MQTT lives on amq.topic", "mqtt.": "not taken", "shovel.": "no shovel runs here",
    "auth_": "not taken", "auth_mechanisms.": "not taken: PLAIN, AMQPLAIN and, with a certificate, EXTERNAL",
    "collect_statistics": "figures are always there", "default_policies.": "not taken: `hubbub policy set`",
    "default_limits.": "not taken: `hubbub declare vhost-limit`", "default_users.": "not taken: `hubbub user add`",
    "vm_memory_high_watermark.relative": "not taken: memory.messages_bytes_max is in bytes; 40 % of the memory unasked",
    "vm_memory_": "not taken", "disk_free_limit.relative": "not taken: disk_free_min_bytes is in bytes",
    "queue_index_embed_msgs_below": "not needed", "classic_queue.": "not needed", "deprecated_features.": "not needed",
    "background_gc": "not needed", "reverse_dns_lookups": "not taken: addresses are shown",
}  # fmt: skip


def read_conf(path: Path) -> Imported:
    """What the file says, in Hubbub's words. Raises ImportFailedError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ImportFailedError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ImportFailedError(f"{path}: expected UTF-8 text") from None
    try:
        return Conf(path, lines).taken()
    except ValueError as error:
        raise ImportFailedError(f"{path}: {error}") from None


class Conf:
    """One file, being read."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.imported = Imported()
        self.path = path
        self.said: dict[str, tuple[str, str]] = {}
        """By key: its place, and its value."""
        for number, raw in enumerate(lines, 1):
            line = raw.strip()
            found = LINE.match(line)
            if found is not None:
                self.said[found.group(1)] = (f"{path}:{number}", found.group(2).strip("'\""))
            elif line and not line.startswith(("#", "%")):
                raise ImportFailedError(f"{path}:{number}: expected key = value")

    def taken(self) -> Imported:
        """Everything: what several keys mean together, then each that is left."""
        self.imported.put("management.address", "::")
        self.imported.put("metrics.address", "::")
        self.listeners("listeners.", "amqp", 5672)
        self.listeners("mqtt.listeners.", "mqtt", None)
        if not any(key.startswith("web_mqtt.") for key in self.said):
            self.imported.put("websocket.port", None)
        self.users()
        self.backends()
        self.tls()
        for key, (place, text) in self.said.items():
            self.take(place, key, text)
        if self.imported.get("anonymous.user") in ("none", None):
            self.imported.settings.pop("anonymous", None)
        else:
            self.imported.put("anonymous.enabled", True)
        if "consumer_timeout" not in self.said:
            self.imported.say(
                str(self.path), "consumer_timeout", "RabbitMQ's default is 30 minutes; here none is cut off"
            )
        return self.imported

    def pop(self, key: str) -> tuple[str, str] | None:
        """A key that is taken care of."""
        return self.said.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        """Those that begin so, in their order."""
        return [key for key in self.said if key.startswith(prefix)]

    def take(self, place: str, key: str, text: str) -> None:
        """One key on its own."""
        if key in SETTINGS:
            setting, convert = SETTINGS[key]
            try:
                value = convert(text)
            except ValueError as error:
                raise ImportFailedError(f"{place}: {key}: {error}") from None
            self.imported.put(setting, value)
            if key == "handshake_timeout" or setting.endswith("proxy_protocol"):
                told = {"handshake_timeout": "holds for every protocol"}
                self.imported.say(place, key, told.get(key, "say whose headers are believed: proxy_protocol.trusted"))
            return
        why = next((DROPPED[each] for each in sorted(DROPPED, key=len, reverse=True) if key.startswith(each)), None)
        self.imported.say(place, key, why or "unknown key: not taken")

    def listeners(self, prefix: str, section: str, default: int | None) -> None:
        """The first of each kind is the port; all ports of a section have one address."""
        self.imported.put(f"{section}.port", default)
        for kind, setting in (("tcp", "port"), ("ssl", "tls_port")):
            if (none := self.pop(f"{prefix}{kind}")) is not None and none[1] == "none":
                self.imported.put(f"{section}.{setting}", None)
            for index, key in enumerate(self.keys(f"{prefix}{kind}.")):
                place, text = self.said.pop(key)
                address, _, port = text.rpartition(":")
                if not port.isdigit():
                    raise ImportFailedError(f"{place}: {key}: expected a port, or address:port, got '{text}'")
                if index:
                    self.imported.say(place, key, f"a second {kind} listener: not taken")
                    continue
                self.imported.put(f"{section}.{setting}", int(port))
                if address:
                    self.imported.put(f"{section}.address", address.strip("[]"))

    def users(self) -> None:
        """The first user, as it is on a new node."""
        name, password = self.pop("default_user"), self.pop("default_pass")
        tags = [key.rpartition(".")[2] for key in self.keys("default_user_tags.") if self.said.pop(key)[1] == "true"]
        verbs = ("configure", "write", "read")
        rights = {verb: found[1] for verb in verbs if (found := self.pop(f"default_permissions.{verb}"))}
        everywhere = self.pop("loopback_users")
        local = self.pop("loopback_users.guest")
        vhost = self.said["default_vhost"][1] if "default_vhost" in self.said else "/"
        is_open = (everywhere is not None and everywhere[1] == "none") or (local is not None and local[1] == "false")
        user: dict[str, Any] = {
            "name": name[1] if name else "guest",
            "password": password[1] if password else "guest",
            "tags": tags or ["administrator"],
            "permissions": [{"vhost": vhost, **rights}],
        }
        if user["name"] == "guest" and not is_open:
            user["loopback_only"] = True
        self.imported.put("users", [user])

    def backends(self) -> None:
        """`auth_backends.1 = ldap`, `auth_backends.2.authn = …`."""
        found: dict[str, Any] = {}
        for key in self.keys("auth_backends."):
            place, text = self.said.pop(key)
            number, _, half = key.removeprefix("auth_backends.").partition(".")
            name = BACKENDS.get(text.removeprefix("rabbit_auth_backend_"))
            if name is None:
                self.imported.say(place, key, f"there is no backend {text}: not taken")
            elif half:
                step = found.setdefault(number, {})
                step["authentication" if half == "authn" else "authorization"] = name
            else:
                found[number] = name
        if found:
            self.imported.put("authentication.backends", [found[number] for number in sorted(found)])
        server, port, secure = (
            self.pop("auth_ldap.servers.1"),
            self.pop("auth_ldap.port"),
            self.pop("auth_ldap.use_ssl"),
        )
        if server is not None:
            scheme = "ldaps" if secure is not None and truth(secure[1]) else "ldap"
            url = f"{scheme}://{server[1]}" + (f":{port[1]}" if port is not None else "")
            self.imported.put("authentication.ldap.url", url)
        aliases = {key: self.said.pop(key)[1] for key in self.keys("auth_oauth2.scope_aliases.")}
        if aliases:
            named = {key.removeprefix("auth_oauth2.scope_aliases."): text.split() for key, text in aliases.items()}
            self.imported.put("authentication.oauth.scope_aliases", named)
        claims = [self.said.pop(key)[1] for key in self.keys("auth_oauth2.preferred_username_claims.")]
        if claims:
            self.imported.put("authentication.oauth.preferred_username_claims", claims)

    def tls(self) -> None:
        """What is asked of clients' certificates."""
        verify, required = self.pop("ssl_options.verify"), self.pop("ssl_options.fail_if_no_peer_cert")
        if verify is not None and verify[1] == "verify_peer":
            is_required = required is not None and truth(required[1])
            self.imported.put("tls.verify", "required" if is_required else "optional")
        else:
            self.pop("ssl_options.cacertfile")  # a chain is not looked for there: tls.certificate may hold it
        versions = {self.said.pop(key)[1] for key in self.keys("ssl_options.versions.")}
        if versions == {"tlsv1.3"}:
            self.imported.put("tls.minimum_version", "1.3")
        elif versions & {"tlsv1", "tlsv1.1"}:
            self.imported.say(str(self.path), "ssl_options.versions", "TLS 1.2 or later is spoken")
        source = self.pop("ssl_cert_login_from")
        if source is not None and source[1] == "common_name":
            self.imported.put("authentication.certificate.name", "common_name")
        elif source is not None:
            text = "authentication.certificate.name says which name in a certificate is the user's"
            self.imported.say(source[0], "ssl_cert_login_from", f"{source[1]}: {text}")
