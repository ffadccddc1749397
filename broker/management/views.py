"""Queues, exchanges, bindings, connections, channels and consumers as JSON, in RabbitMQ's shape.

Owns presentation: the core knows nothing of it. What RabbitMQ has no word for stands under `hubbub`. Objects of any
dialect are shown by what they have: a connection without channels has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from broker.core.errors import CoreError
from broker.core.held import first_held, on_disk_only
from broker.core.properties import decode_table
from broker.management.rates import DATA_RATES, LENGTHS, AskedRates

NODE = "hubbub@localhost"

# RabbitMQ's names for sums of the ledger's (core.ledger). `redeliver` is a part of the deliveries, not one more kind.
MESSAGE_STATS = {
    "publish": ("accepted",),
    "deliver": ("delivered",),
    "deliver_no_ack": ("delivered_no_ack",),
    "get": ("got",),
    "get_no_ack": ("got_no_ack",),
    "get_empty": ("get_empty",),
    "deliver_get": ("delivered", "delivered_no_ack", "got", "got_no_ack"),
    "ack": ("acknowledged",),
    "redeliver": ("redelivered",),
}
TYPES_SHORT = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}
"""Attribute types of a distinguished name, as RFC 4514 abbreviates them."""
EXCHANGE_STATS = {"publish_in": ("published",), "publish_out": ("routed",)}


def message_stats(counts: Mapping[str, int], named: Mapping[str, Iterable[str]] = MESSAGE_STATS) -> dict[str, int]:
    """A ledger in RabbitMQ's words."""
    return {name: sum(counts.get(word, 0) for word in words) for name, words in named.items()}


def plain(value: object) -> Any:
    """A field-table value as JSON can hold it."""
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


# ── queues and exchanges ──────────────────────────────────────────────────────────────────────────────────────────────


def queue_head(vhost: Any, each: Any) -> dict[str, Any]:
    """What is said of a queue without looking at its messages."""
    policies = vhost.policies
    policy = policies.for_queue(each.name, each.settings.queue_type)
    operator = policies.for_queue(each.name, each.settings.queue_type, operator=True)
    owner = each.exclusive_owner
    return {
        "name": each.name,
        "vhost": vhost.name,
        "node": NODE,
        "type": each.settings.queue_type,
        "state": "running",
        "durable": each.durable,
        "auto_delete": each.auto_delete,
        "exclusive": owner is not None,
        "owner_pid_details": owner_details(owner),
        "arguments": plain(each.arguments),
        "policy": policy.name if policy is not None else None,
        "operator_policy": operator.name if operator is not None else None,
        "effective_policy_definition": {
            **(policy.definition if policy is not None else {}),
            **(operator.definition if operator is not None else {}),
        },
    }


def queue_totals(each: Any) -> dict[str, int]:
    """How many messages a queue has."""
    return {
        "messages": each.ready_count + each.unacked_count,
        "messages_ready": each.ready_count,
        "messages_unacknowledged": each.unacked_count,
    }


def queue(vhost: Any, each: Any, rates: AskedRates) -> dict[str, Any]:
    """One element of `GET /api/queues`."""
    counts = each.counts
    return {
        **queue_head(vhost, each),
        **rates.with_rates(("queue", vhost.name, each.name, "depth"), queue_totals(each), LENGTHS),
        **places(each),
        "message_bytes": each.ready_bytes + each.unacked_bytes,
        "message_bytes_ready": each.ready_bytes,
        "message_bytes_unacknowledged": each.unacked_bytes,
        "message_bytes_ram": each.memory_bytes,
        "memory": each.memory_bytes,
        "consumers": len(each.consumers),
        "consumer_capacity": 1.0 if len(each.consumers) and not each.ready_count else 0.0,
        "consumer_utilisation": 1.0 if len(each.consumers) and not each.ready_count else 0.0,
        "exclusive_consumer_tag": next((consumer.tag for consumer in each.consumers if consumer.exclusive), None),
        "single_active_consumer_tag": each.consumers.active.tag if each.consumers.active is not None else None,
        "head_message_timestamp": timestamp(first_held(each)),
        "message_stats": rates.with_rates(("queue", vhost.name, each.name), message_stats(counts)),
        "idle_since": rates.idle_since(("queue", vhost.name, each.name)),
        "recoverable_slaves": None,
        "hubbub": {"ledger": dict(counts)},
    }


def places(each: Any) -> dict[str, int]:
    """Which of a queue's messages are in memory, and which on disk alone."""
    messages, size = on_disk_only(each)
    return {
        "messages_ready_ram": each.ready_count - messages,
        "messages_unacknowledged_ram": each.unacked_count,
        "messages_ram": each.ready_count - messages + each.unacked_count,
        "messages_paged_out": messages,
        "message_bytes_paged_out": size,
    }


def timestamp(message: Any) -> int | None:
    """What the publisher says of when it was made, in seconds since 1970; None where it says nothing."""
    try:
        said = message.properties.get("timestamp") if message is not None else None
    except (ValueError, CoreError):  # a broken property list
        return None
    return int(said) if isinstance(said, int) else None  # without its field type


def owner_details(owner: Any) -> dict[str, Any]:
    """The connection that has a queue for itself."""
    return connection_details(owner) if hasattr(owner, "peer") else {}


def exchange(vhost: Any, each: Any, rates: AskedRates) -> dict[str, Any]:
    """One element of `GET /api/exchanges`."""
    policy = vhost.policies.for_exchange(each.name)
    stats = message_stats(each.counts, EXCHANGE_STATS)
    return {
        "name": each.name,
        "vhost": vhost.name,
        "type": each.type,
        "durable": each.durable,
        "auto_delete": each.auto_delete,
        "internal": each.internal,
        "arguments": plain(each.arguments),
        "policy": policy.name if policy is not None else None,
        "user_who_performed_action": "",
        "message_stats": rates.with_rates(("exchange", vhost.name, each.name), stats),
        "hubbub": {"counts": dict(each.counts)},
    }


def binding(vhost: Any, each: Any) -> dict[str, Any]:
    """One element of `GET /api/bindings`."""
    key = each.key.decode(errors="replace")
    return {
        "source": each.source.name,
        "vhost": vhost.name,
        "destination": each.destination.name,
        "destination_type": each.destination_kind,
        "routing_key": key,
        "arguments": plain(each.arguments),
        "properties_key": properties_key(key, each.arguments),
    }


def default_binding(vhost: Any, name: str) -> dict[str, Any]:
    """How the nameless exchange is bound to every queue (AMQP 0-9-1 §3.1.3.1)."""
    return {
        "source": "",
        "vhost": vhost.name,
        "destination": name,
        "destination_type": "queue",
        "routing_key": name,
        "arguments": {},
        "properties_key": properties_key(name, {}),
    }


def properties_key(routing_key: str, arguments: Mapping[str, Any]) -> str:
    """What tells bindings between the same two apart, in a URL: RabbitMQ's `~`, the key, or key and digest."""
    quoted = quote(routing_key, safe="").replace("~", "%7E")
    if arguments:
        text = ",".join(f"{name}={plain(value)}" for name, value in sorted(arguments.items()))
        return f"{quoted}~{quote(text, safe='')}"
    return quoted or "~"


# ── connections, channels, consumers ──────────────────────────────────────────────────────────────────────────────────


def connection_name(each: Any) -> str:
    """`127.0.0.1:50000 -> 127.0.0.1:5672`: RabbitMQ's name."""
    return f"{each.peer} -> {each.listener}"


def channel_name(each: Any) -> str:
    """`127.0.0.1:50000 -> 127.0.0.1:5672 (1)`: RabbitMQ's name."""
    return f"{connection_name(each.connection)} ({each.number})"


def address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:5000` or `[::1]:5000`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0


def connection_details(each: Any) -> dict[str, Any]:
    """How other objects refer to a connection."""
    host, port = address(each.peer)
    return {"name": connection_name(each), "peer_host": host, "peer_port": port}


def user_name(each: Any) -> str:
    """Who is logged in; empty before the login."""
    user = getattr(each, "user", None)
    return user.name if user is not None else ""


def vhost_name(each: Any) -> str:
    """Where; empty before `connection.open`."""
    vhost = getattr(each, "vhost", None)
    return vhost.name if vhost is not None else ""


def connection(each: Any, rates: AskedRates) -> dict[str, Any]:
    """One element of `GET /api/connections`."""
    name = connection_name(each)
    host, port = address(each.listener)
    raw = getattr(each, "raw_client_properties", None)
    output = each.output
    octets = rates.with_rates(
        ("connection", each.number),
        {"recv_oct": output.bytes_received, "send_oct": output.bytes_sent},
        DATA_RATES,
    )
    return {
        "name": name,
        "node": NODE,
        "vhost": vhost_name(each),
        "user": user_name(each),
        "user_who_performed_action": user_name(each),
        "protocol": getattr(each, "protocol", ""),
        "state": "blocked" if getattr(each, "is_blocked", False) else "running",
        "type": "network",
        **{key: value for key, value in connection_details(each).items() if key != "name"},
        "host": host,
        "port": port,
        "ssl": each.tls is not None,
        **tls_details(each.tls),
        "send_pend": output.pending_bytes,
        "channels": len(getattr(each, "channels", ())),
        "channel_max": getattr(each, "channel_max", 0),
        "frame_max": getattr(each, "frame_max", 0),
        "timeout": getattr(each, "heartbeat_s", 0),
        "connected_at": getattr(each, "connected_ms", 0),
        "client_properties": plain(decode_table(raw)) if raw else {},
        "auth_mechanism": getattr(each, "auth_mechanism", ""),
        "hubbub": {"number": each.number, "is_slow": output.is_full, **getattr(each, "observed", {})},
        **octets,
    }


def tls_details(tls: Any) -> dict[str, str | None]:
    """What is known of a connection's TLS; all of it null where it has none."""
    version, cipher, shown = (
        (tls.version(), tls.cipher(), tls.getpeercert() or {}) if tls is not None else ("", None, {})
    )
    return {
        "ssl_protocol": version or None,
        "ssl_cipher": cipher[0] if cipher else None,
        "ssl_key_exchange": None,
        "ssl_hash": None,
        "peer_cert_subject": distinguished_name(shown.get("subject")),
        "peer_cert_issuer": distinguished_name(shown.get("issuer")),
        "peer_cert_validity": f"{shown['notBefore']} - {shown['notAfter']}" if "notAfter" in shown else None,
    }


def distinguished_name(parts: Any) -> str | None:
    """`O=Example,CN=client`, of what ssl.SSLSocket.getpeercert gives."""
    return ",".join(f"{TYPES_SHORT.get(key, key)}={value}" for part in parts for key, value in part) if parts else None


def consumers(vhost: Any) -> Iterator[dict[str, Any]]:
    """The elements of `GET /api/consumers/VHOST`."""
    for queue in list(vhost.queues.values()):
        yield from consumers_of(vhost, queue)


def consumers_of(vhost: Any, queue: Any) -> Iterator[dict[str, Any]]:
    """Those of one queue."""
    for each in list(queue.consumers):
        channel = getattr(each, "channel", None)
        yield {
            "consumer_tag": each.tag,
            "queue": {"name": queue.name, "vhost": vhost.name},
            "channel_details": channel_details(channel) if channel is not None else {},
            "ack_required": not each.no_ack,
            "exclusive": each.exclusive,
            "active": each.is_active,
            "activity_status": "single_active" if queue.consumers.single_active and each.is_active else "up",
            "prefetch_count": getattr(each, "prefetch_count", 0),
            "consumer_timeout": channel.connection.endpoint.consumer_timeout_of(queue) if channel is not None else 0,
            "arguments": plain(each.arguments or {}),
        }


def channel_details(each: Any) -> dict[str, Any]:
    """How other objects refer to a channel."""
    parent = each.connection
    host, port = address(parent.peer)
    return {
        "name": channel_name(each),
        "number": each.number,
        "connection_name": connection_name(parent),
        "node": NODE,
        "peer_host": host,
        "peer_port": port,
        "user": each.user.name,
    }
