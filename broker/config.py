"""Settings: typed, read from YAML, validated once, handed down by constructors.

Owns the names, types and defaults of what the operator may set, and the words for what is wrong. Refuses to know what
the settings are used for.

Invariants: no setting does nothing; a wrong key or value is a `ConfigError` that names where it stands, the key, what
was expected and what was found; values given by `--set` win over the environment, the environment over the file, the
file over the defaults.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, field, inspect

from broker.authentication_settings import Authentication
from broker.environment import VariableError, variables
from broker.limits import Limits
from broker.logs import LogFormat, LogLevel
from broker.mqtt_settings import Mqtt as Mqtt
from broker.sections import LoginFailures, Milliseconds, Permission, Port, Section
from broker.settings_file import ConfigError as ConfigError
from broker.settings_file import read
from broker.telemetry_settings import Telemetry

Bytes = Annotated[int, Meta(ge=0)]


TLS_SECTIONS = ("amqp", "mqtt", "websocket", "management", "metrics")
"""The sections that have a `tls_port`."""
PROXIED_SECTIONS = ("amqp", "mqtt", "websocket", "management", "metrics")
"""The sections that have a `proxy_protocol`."""


SECRET = re.compile(r"(password|secret|token)[^.]*$")
"""The keys whose values nobody is shown."""


class Durability(Section, frozen=True):
    """When "yes" is said."""

    mode: Literal["fsync", "interval"] = "fsync"
    """`fsync`: nobody is told "yes" before the disk has it. `interval`: the disk has it at most `interval_ms` later."""
    interval_ms: Milliseconds = 10
    journal_bytes: Annotated[int, Meta(ge=0, le=1 << 36)] = 64 * 1024 * 1024
    """Batches are made durable here, half of it at a time, and brought into LMDB later. 0: each is an LMDB commit."""


class Memory(Section, frozen=True):
    """What messages may take of the machine's memory."""

    messages_bytes_max: Annotated[int, Meta(ge=1024 * 1024)] | None = None
    """Above this publishers are blocked until messages have left; null: 40 % of the machine's memory."""


class Amqp(Section, frozen=True):
    """The AMQP 0-9-1 listeners."""

    address: str = "::"
    """`::` takes IPv4 as well; `0.0.0.0` is IPv4 alone."""
    port: Port | None = 5672
    """Null: no plain listener."""
    tls_port: Port | None = None
    """Null: no TLS listener. Needs `tls.certificate` and `tls.key`. By custom 5671."""
    proxy_protocol: bool = False
    """Proxies of `proxy_protocol.trusted` say with a PROXY header in front of each connection who the client is."""
    frame_max: Annotated[int, Meta(ge=4096, le=16 * 1024 * 1024)] = 131_072
    channel_max: Annotated[int, Meta(ge=1, le=65535)] = 2047
    heartbeat_s: Annotated[int, Meta(ge=0, le=65535)] = 60
    """Proposed to clients; 0: none."""
    consumer_timeout_ms: Annotated[int, Meta(ge=0, le=315_360_000_000)] = 0
    """How long a client may hold a delivery without settling it, as RabbitMQ's `consumer_timeout`; 0: for ever."""


class WebSocket(Section, frozen=True):
    """The WebSocket listeners: MQTT under `/ws`, AMQP under `/amqp`, the native dialect under `/hubbub`."""

    address: str = "::"
    """`::` takes IPv4 as well; `0.0.0.0` is IPv4 alone."""
    port: Port | None = 15675
    """Null: no plain listener."""
    tls_port: Port | None = None
    """Null: no TLS listener. Needs `tls.certificate` and `tls.key`. By custom 15676."""
    proxy_protocol: bool = False
    """Proxies of `proxy_protocol.trusted` say with a PROXY header in front of each connection who the client is."""
    on_management_port: bool = True
    """Serve the same paths on `management.port`, too."""
    on_plain_ports: bool = False
    """Serve who begins with an HTTP request on the dialects' own plain ports, too (`amqp.port`, `mqtt.port`)."""
    origins: list[str] = field(default_factory=list)
    """The pages that may connect, as browsers name them: `https://example.org`. None: all of them."""
    trusted_proxies: list[str] = field(default_factory=list)
    """Addresses or networks whose X-Forwarded-For says where a client is."""
    deflate: bool = False
    """Agree to permessage-deflate: fewer bytes for much more work."""
    ping_interval_s: Annotated[int, Meta(ge=0, le=86_400)] = 30
    """A peer that is silent for so long is asked; one that does not answer in as long is cut. 0: none is."""


class ProxyProtocol(Section, frozen=True):
    """Load balancers that speak the PROXY protocol, version 1 or 2."""

    trusted: list[str] = field(default_factory=list)
    """Addresses or networks whose PROXY header is believed, and must be there."""


class Certificate(Section, frozen=True):
    """A certificate for clients that ask for one of its names. Paths of PEM files."""

    certificate: str
    key: str
    names: list[Annotated[str, Meta(min_length=1, max_length=255)]] = field(default_factory=list)
    """Host names, `*.example.org` among them; none: those in the certificate (SAN)."""


class Tls(Section, frozen=True):
    """The certificates that the TLS listeners show, and what they ask of clients. Paths of PEM files."""

    certificate: str | None = None
    """Shown to who asks for no name, or for an unknown one."""
    key: str | None = None
    certificates: list[Certificate] = field(default_factory=list)
    """More of them, chosen by the name that the client asks for (SNI)."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    reload_interval_s: Annotated[int, Meta(ge=0, le=86_400)] = 5
    """How often it is looked whether the files have changed; 0: only SIGHUP reads them anew."""
    ca: str | None = None
    """Who signs the clients' certificates."""
    verify: Literal["none", "optional", "required"] = "none"


class Management(Section, frozen=True):
    """The HTTP API and the overview page."""

    address: str = "127.0.0.1"
    port: Port | None = 15672
    """Null: none."""
    tls_port: Port | None = None
    """Null: no HTTPS. Needs `tls.certificate` and `tls.key`. By custom 15671."""
    proxy_protocol: bool = False
    """Proxies of `proxy_protocol.trusted` say with a PROXY header in front of each connection who the client is."""


class Events(Section, frozen=True):
    """What happens to connections, queues, users and so on, as messages."""

    exchange: bool = False
    """Publish it to the topic exchange `amq.rabbitmq.event`, as RabbitMQ's plugin does."""
    vhost: Annotated[str, Meta(min_length=1, max_length=255)] = "/"
    """Where that exchange is."""


class Audit(Section, frozen=True):
    """Logins and changes, as JSON lines in a file."""

    file: str | None = None
    """Null: none is written."""
    objects: bool = False
    """Also who declares and deletes queues, exchanges and bindings."""


class Metrics(Section, frozen=True):
    """Prometheus's endpoint, without a login."""

    address: str = "127.0.0.1"
    port: Port | None = 15692
    """Null: none."""
    tls_port: Port | None = None
    """Null: no HTTPS. Needs `tls.certificate` and `tls.key`. By custom 15691."""
    proxy_protocol: bool = False
    """Proxies of `proxy_protocol.trusted` say with a PROXY header in front of each connection who the client is."""
    objects_max: Annotated[int, Meta(ge=1)] = 10_000
    """So many queues, exchanges, connections and channels are shown one by one; what is left out is said."""


class User(Section, frozen=True):
    """A user of a new store. Once there are users in the store, those alone count."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    password: str
    tags: list[str] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=lambda: [Permission()])
    loopback_only: bool = False
    """May log in only from this machine."""


class Anonymous(Section, frozen=True):
    """SASL ANONYMOUS."""

    enabled: bool = False
    user: str = "guest"
    """As whom an anonymous client acts."""


class Log(Section, frozen=True):
    """The log on standard error."""

    format: LogFormat = "text"
    level: LogLevel = "info"
    stall_ms: Annotated[int, Meta(ge=0)] = 100
    """Whatever keeps the event loop for longer is logged; 0: nothing is."""


def _default_users() -> list[User]:
    return [User(name="guest", password="guest", tags=["administrator"], loopback_only=True)]


class Settings(Section, frozen=True):
    """Everything that the operator may set."""

    data_dir: Annotated[str, Meta(min_length=1)] = "data"
    disk_free_min_bytes: Bytes = 50_000_000
    """With less than this free on the disk of `data_dir`, publishers are blocked."""
    drain_after_s: Annotated[int, Meta(ge=0, le=3600)] = 0
    """Told to stop, the broker is not ready at once, and stops so much later: time for load balancers."""
    durability: Durability = field(default_factory=Durability)
    memory: Memory = field(default_factory=Memory)
    amqp: Amqp = field(default_factory=Amqp)
    mqtt: Mqtt = field(default_factory=Mqtt)
    tls: Tls = field(default_factory=Tls)
    proxy_protocol: ProxyProtocol = field(default_factory=ProxyProtocol)
    websocket: WebSocket = field(default_factory=WebSocket)
    management: Management = field(default_factory=Management)
    metrics: Metrics = field(default_factory=Metrics)
    telemetry: Telemetry = field(default_factory=Telemetry)
    events: Events = field(default_factory=Events)
    audit: Audit = field(default_factory=Audit)
    login_failures: LoginFailures = field(default_factory=LoginFailures)
    users: list[User] = field(default_factory=_default_users)
    anonymous: Anonymous = field(default_factory=Anonymous)
    authentication: Authentication = field(default_factory=Authentication)
    vhosts: list[Annotated[str, Meta(min_length=1, max_length=255)]] = field(default_factory=lambda: ["/"])
    definitions_file: str | None = None
    """Taken at every start, as `hubbub definitions import` would: queues, exchanges, users and so on."""
    limits: Limits = field(default_factory=Limits)
    log: Log = field(default_factory=Log)


def load(
    path: Path | None = None,
    assignments: Sequence[str] = (),
    *,
    data_dir: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from a YAML file, the environment's `HUBBUB_…`, `key=value` assignments, and the data directory.

    What comes later wins. Raises ConfigError.
    """
    tree: dict[str, Any] = {}
    places: dict[str, str] = {}
    if path is not None:
        tree = read(path, places)
    try:
        for name, key, text in variables(environment or {}, keys()):
            _put(tree, places, key, text, name)
    except VariableError as error:
        raise ConfigError(str(error)) from None
    for assignment in assignments:
        _assign(tree, places, assignment)
    if data_dir is not None:
        tree["data_dir"] = data_dir
        places["data_dir"] = "--data-dir"
    fallback = str(path) if path is not None else "configuration"
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), tree, places, fallback)) from None
    for key, text in _contradictions(settings):
        raise ConfigError(f"{_place(key, places, fallback)}: {key}: {text}")
    return settings


def dumped(sections: dict[str, Any]) -> str:
    """As YAML."""
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)


def shown(settings: Settings) -> dict[str, Any]:
    """All of them, by sections; secrets are hidden."""
    hidden: dict[str, Any] = _hidden(msgspec.to_builtins(settings))
    return hidden


def keys(section: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key, with dots."""
    for each in msgspec.structs.fields(section):
        if isinstance(each.type, type) and issubclass(each.type, msgspec.Struct):
            yield from keys(each.type, f"{prefix}{each.name}.")
        else:
            yield prefix + each.name


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "***" if isinstance(inner, str) and SECRET.search(key) else _hidden(inner)
            for key, inner in value.items()
        }
    return [_hidden(each) for each in value] if isinstance(value, list) else value


# ── values one by one ─────────────────────────────────────────────────────────────────────────────────────────────────


def _assign(tree: dict[str, Any], places: dict[str, str], assignment: str) -> None:
    """`--set amqp.port=5673`."""
    key, equals, text = assignment.partition("=")
    place = f"--set {assignment}"
    if not equals or not all(key.strip().split(".")):
        raise ConfigError(f"{place}: expected key=value")
    _put(tree, places, key.strip(), text, place)


def _put(tree: dict[str, Any], places: dict[str, str], key: str, text: str, place: str) -> None:
    """The value is YAML, except where text is expected."""
    names = key.split(".")
    inner = tree
    for depth, name in enumerate(names[:-1]):
        inner = inner.setdefault(name, {})
        places.setdefault(".".join(names[: depth + 1]), place)
        if not isinstance(inner, dict):
            raise ConfigError(f"{place}: {'.'.join(names[: depth + 1])}: expected a section")
    if isinstance(_type_of(key), inspect.StrType):
        value: Any = text
    else:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"{place}: {key}: expected YAML") from None
    inner[names[-1]] = value
    places[key] = place


# ── explaining ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is wrong between settings that are each right."""
    tls, amqp = settings.tls, settings.amqp
    secured = {name: getattr(settings, name).tls_port is not None for name in TLS_SECTIONS}
    for name in TLS_SECTIONS:
        if secured[name] and not (tls.certificate and tls.key):
            yield f"{name}.tls_port", "expected tls.certificate and tls.key as well"
    if not any(secured.values()) and (tls.certificate or tls.key or tls.ca or tls.certificates):
        ports = " or ".join(f"{name}.tls_port" for name in TLS_SECTIONS)
        yield "tls", f"expected {ports} as well: without it no listener uses the certificate"
    if tls.verify != "none" and not tls.ca:
        yield "tls.verify", f"expected tls.ca as well, to verify clients as `{tls.verify}`"
    if settings.authentication.certificate.mqtt and tls.verify == "none":
        yield "authentication.certificate.mqtt", "expected tls.verify as well: nobody shows a certificate without it"
    for key, proxies in (
        ("websocket.trusted_proxies", settings.websocket.trusted_proxies),
        ("proxy_protocol.trusted", settings.proxy_protocol.trusted),
        ("login_failures.shared", settings.login_failures.shared),
    ):
        for index, proxy in enumerate(proxies):
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                yield f"{key}[{index}]", f"expected an address or a network, got `{proxy}`"
    proxied = [name for name in PROXIED_SECTIONS if getattr(settings, name).proxy_protocol]
    if proxied and not settings.proxy_protocol.trusted:
        yield f"{proxied[0]}.proxy_protocol", "expected proxy_protocol.trusted as well: whose headers are believed"
    if settings.proxy_protocol.trusted and not proxied:
        sections = " or ".join(f"{name}.proxy_protocol" for name in PROXIED_SECTIONS)
        yield "proxy_protocol.trusted", f"expected {sections} as well: without it no listener reads a header"
    if settings.limits.http_head_bytes_max >= settings.limits.read_bytes_max:
        yield (
            "limits.http_head_bytes_max",
            f"expected less than limits.read_bytes_max, {settings.limits.read_bytes_max}",
        )
    for name in ("certificate", "key", "ca"):
        file = getattr(tls, name)
        if file is not None and not Path(file).is_file():
            yield f"tls.{name}", f"expected a file, got `{file}`, which there is not"
    for index, each in enumerate(tls.certificates):
        for name in ("certificate", "key"):
            file = getattr(each, name)
            if not Path(file).is_file():
                yield f"tls.certificates[{index}].{name}", f"expected a file, got `{file}`, which there is not"
    yield from settings.authentication.contradictions()
    for index, rule in enumerate(settings.mqtt.acls):
        yield from rule.contradictions(f"mqtt.acls[{index}]")
    if settings.limits.read_bytes_max < 2 * amqp.frame_max:
        yield "limits.read_bytes_max", f"expected at least {2 * amqp.frame_max}, twice amqp.frame_max"
    if (settings.mqtt.session_overflow == "dead-letter") != (settings.mqtt.dead_letter_exchange is not None):
        yield "mqtt.dead_letter_exchange", "expected with `mqtt.session_overflow: dead-letter`, and only then"
    if settings.anonymous.enabled and settings.anonymous.user not in {user.name for user in settings.users}:
        yield "anonymous.user", f"expected one of users, got `{settings.anonymous.user}`"
    for index, user in enumerate(settings.users):
        for number, permission in enumerate(user.permissions):
            yield from permission.contradictions(f"users[{index}].permissions[{number}]")
    for name in Limits.__struct_fields__:
        if getattr(settings.limits, name) < 1:
            yield f"limits.{name}", f"expected `int` >= 1, got `{getattr(settings.limits, name)}`"


def _explain(text: str, tree: Any, places: dict[str, str], fallback: str) -> str:
    """msgspec's error in the operator's words, with the place where the key stands."""
    text, _, path = text.partition(" - at `$")
    key = path.rstrip("`").removeprefix(".")
    unknown = re.search(r"unknown field `(.*?)`", text)
    missing = re.search(r"missing required field `(.*?)`", text)
    if unknown:
        name = f"{key}.{unknown.group(1)}" if key else unknown.group(1)
        known = _names_in(key)
        near = difflib.get_close_matches(unknown.group(1), known, n=1, cutoff=0.5)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"{_place(name, places, fallback)}: {name}: expected one of {', '.join(known)}, got an unknown key{hint}"
    if missing:
        return f"{_place(key, places, fallback)}: {key}.{missing.group(1)}: expected a value, got none"
    expected = _type_of(key)
    if isinstance(expected, inspect.LiteralType) and "enum" in text:
        text = f"expected one of {', '.join(sorted(map(str, expected.values)))}"
    text = text[:1].lower() + text[1:]
    if ", got" not in text:
        text = f"{text}, got " + ("another value" if SECRET.search(key) else f"`{_at(tree, key)}`")
    return f"{_place(key, places, fallback)}: {key}: {text}"


def _steps(key: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", key)


def _at(tree: Any, key: str) -> Any:
    for step in _steps(key):
        tree = tree[int(step)] if isinstance(tree, list) else tree[step]
    return tree


def _place(key: str, places: dict[str, str], fallback: str) -> str:
    """Where the key stands, or else the nearest section around it."""
    while key and key not in places:
        key = re.sub(r"(\.|^)[^.\[]+$|\[\d+\]$", "", key)
    return places.get(key, fallback)


def _type_of(key: str) -> inspect.Type | None:
    """What is expected at `key`, without an alternative null; None for an unknown key."""
    found: inspect.Type | None = inspect.type_info(Settings)
    for step in _steps(key):
        if isinstance(found, inspect.StructType):
            found = next((each.type for each in found.fields if each.name == step), None)
        elif isinstance(found, inspect.ListType):
            found = found.item_type
        else:
            return None
        if isinstance(found, inspect.UnionType):
            found = next(each for each in found.types if not isinstance(each, inspect.NoneType))
    return found


def _names_in(key: str) -> list[str]:
    section = _type_of(key)
    return [each.name for each in section.fields] if isinstance(section, inspect.StructType) else []
