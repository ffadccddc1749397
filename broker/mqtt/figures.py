"""What `$SYS` shows, gathered from those who count: the dialect, its connections, the core.

Owns the arithmetic alone. Everything here is asked for only while somebody is subscribed, once per interval.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.mqtt.endpoint import Endpoint

KIB = 1024


def figures(endpoint: Endpoint) -> dict[str, int]:
    """By the names of `sys_topics.COUNTS` and `LOADS`."""
    counters, sessions, broker = endpoint.counters, endpoint.sessions, endpoint.broker
    vhosts = list(broker.vhosts.values())
    queues = [queue for vhost in vhosts for queue in vhost.queues.values()]
    connected = sum(session.is_connected for session in sessions.by_name.values())
    outputs = [connection.output for connection in endpoint.connections]
    endpoint.clients_maximum = max(endpoint.clients_maximum, connected)
    return {
        "bytes_received": endpoint.closed_bytes_received + sum(output.bytes_received for output in outputs),
        "bytes_sent": endpoint.closed_bytes_sent + sum(output.bytes_sent for output in outputs),
        "clients_connected": connected,
        "clients_disconnected": len(sessions) - connected,
        "clients_expired": counters.sessions_expired,
        "clients_maximum": endpoint.clients_maximum,
        "clients_total": len(sessions),
        "sockets": len(endpoint.connections),
        "sockets_opened": endpoint.opened,
        "connections_opened": counters.connections_opened,
        "heap_bytes": resident_bytes(),
        "heap_bytes_maximum": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB,
        "packets_received": counters.packets_received,
        "packets_sent": counters.packets_sent,
        "publish_received": counters.publish_received,
        "publish_sent": counters.publish_sent,
        "publish_dropped": counters.dropped_full
        + counters.dropped_offline
        + counters.dropped_too_large
        + counters.dropped_unnameable
        + counters.dropped_unauthorized,
        "publish_bytes_received": counters.publish_bytes_received,
        "publish_bytes_sent": counters.publish_bytes_sent,
        "packets_waiting": sum(session.inflight_count for session in sessions.by_name.values()),
        "packets_waiting_bytes": sum(output.pending_bytes for output in outputs),
        "messages_stored": sum(queue.ready_count + queue.unacked_count for queue in queues),
        "messages_stored_bytes": sum(queue.ready_bytes for queue in queues),
        "retained": sum(len(vhost.retained) for vhost in vhosts),
        "subscriptions": sum(len(session.subscriptions) for session in sessions.by_name.values()),
        "shared_subscriptions": sum(len(share.members) for vhost in vhosts for share in vhost.shares.groups.values()),
    }


def resident_bytes() -> int:
    """What the process takes of the machine's memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
