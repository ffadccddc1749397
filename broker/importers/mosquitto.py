"""A mosquitto.conf in Hubbub's settings: listeners, TLS, passwords, limits.

Owns Mosquitto's words (mosquitto.conf(5), 2.0), what each becomes, and what is said of those that become nothing.
Refuses to write anything. The password file is used as it is: `authentication.password_file` reads its format.

    mosquitto.conf ─▶ lines (with include_dir) ─▶ Listener per `listener`, everything else by TAKEN ─▶ Imported
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from broker.importers.findings import Imported, ImportFailedError
from broker.importers.mosquitto_acl import read_rules
from broker.importers.mosquitto_dynsec import read_store
from broker.importers.mosquitto_words import DROPPED, LISTENER_WORDS, TAKEN, WrongValueError

LINES_MAX = 100_000
INCLUDES_MAX = 1000
ANONYMOUS = "anonymous"
LEVELS = ("debug", "info", "warning", "error")
DYNAMIC_SECURITY = "mosquitto_dynamic_security"
PLUGIN_WORDS = ("plugin", "global_plugin", "plugin_load", "auth_plugin")
STORE_WORDS = ("plugin_opt_config_file", "auth_opt_config_file")
PASSWORDS = "passwords"
LOGIN_WORDS = ("allow_anonymous", "password_file", "acl_file", "per_listener_settings")


class Line(NamedTuple):
    """One option. `place`: `file:line`."""

    place: str
    word: str
    value: str


@dataclass
class Listener:
    """One `listener`, with the options below it."""

    place: str
    port: int
    address: str
    options: dict[str, Line] = field(default_factory=dict)

    @property
    def section(self) -> str:
        """Whose port it becomes."""
        protocol = self.options.get("protocol")
        return "websocket" if protocol is not None and protocol.value == "websockets" else "mqtt"

    @property
    def is_tls(self) -> bool:
        """Whether it shows a certificate."""
        return "certfile" in self.options


def read(path: Path) -> Imported:
    """What the file says, in Hubbub's words. Raises ImportFailedError."""
    imported = Imported()
    general, listeners = sort(imported, list(lines_of(path)))
    for line in general:
        take(imported, line)
    use_listeners(imported, listeners, path)
    use_logins(imported, [line for line in general if line.word in LOGIN_WORDS], listeners)
    use_dynamic_security(imported, general)
    if imported.get("mqtt.session_messages_max") or imported.get("mqtt.session_bytes_max"):
        imported.put("mqtt.session_overflow", "drop-tail")
    if not any(line.word == "max_queued_messages" for line in general):
        imported.say(
            str(path), "max_queued_messages", "Mosquitto's default is 1000; here any number waits for a session "
            "(mqtt.session_messages_max)",
        )  # fmt: skip
    return imported


def lines_of(path: Path, depth: int = 0) -> Iterator[Line]:
    """The options of a file, and of the directories that it includes (*.conf, in the order of their names)."""
    if depth > 1:
        raise ImportFailedError(f"{path}: include_dir in an included file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImportFailedError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ImportFailedError(f"{path}: expected UTF-8 text") from None
    for number, raw in enumerate(text.splitlines()[:LINES_MAX], 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        word, _, value = line.partition(" ")
        if word == "include_dir":
            directory = Path(value.strip())
            if not directory.is_dir():
                raise ImportFailedError(f"{path}:{number}: include_dir: there is no directory {directory}")
            for each in sorted(directory.glob("*.conf"))[:INCLUDES_MAX]:
                yield from lines_of(each, depth + 1)
            continue
        yield Line(f"{path}:{number}", word, value.strip())


def sort(imported: Imported, lines: list[Line]) -> tuple[list[Line], list[Listener]]:
    """The general options, and the listeners with theirs; bridges are told of."""
    general: list[Line] = []
    listeners: list[Listener] = []
    default = Listener("", 1883, "")  # what stands before the first listener is the default one's
    listener, in_bridge = default, False
    for line in lines:
        if line.word == "listener":
            port, _, address = line.value.partition(" ")
            if not port.isdigit():
                raise ImportFailedError(f"{line.place}: listener: expected a port, got '{port}'")
            listener, in_bridge = Listener(line.place, int(port), address.strip()), False
            listeners.append(listener)
        elif line.word == "connection":
            in_bridge = True
            imported.say(line.place, f"connection {line.value}", "bridges between brokers are not there: not taken")
        elif in_bridge:
            imported.say(line.place, line.word, "of a bridge: not taken")
        elif line.word in ("port", "bind_address"):
            default.place = default.place or line.place
            if line.word == "port":
                default.port = number(line)
            else:
                default.address = line.value
        elif line.word in LISTENER_WORDS:
            listener.options[line.word] = line
        else:
            general.append(line)
    if default.place or not listeners:
        listeners.insert(0, default)
    elif default.options:
        for line in default.options.values():
            imported.say(line.place, line.word, "stands before the first listener, of a default one that is not there")
    return general, listeners


def number(line: Line) -> int:
    """Its value."""
    if not re.fullmatch(r"-?\d+", line.value):
        raise ImportFailedError(f"{line.place}: {line.word}: expected a number, got '{line.value}'")
    return int(line.value)


def take(imported: Imported, line: Line) -> None:
    """A general option: a setting, or a sentence."""
    taken = TAKEN.get(line.word)
    if taken is not None:
        try:
            key, value, text = taken(line.value)
        except WrongValueError as error:
            raise ImportFailedError(f"{line.place}: {line.word}: {error}") from None
        if key == "log.level":  # said once for each kind of line
            value = min(value, imported.get(key) or value, key=LEVELS.index)
        if key:
            imported.put(key, value)
        if text:
            imported.say(line.place, line.word, text)
    elif line.word in PLUGIN_WORDS and DYNAMIC_SECURITY in line.value:
        pass  # use_dynamic_security takes it
    elif line.word in DROPPED:
        imported.say(line.place, line.word, DROPPED[line.word])
    elif line.word.startswith(("auth_opt_", "plugin_opt_")):
        if line.word not in STORE_WORDS:
            imported.say(line.place, line.word, "of a plugin: not taken")
    elif line.word not in LOGIN_WORDS:
        imported.say(line.place, line.word, "unknown option: not taken")


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def use_listeners(imported: Imported, listeners: list[Listener], path: Path) -> None:
    """One plain and one TLS port of each kind."""
    imported.put("amqp.port", None)
    imported.put("mqtt.port", None)
    imported.put("websocket.port", None)
    imported.say(str(path), "amqp", "Hubbub speaks AMQP, too: amqp.port is off here, 5672 turns it on")
    for listener in listeners:
        use_listener(imported, listener, str(path))
    has_tls = any(imported.get(f"{section}.tls_port") is not None for section in ("mqtt", "websocket"))
    if has_tls:
        use_client_certificates(imported, listeners)


def use_listener(imported: Imported, listener: Listener, path: str) -> None:
    """Its port, address and certificate."""
    place = listener.place or path
    what = f"listener {listener.port}"
    key = f"{listener.section}.{'tls_port' if listener.is_tls else 'port'}"
    kind = f"{'TLS' if listener.is_tls else 'plain'} {listener.section} listener"
    if listener.port == 0:
        imported.say(place, what, "a UNIX socket: not taken")
        return
    if imported.get(key) is not None:
        imported.say(place, what, f"a second {kind}: not taken; there is one, on {imported.get(key)}")
        return
    imported.put(key, listener.port)
    address = listener.address or ("::" if listener.place else "127.0.0.1")
    before = imported.get(f"{listener.section}.address")
    if before is not None and before != address:
        imported.say(place, what, f"listens on {before}, too: all ports of `{listener.section}` have one address")
    else:
        imported.put(f"{listener.section}.address", address)
    if listener.section == "websocket":
        imported.say(place, what, "MQTT over WebSocket is at the path /ws; Mosquitto takes any")
    for word, text in LISTENER_WORDS.items():
        line = listener.options.get(word)
        if line is not None and text:
            imported.say(line.place, word, text)
    if listener.is_tls:
        use_certificate(imported, listener)
    use_connections(imported, listener)


def use_certificate(imported: Imported, listener: Listener) -> None:
    """The first is everybody's, another one is shown by name (SNI)."""
    certificate, key = listener.options["certfile"], listener.options.get("keyfile")
    if key is None:
        raise ImportFailedError(f"{certificate.place}: certfile: expected keyfile as well")
    if imported.get("tls.certificate") in (None, certificate.value):
        imported.put("tls.certificate", certificate.value)
        imported.put("tls.key", key.value)
        return
    several = imported.get("tls.certificates") or []
    imported.put("tls.certificates", [*several, {"certificate": certificate.value, "key": key.value}])
    imported.say(
        certificate.place, "certfile", "all TLS ports show the same certificates, chosen by the name that is asked for"
    )


def use_client_certificates(imported: Imported, listeners: list[Listener]) -> None:
    """What TLS asks of clients, of all listeners alike."""
    wanted = {}
    for listener in listeners:
        options = listener.options
        if not listener.is_tls:
            continue
        required = options.get("require_certificate")
        wanted[listener.port] = required is not None and required.value == "true"
        if required is not None and required.value == "true":
            if "cafile" not in options:
                raise ImportFailedError(f"{required.place}: require_certificate: expected cafile as well")
            imported.put("tls.ca", options["cafile"].value)
            imported.put("tls.verify", "required")
        identity = options.get("use_identity_as_username")
        if identity is not None and identity.value == "true":
            imported.put("authentication.certificate.mqtt", True)
            imported.say(
                identity.place, identity.word, "a client that gives no password is whom its certificate names, who "
                "must exist here: `hubbub user add`, or in the password file",
            )  # fmt: skip
        version = options.get("tls_version")
        if version is not None and version.value == "tlsv1.3":
            imported.put("tls.minimum_version", "1.3")
        elif version is not None and version.value != "tlsv1.2":
            imported.say(version.place, "tls_version", f"{version.value} is not spoken: TLS 1.2 or later")
    if len(set(wanted.values())) > 1:
        ports = ", ".join(str(port) for port, required in wanted.items() if not required)
        imported.say(str(listeners[0].place), "require_certificate", f"is asked on all TLS ports, on {ports}, too")


def use_connections(imported: Imported, listener: Listener) -> None:
    """A limit of the listener is the broker's here."""
    line = listener.options.get("max_connections")
    if line is None or number(line) < 0:
        return
    before = imported.get("limits.connections_max") or 0
    imported.put("limits.connections_max", before + number(line))
    imported.say(line.place, "max_connections", "limits.connections_max is the sum, over all ports")


# ── logins ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def use_logins(imported: Imported, lines: list[Line], listeners: list[Listener]) -> None:
    """Who may come in: Mosquitto 2 lets everybody in only where no listener was set up."""
    said: dict[str, list[Line]] = {word: [line for line in lines if line.word == word] for word in LOGIN_WORDS}
    for line in said["per_listener_settings"]:
        if line.value == "true":
            imported.say(line.place, line.word, "logins are the same on all listeners here")
    anonymous = said["allow_anonymous"][0] if said["allow_anonymous"] else None
    for line in said["allow_anonymous"][1:]:
        if anonymous is not None and line.value != anonymous.value:
            imported.say(line.place, line.word, f"is `{anonymous.value}` for all listeners")
    passwords, rules = said["password_file"], said["acl_file"]
    is_local = all(not listener.place for listener in listeners)
    if anonymous.value == "true" if anonymous is not None else is_local:
        imported.put("mqtt.anonymous", "always")
        imported.put("mqtt.anonymous_user", ANONYMOUS)
        user = {"name": ANONYMOUS, "password": secrets.token_urlsafe(24)}
        imported.put("users", [user])
        place = anonymous.place if anonymous is not None else "default"
        imported.say(
            place, "allow_anonymous", f"clients without a name act as the user `{ANONYMOUS}`, whose password is random"
        )
    else:
        imported.put("mqtt.anonymous", "never")
        imported.put("users", [])
    for line in passwords[:1]:
        imported.put("authentication.backends", ["password_file", "internal"])
        imported.put("authentication.password_file.path", line.value)
        imported.say(line.place, "password_file", "is used as it is, and may stay where it is")
    for line in passwords[1:]:
        imported.say(line.place, "password_file", "a second one: not taken")
    use_rules(imported, rules)
    imported.say(
        "default",
        "management",
        "the HTTP API wants a user with a tag: add one to `users`, or a line `name:hash:tag`",
    )


def use_rules(imported: Imported, lines: list[Line]) -> None:
    """The first ACL file; without one everything is allowed, as in Mosquitto."""
    for line in lines[1:]:
        imported.say(line.place, line.word, "a second one: not taken")
    for line in lines[:1]:
        anonymous = ANONYMOUS if imported.get("mqtt.anonymous") == "always" else None
        imported.put("mqtt.acls", read_rules(imported, Path(line.value), anonymous))
        imported.put("mqtt.acl_default", "deny")
        imported.say(
            line.place,
            line.word,
            "Mosquitto grants any subscription and leaves out what may not be read; here one that no rule covers is "
            "refused",
        )


def use_dynamic_security(imported: Imported, lines: list[Line]) -> None:
    """What the plugin of that name has in its file, if it is loaded: it comes before password and ACL files."""
    plugins = [line for line in lines if line.word in PLUGIN_WORDS and DYNAMIC_SECURITY in line.value]
    stores = [line for line in lines if line.word in STORE_WORDS]
    if not plugins:
        for line in stores:
            imported.say(line.place, line.word, "of a plugin: not taken")
        return
    if not stores:
        raise ImportFailedError(f"{plugins[0].place}: {plugins[0].word}: expected plugin_opt_config_file as well")
    for line in (line for line in lines if line.word in ("password_file", "acl_file")):
        imported.say(line.place, line.word, "NOT TAKEN: the dynamic security plugin's users and roles are")
    anonymous = ANONYMOUS if imported.get("mqtt.anonymous") == "always" else None
    text, rules = read_store(imported, Path(stores[0].value), anonymous)
    imported.put("authentication.backends", ["password_file", "internal"])
    imported.files[PASSWORDS] = ("authentication.password_file.path", text)
    imported.put("mqtt.acls", rules)
    imported.put("mqtt.acl_default", "deny")
    imported.say(
        stores[0].place, stores[0].word, "clients, groups and roles are taken as they are now: `hubbub acl` and "
        f"`hubbub user` change them from then on, and the file `{PASSWORDS}`",
    )  # fmt: skip
